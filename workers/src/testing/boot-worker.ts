/** Thread of the boot test: runs the workload one way, and posts the memory it leaves. */
import { fileURLToPath } from "node:url";
import { parentPort, workerData } from "node:worker_threads";
import { runToEnd } from "@ringside/checker/runtime";
import { type Granularity, registerControlled } from "@ringside/checker/transform/load";
import { World } from "@ringside/checker/world";
import { type KernelConfig, memory_map } from "@ringside/core/mm/memory-map";
import { CheckedMemory } from "atomics-sync/checked-memory";
import { createSharedMemory, type Memory } from "atomics-sync/memory";

export interface BootJob {
  readonly mode: "native" | Granularity;
  readonly config: KernelConfig;
  /** Replaces a text, which has to be there, in the file of this path. */
  readonly edit?: { readonly file: string; readonly find: string; readonly replace: string };
}

export interface BootAnswer {
  readonly memory: SharedArrayBuffer;
  readonly shadow: SharedArrayBuffer;
  readonly image: number;
  /** Functions that ran as coroutines; 0 natively. */
  readonly coroutines: number;
}

type Workload = typeof import("./boot-workload.ts");

const WORKLOAD = new URL("boot-workload.ts", import.meta.url).href;
const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

const { mode, config, edit } = workerData as BootJob;
const bytes = memory_map(config).size;

async function native(): Promise<BootAnswer> {
  const wasm = createSharedMemory(bytes);
  const shadow = CheckedMemory.createShadow(wasm.buffer.byteLength);
  const memory = new CheckedMemory(wasm, shadow, (bad) => {
    throw new Error(`bad access at ${bad.p}`);
  });
  const workload = (await import(WORKLOAD)) as Workload;
  const image = workload.boot_and_work(memory, config);
  return { memory: wasm.buffer, shadow, image, coroutines: 0 };
}

async function controlled(granularity: Granularity): Promise<BootAnswer> {
  let edits = 0;
  const source = (path: string, text: string): string => {
    if (edit === undefined || path !== edit.file || !text.includes(edit.find)) return text;
    edits++;
    return text.replace(edit.find, edit.replace);
  };
  const loader = registerControlled({ entry: WORKLOAD, granularity, root: ROOT, source });
  if (edit !== undefined && edits !== 1) throw new Error(`${edit.file}: no ${edit.find}`);
  const workload = (await loader.import()) as Workload;
  const world = new World(bytes);
  const memory: Memory = world.alone;
  const image = runToEnd(workload.boot_and_work(memory, config)) as number;
  if (world.finding !== undefined) throw new Error(world.finding.message);
  return { memory: world.wasm.buffer, shadow: world.shadow, image, coroutines: loader.coroutines };
}

parentPort?.postMessage(await (mode === "native" ? native() : controlled(mode)));
