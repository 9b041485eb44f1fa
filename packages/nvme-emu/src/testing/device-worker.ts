/** Thread entry: the controller, as the machine runs it. Posts "stopped" when it returns. */
import { parentPort, workerData } from "node:worker_threads";
import { image_hash } from "./image.ts";
import { nvme_controller_thread } from "../controller/thread.ts";
import { join_device, type MachineParts } from "./machine.ts";

const { parts, image } = workerData as { parts: MachineParts; image: number };
if (image_hash() !== image) throw new Error("the device's thread has another kernel image");
const cpu = join_device(parts, { now: () => performance.now() });
nvme_controller_thread(cpu, cpu.map.media, parts.config.media);
parentPort?.postMessage("stopped");
