/**
 * A machine for comparisons: booted by the first run, asleep between runs, shut down when the last of the subjects
 * that share it is closed. One that is closed while a run goes on (Ctrl-C) ends at once.
 *
 * Interface: one BenchMachine, one `subject` a side.
 */
import { Machine, type MachineOptions } from "@ringside/workers/machine";
import type { WorkloadArgs, WorkloadResult } from "@ringside/workers/roles";
import type { Subject } from "./bench.ts";

/** Beyond the time asked for: boot, first-time compilation, letting go of 16384 buffers. */
const SLACK_MS = 90_000;

/** What is done on a machine after it booted, and before it is shut down. */
export interface Hooks {
  readonly setUp?: (machine: Machine) => Promise<void>;
  readonly tearDown?: (machine: Machine) => Promise<void>;
}

export class BenchMachine {
  readonly #options: MachineOptions;
  readonly #hooks: Hooks;
  #booting: Promise<Machine> | undefined;
  #users = 0;
  #measuring = 0;

  constructor(options: MachineOptions, hooks: Hooks = {}) {
    this.#options = options;
    this.#hooks = hooks;
  }

  /** A side that uses this machine; `measure` gets the booted machine. */
  subject(name: string, measure: (ms: number, machine: Machine) => Promise<number>): Subject {
    this.#users++;
    return {
      name,
      measure: async (ms) => {
        const machine = await this.#machine();
        this.#measuring++;
        try {
          return await measure(ms, machine);
        } finally {
          this.#measuring--;
        }
      },
      close: async () => {
        this.#users--;
        if (this.#users === 0) await this.#shutdown();
      },
    };
  }

  async #machine(): Promise<Machine> {
    this.#booting ??= this.#boot();
    return await this.#booting;
  }

  async #boot(): Promise<Machine> {
    const machine = await Machine.boot(this.#options);
    try {
      await this.#hooks.setUp?.(machine);
    } catch (error) {
      machine.giveUp(error);
      await machine.shutdown();
      throw error;
    }
    return machine;
  }

  async #shutdown(): Promise<void> {
    // One that did not boot has told whoever measured.
    const machine = await this.#booting?.catch(() => undefined);
    if (machine === undefined) return;
    // After it failed or while it works there is nothing to take down in order.
    if (this.#measuring > 0) machine.giveUp(new Error("interrupted"));
    if (machine.failure === undefined) {
      await this.#hooks.tearDown?.(machine).catch((error: unknown) => machine.giveUp(error));
    }
    const failure = this.#measuring > 0 ? undefined : machine.failure;
    const [leak] = await machine.shutdown();
    if (failure !== undefined) throw failure;
    if (leak !== undefined) throw new Error(`the machine left ${leak.objects} objects of ${leak.site}`);
  }
}

/** Runs a workload that lasts about `ms` on CPU `id`. */
export async function runFor(
  machine: Machine,
  id: number,
  workload: string,
  args: WorkloadArgs,
  ms: number,
): Promise<WorkloadResult> {
  return await machine.run(id, workload, args, ms + SLACK_MS);
}

/**
 * One measurement that tells several figures, for comparisons measured one after the other: the n-th run of the
 * first that asks is measured, the n-th run of the others reads what it told.
 */
export function sharedRuns<T, A extends readonly unknown[]>(
  measure: (ms: number, ...rest: A) => Promise<T>,
): (pick: (found: T) => number) => (ms: number, ...rest: A) => Promise<number> {
  const runs: Promise<T>[] = [];
  return (pick) => {
    let next = 0;
    return async (ms, ...rest) => {
      const run = (runs[next] ??= measure(ms, ...rest));
      next++;
      return pick(await run);
    };
  };
}
