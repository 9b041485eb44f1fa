/**
 * The machine that cases run on, one after the other. Cases that want the same settings share one; a case that ends
 * what it stands on, or wants one for itself, gets the next a new one.
 *
 * Interface: `await stand.run(suite, test, settings)` for each case, `await stand.end()` at last.
 */
import { Machine, type MachineOptions } from "@ringside/workers/machine";
import type { CaseResult } from "./report.ts";
import { type CaseSettings, judge_log, run_case, UNEXPECTED } from "./run-case.ts";
import type { Case, Suite } from "./suite.ts";

/** Small, but with kworkers for works that all sleep. */
const SMALL: MachineOptions = { kthreads: 24, ram: 16 << 20, vram: 2 << 20, media: 2 << 20, lockdep: true };
const MIN_CPUS = 2;

export interface StandOptions {
  /** URL of the module whose `workloads` run the suites (bodies.ts). */
  readonly workloads: string;
  readonly seed: number;
  readonly mutant?: string;
}

/** What a case is run on, and what was said of it; late trouble is added to it. */
interface Held {
  readonly machine: Machine;
  readonly settings: string;
  /** Warnings of its boot that have not been told yet. */
  readonly boot: string[];
  /** The last case, and how much of the log it was judged by. */
  last?: { readonly result: CaseResult; readonly warns: readonly string[]; readonly judged: number };
}

export class Stand {
  readonly #options: StandOptions;
  #held: Held | undefined;
  /** Cases that turned out to have failed after they had been judged. */
  readonly #late = new Map<CaseResult, string[]>();

  constructor(options: StandOptions) {
    this.#options = options;
  }

  /** Runs one case; rejects never. Aborting `signal` ends the case, and its machine, at once. */
  async run(suite: Suite, test: Case, settings: CaseSettings, signal?: AbortSignal): Promise<CaseResult> {
    let held: Held;
    try {
      held = await this.#machineFor(suite, test);
    } catch (error) {
      return { name: test.name, ok: false, detail: `boot: ${(error as Error).message}` };
    }
    const { machine } = held;
    const abort = (): void => machine.giveUp(new Error("interrupted"));
    signal?.addEventListener("abort", abort, { once: true });
    // It may have come while the machine booted.
    if (signal?.aborted === true) abort();
    const { result, records } = await run_case(machine, suite, test, settings);
    signal?.removeEventListener("abort", abort);
    held.last = { result, warns: test.warns ?? [], judged: records };
    this.#judgeBoot(held);
    if (test.alone === true || machine.failure !== undefined) await this.end();
    return result;
  }

  async #machineFor(suite: Suite, test: Case): Promise<Held> {
    const cpus = Math.max(MIN_CPUS, ...suite.cases.map((each) => each.bodies.length));
    const { seed, mutant, workloads } = this.#options;
    const options = { ...SMALL, cpus, seed, ...test.config };
    const settings = JSON.stringify(options);
    if (this.#held !== undefined && (this.#held.settings !== settings || test.alone === true))
      await this.end();
    if (this.#held !== undefined) {
      this.#judgeLate(this.#held);
      return this.#held;
    }
    const planted = mutant === undefined ? {} : { mutant };
    const machine = await Machine.boot({ ...options, ...planted, workloads });
    this.#held = { machine, settings, boot: judge_log(machine.log(), []) };
    return this.#held;
  }

  /** What the machine said while it booted is told with its first case. */
  #judgeBoot({ boot, last }: Held): void {
    if (last !== undefined && boot.length > 0) this.#blame(last.result, "at boot", boot.splice(0));
  }

  #blame(result: CaseResult, when: string, problems: readonly string[]): void {
    const told = this.#late.get(result) ?? [];
    this.#late.set(result, [...told, ...problems.map((text) => `${when}: ${text}`)]);
  }

  /** Trouble since the last case was judged is its own. */
  #judgeLate({ machine, last }: Held, more: readonly string[] = []): void {
    if (last === undefined || machine.failure !== undefined) return;
    const late = judge_log(machine.log(last.judged), last.warns).filter((text) =>
      text.startsWith(UNEXPECTED),
    );
    // What a failed case left has been told.
    const left = last.result.ok ? more : [];
    if (late.length + left.length > 0) this.#blame(last.result, "after the case", [...late, ...left]);
  }

  /** Shuts the machine down. */
  async end(): Promise<void> {
    const held = this.#held;
    this.#held = undefined;
    if (held === undefined) return;
    try {
      const leaks = await held.machine.shutdown();
      this.#judgeLate(
        held,
        leaks.map((leak) => `leak: ${leak.objects} objects, ${leak.bytes} bytes from ${leak.site}`),
      );
    } catch (error) {
      this.#judgeLate(held, [(error as Error).message]);
    }
  }

  /** The result as it is now: a case may turn out to have failed after it was judged. */
  settled(result: CaseResult): CaseResult {
    const late = this.#late.get(result);
    if (late === undefined) return result;
    return {
      ...result,
      ok: false,
      detail: [result.detail, ...late].filter((text) => text !== "").join("\n"),
    };
  }
}
