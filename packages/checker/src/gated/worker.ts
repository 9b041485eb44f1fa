/**
 * Entry of a gated thread: loads the program, then runs one thread function of it again and again, an execution each
 * time the engine says START.
 */
import { type MessagePort, workerData } from "node:worker_threads";
import type { Shadow } from "atomics-sync/checked-memory";
import { running } from "../atomics.ts";
import { type Program, type ThreadContext, type ThreadSpec, threadsOf } from "../program.ts";
import { $isCo, type Site } from "../runtime.ts";
import type { FailureKind, WasmMemory } from "../world.ts";
import { ABORT, CHOOSE, CRASH, END, FAIL, IDLE, Line, UNLOADED } from "./line.ts";
import { loadExport, loadProgram, type ModuleRef } from "./load.ts";
import { ABORTED, GatedMemory } from "./memory.ts";
import { siteReader } from "./sites.ts";

export interface GatedJob {
  readonly program: ModuleRef;
  /** A class derived from GatedMemory, for tests of the comparison. */
  readonly memory?: ModuleRef;
  readonly thread: number;
  readonly wasm: WasmMemory;
  readonly shadow: Shadow;
  readonly line: SharedArrayBuffer;
  readonly looks: number;
  /** For text. Read by the engine while it has the turn, so it needs no event loop. */
  readonly port: MessagePort;
}

/** What goes over the port, because it is text. */
export type GatedNote =
  | { readonly site: number; readonly at: Site }
  | { readonly fail: string; readonly kind?: FailureKind; readonly report?: string }
  | { readonly error: { readonly name: string; readonly message: string; readonly stack?: string } };

const job = workerData as GatedJob;
const line = new Line(job.line, job.looks);
running.gated = true;

function note(text: GatedNote): void {
  job.port.postMessage(text);
}

function noteError(error: unknown): void {
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  note({ error: { name, message, ...(stack === undefined ? {} : { stack }) } });
}

async function makeMemory(): Promise<GatedMemory> {
  const sites = siteReader((site, at) => note({ site, at }));
  const Made =
    job.memory === undefined ? GatedMemory : ((await loadExport(job.memory)) as typeof GatedMemory);
  return new Made(job.wasm, job.shadow, line, sites);
}

function context(memory: GatedMemory, spec: ThreadSpec): ThreadContext {
  const fail: ThreadContext["fail"] = (message, kind, report) => {
    note({
      fail: message,
      ...(kind === undefined ? {} : { kind }),
      ...(report === undefined ? {} : { report }),
    });
    memory.turn(FAIL);
  };
  return {
    id: job.thread,
    name: spec.name,
    choose: (n) => {
      if (!(Number.isInteger(n) && n >= 1 && n <= 255))
        throw new RangeError(`choose(${n}): expected 1 ... 255`);
      line.put(0, n, 0, 0, 0);
      memory.turn(CHOOSE);
      return line.answer;
    },
    fail,
    assert: (condition, message) => {
      if (!condition) fail(message);
    },
  };
}

/** One execution. Returns what to report. */
function runOnce(program: Program, spec: ThreadSpec, memory: GatedMemory, thread: ThreadContext): number {
  try {
    memory.restart();
    program.before?.();
    if (!$isCo(spec.body(memory, thread))) return END;
    throw new TypeError(
      `thread ${spec.name} is a coroutine: gated threads run plain, untransformed functions`,
    );
  } catch (error) {
    if (error === ABORTED || line.order === ABORT) return IDLE;
    noteError(error);
    return CRASH;
  }
}

async function main(): Promise<void> {
  const program = await loadProgram(job.program);
  const spec = threadsOf(program)[job.thread] as ThreadSpec;
  const memory = await makeMemory();
  const thread = context(memory, spec);
  let report = IDLE;
  for (;;) {
    // An ABORT finds it between executions: nothing to throw out of.
    report = line.tell(report) === ABORT ? IDLE : runOnce(program, spec, memory, thread);
  }
}

try {
  await main();
} catch (error) {
  noteError(error);
  line.tell(UNLOADED);
}
