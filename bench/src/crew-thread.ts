/** Entry of one thread of a crew (crew.ts): loads its module, then runs its loop whenever it is asked to. */
import { setFlagsFromString } from "node:v8";
import { parentPort, workerData } from "node:worker_threads";
import { THREAD_FLAGS } from "./environment.ts";

export interface CrewData {
  readonly module: string;
  readonly loop: string;
  readonly data: unknown;
}

type Loop = (data: unknown, ms: number) => number | Promise<number>;

// Before anything hot is compiled.
for (const flag of THREAD_FLAGS) setFlagsFromString(flag);

const { module, loop, data } = workerData as CrewData;
const run = ((await import(module)) as Readonly<Record<string, Loop>>)[loop];
if (run === undefined || parentPort === null) throw new Error(`${module} exports no loop ${loop}`);
const port = parentPort;
port.on("message", (ms: number) => {
  // What it throws ends the thread with that error, which the crew passes on.
  void Promise.resolve(run(data, ms)).then((figure) => port.postMessage(figure));
});
