/**
 * Replay: the schedule and the choices of an earlier execution. Strict replay notes the first step at which the wanted
 * thread cannot run; lenient replay (for shrinking) goes on with the current thread, or the first that can.
 */
import type { Execution } from "../execution.ts";
import type { Strategy } from "../strategy.ts";

export class Replay implements Strategy {
  readonly name: string = "replay";
  readonly schedule: Uint8Array;
  readonly choices: readonly number[];
  /** First step at which the schedule could not be followed; -1: none so far. */
  diverged: number = -1;
  private chosen: number = 0;

  constructor(schedule: Uint8Array, choices: readonly number[]) {
    this.schedule = schedule;
    this.choices = choices;
  }

  begin(): boolean {
    this.chosen = 0;
    this.diverged = -1;
    return true;
  }
  pick(execution: Execution): number {
    const wanted = this.schedule[execution.picks];
    let current = -1;
    for (let i = 0; i < execution.enabledCount; i++) {
      const candidate = execution.enabled[i] as number;
      if (candidate === wanted) return candidate;
      if (candidate === execution.current) current = candidate;
    }
    if (this.diverged < 0) this.diverged = execution.picks;
    return current >= 0 ? current : (execution.enabled[0] as number);
  }
  choose(_execution: Execution, n: number): number {
    const value = this.choices[this.chosen++] ?? 0;
    return value < n ? value : 0;
  }
  end(): void {}
}
