/**
 * GatedThreads: real threads in the place of coroutines. The engine, its strategies and its monitors are the same; what
 * it resumes is a worker that stands at its gate.
 *
 * Interface: `const gated = new GatedThreads({ program: { url, name } })`, then an Execution of the same module's
 * program with `{ start: gated.start }`, any number of runs, `await gated.close()`. One Execution each. Workers are
 * kept from execution to execution; one that does not come back in time is a finding, and is replaced.
 */
import { availableParallelism } from "node:os";
import type { Execution } from "../execution.ts";
import type { Coroutine } from "../runtime.ts";
import type { Thread } from "../thread.ts";
import type { ModuleRef } from "./load.ts";
import { GatedThread } from "./thread.ts";

export interface GatedOptions {
  readonly program: ModuleRef;
  /** Seconds a step may take before its thread is given up; default 5. */
  readonly watchdogSeconds?: number;
  /** A class derived from GatedMemory: to test the comparison of the back-ends itself. */
  readonly memory?: ModuleRef;
}

const WATCHDOG_SECONDS = 5;
/**
 * Looks at the turn before sleeping, where there is more than one core: a few microseconds. Measured on 2 cores, lost
 * update: 0 looks 4,300 executions/s, 400 6,300, 2,000 4,500, 10,000 800. On one core, without looks: 35,000.
 */
const LOOKS = 400;

export class GatedThreads {
  private readonly options: GatedOptions;
  private threads: GatedThread[] = [];
  private execution: Execution | undefined = undefined;

  constructor(options: GatedOptions) {
    this.options = options;
  }

  /** For ExecutionOptions.start. Throws an Error if the program cannot be loaded in a worker. */
  readonly start: (execution: Execution, thread: Thread) => Coroutine = (execution, thread) => {
    if (this.execution !== execution) this.bind(execution);
    // Thread 0 starts first: an execution begins, and nobody may be left in the middle of the last one.
    if (thread.index === 0) for (const gated of this.threads) gated.abort();
    const gated = this.threads[thread.index] as GatedThread;
    gated.begin();
    return gated;
  };

  private bind(execution: Execution): void {
    if (this.execution !== undefined) throw new Error("gated threads serve one Execution each");
    this.execution = execution;
    const { program, memory, watchdogSeconds = WATCHDOG_SECONDS } = this.options;
    const setup = {
      program,
      ...(memory === undefined ? {} : { memory }),
      watchdogMs: watchdogSeconds * 1000,
      looks: availableParallelism() > 1 ? LOOKS : 0,
    };
    // All at once: they load side by side.
    this.threads = execution.threads.map((thread) => new GatedThread(execution, thread, setup));
  }

  /** Ends the workers. */
  async close(): Promise<void> {
    await Promise.all(this.threads.map((thread) => thread.close()));
    this.threads = [];
  }
}
