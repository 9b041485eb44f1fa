/**
 * Proof: what a finished search has shown, on what it rests, and why it may not be called proved. Strategies that can
 * finish keep a ledger of everything in their executions that made the search less than complete.
 */
import { DEFAULT_MAX_STEPS, type Execution, type Outcome } from "../execution.ts";

export interface Proof {
  /** Every execution of the program, up to what is assumed, ends as one of those seen. */
  readonly proved: boolean;
  /** Executions that differ: schedules for a plain search, classes of equivalent schedules for DPOR. */
  readonly classes: number;
  /** Sentences. */
  readonly assumptions: readonly string[];
  /** Why not proved: sentences. Empty if proved. */
  readonly reasons: readonly string[];
}

export class Ledger {
  classes: number = 0;
  private parked: boolean = false;
  private readonly reasons: Set<string> = new Set();

  /** An execution ended; those that are not counted teach something, too. */
  note(execution: Execution, outcome: Outcome, counted: boolean): void {
    if (counted) this.classes++;
    if (outcome.truncated)
      this.doubt(`an execution reached half of the limit of ${execution.maxSteps} steps`);
    if (execution.waiting.parks > 0) this.parked = true;
    if (execution.waiting.guesses > 0) {
      this.doubt(
        "a thread was taken for spinning without saying pause(), or without all it waits for being known",
      );
    }
  }

  doubt(reason: string): void {
    this.reasons.add(reason);
  }

  proof(execution: Execution, extra: readonly string[] = []): Proof {
    const reasons = [...this.reasons];
    const assumptions = [...this.engine(execution), ...extra, ...(execution.program.assumes ?? [])];
    return { proved: reasons.length === 0, classes: this.classes, assumptions, reasons };
  }

  private engine(execution: Execution): string[] {
    const { program, options } = execution;
    const judged = execution.world.monitors.some((monitor) => monitor.races === true);
    const sentences = [
      judged
        ? "execution is sequentially consistent; declared orders are judged by the race detector, not executed"
        : "execution is sequentially consistent; no detector judged the declared orders",
    ];
    sentences.push(
      program.focus === undefined
        ? "threads switch at every access that the loader made a switch point, and nowhere else"
        : "threads switch at the sites in focus only",
    );
    if (options.timeouts === "eager") sentences.push("few time-outs fire early in one execution");
    else sentences.push("a wait times out only when nothing else can run");
    if (this.parked)
      sentences.push(
        "a thread in pause() goes on only when what it read has changed, or nobody else can run",
      );
    sentences.push(`no execution needs more than ${(execution.maxSteps ?? DEFAULT_MAX_STEPS) >> 1} steps`);
    return sentences;
  }

  save(): LedgerState {
    return { classes: this.classes, parked: this.parked, reasons: [...this.reasons] };
  }
  restore(state: LedgerState): void {
    this.classes = state.classes;
    this.parked = state.parked;
    this.reasons.clear();
    for (const reason of state.reasons) this.reasons.add(reason);
  }
}

export interface LedgerState {
  readonly classes: number;
  readonly parked: boolean;
  readonly reasons: readonly string[];
}
