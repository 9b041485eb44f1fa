/**
 * Profile: what earlier executions of a program taught the strategies that count: steps of each thread, picks with a
 * real choice, data choices, and, in places.ts, how often each thread went to each location.
 *
 * Each figure is the largest seen during the first 16 executions; afterwards it rises at once and sinks slowly, so
 * that one strange execution does not spoil it for ever. A profile of the first execution alone would starve the
 * branches it did not take. Executions bent by the step limit, or given up, teach nothing.
 *
 * Interface: begin, then watch at each pick, stepped after each step, end. One profile may serve many strategies; its
 * owner calls it.
 */
import type { Execution, Outcome } from "../execution.ts";
import { MAX_THREADS } from "../program.ts";
import { learned, Places } from "./places.ts";

export class Profile {
  /** Executions learned from. */
  runs: number = 0;
  /** Steps each thread makes. */
  readonly steps: Float64Array = new Float64Array(MAX_THREADS);
  /** Picks among two or more threads that an execution has. */
  picks: number = 0;
  /** Data choices an execution makes. */
  choices: number = 0;
  /** Where the threads go; for owners that asked for it. */
  places: Places | undefined = undefined;
  private readonly wantsPlaces: boolean;
  private execution: Execution | undefined = undefined;
  private picked: number = 0;

  constructor(places: boolean) {
    this.wantsPlaces = places;
  }

  begin(execution: Execution): void {
    // Another program: nothing learned holds.
    if (this.execution !== execution) this.forget(execution);
    this.picked = 0;
    this.places?.begin();
  }

  private forget(execution: Execution): void {
    this.execution = execution;
    this.runs = 0;
    this.steps.fill(0);
    this.picks = 0;
    this.choices = 0;
    this.places = this.wantsPlaces ? new Places(execution.threads) : undefined;
  }

  watch(): void {
    if (this.picked++ === 0) this.places?.lookAround();
  }

  stepped(execution: Execution, thread: number): void {
    this.places?.stepped(thread, execution.picks === 1);
  }

  end(execution: Execution, outcome: Outcome): void {
    if (outcome.truncated || outcome.abandoned) {
      this.places?.drop();
      return;
    }
    for (const { index, steps } of execution.threads) {
      this.steps[index] = learned(this.steps[index] as number, steps, this.runs);
    }
    this.picks = learned(this.picks, this.picked, this.runs);
    this.choices = learned(this.choices, execution.choices.length, this.runs);
    this.places?.learn(this.runs);
    this.runs++;
  }
}
