/** The thread entry: runs the role it is given and posts what it returns. */
import { parentPort, workerData } from "node:worker_threads";
import { threadMemory } from "../thread-memory.ts";
import type { WasmMemory } from "../wasm.ts";
import { ROLES, type RoleArguments } from "./roles.ts";

const { memory, role } = workerData as { memory: WasmMemory; role: RoleArguments };
parentPort?.postMessage(ROLES[role.role](threadMemory(memory), role));
