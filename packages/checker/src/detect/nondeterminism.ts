/**
 * Non-determinism of the program itself: the same schedule, run twice, must meet the same enabled threads, the same ops
 * with the same results, and the same choices. State kept outside shared memory, clocks and random numbers break that,
 * and with it replay and every search.
 *
 * Interface: `checkDeterminism(execution, schedule, choices)`; for failures, and now and then for others.
 */
import type { Execution, Outcome } from "../execution.ts";
import { OPS } from "../op.ts";
import { siteText } from "../runtime.ts";
import type { Strategy } from "../strategy.ts";
import { Replay } from "../strategy/replay.ts";
import type { Finding } from "../world.ts";

export interface Determinism {
  readonly same: boolean;
  /** The first step that differs; -1: none does. */
  readonly step: number;
  /** What differs; undefined if nothing does. */
  readonly finding: Finding | undefined;
}

/** What one step met and did. */
interface Mark {
  readonly enabled: string;
  readonly thread: number;
  readonly hash: number;
  /** The op its thread wants to do next. */
  readonly next: string;
  readonly choices: number;
  readonly site: number;
}

/** Replays, and notes each step. */
class Noting implements Strategy {
  readonly name: string = "replay";
  readonly marks: Mark[] = [];
  /** Values offered at each choice. */
  readonly offered: number[] = [];
  private readonly replay: Replay;

  constructor(schedule: Uint8Array, choices: readonly number[]) {
    this.replay = new Replay(schedule, choices);
    this.replay.begin();
  }
  get diverged(): number {
    return this.replay.diverged;
  }
  begin(): boolean {
    return true;
  }
  pick(execution: Execution): number {
    return this.replay.pick(execution);
  }
  choose(execution: Execution, n: number): number {
    this.offered.push(n);
    return this.replay.choose(execution, n);
  }
  stepped(execution: Execution, thread: number): void {
    const { mem } = execution.threads[thread] as { mem: Execution["threads"][number]["mem"] };
    const { name } = OPS[mem.kind] as { name: string };
    this.marks.push({
      enabled: execution.enabled.subarray(0, execution.enabledCount).join(" "),
      thread,
      hash: execution.world.hash,
      next: `${name} of ${mem.p} at ${siteText(mem.site)}`,
      choices: this.offered.length,
      site: mem.site,
    });
  }
  end(): void {}
}

/** Runs the schedule twice. */
export function checkDeterminism(
  execution: Execution,
  schedule: Uint8Array,
  choices: readonly number[],
): Determinism {
  // The schedule may be the execution's own, which a run writes over.
  const kept = schedule.slice();
  const [first, a] = runOnce(execution, kept, choices);
  const [second, b] = runOnce(execution, kept, choices);
  if (first.diverged >= 0)
    return different(execution, first, first.diverged, "its schedule cannot be followed again");
  const count = Math.max(first.marks.length, second.marks.length);
  for (let step = 0; step < count; step++) {
    const what = difference(execution, first.marks[step], second.marks[step]);
    if (what !== undefined) return different(execution, first, step, what);
  }
  if (first.offered.join() !== second.offered.join())
    return different(
      execution,
      first,
      count - 1,
      `choices of ${first.offered.join()} and of ${second.offered.join()}`,
    );
  if (a.state !== b.state || a.finding?.message !== b.finding?.message)
    return different(execution, first, count - 1, `it ends ${endText(a)} and ${endText(b)}`);
  return { same: true, step: -1, finding: undefined };
}

function runOnce(execution: Execution, schedule: Uint8Array, choices: readonly number[]): [Noting, Outcome] {
  const noting = new Noting(schedule, [...choices]);
  const outcome = execution.run(noting, 0);
  return [noting, outcome];
}

function endText({ state, finding }: Outcome): string {
  return finding === undefined ? `with ${state ?? "success"}` : `with "${finding.message}"`;
}

function difference(execution: Execution, a: Mark | undefined, b: Mark | undefined): string | undefined {
  if (a === undefined || b === undefined)
    return `it ends ${a === undefined ? "sooner" : "later"} the first time`;
  const name = execution.world.nameOf(a.thread);
  if (a.enabled !== b.enabled) return `threads that can run: ${a.enabled} the first time, then ${b.enabled}`;
  if (a.thread !== b.thread) return `${name} runs the first time, then ${execution.world.nameOf(b.thread)}`;
  if (a.choices !== b.choices) return `${name} makes ${a.choices} choices the first time, then ${b.choices}`;
  if (a.next !== b.next) return `${name} goes on to ${a.next} the first time, then to ${b.next}`;
  return a.hash === b.hash ? undefined : `${name} reads or writes other values the second time`;
}

function different(execution: Execution, noting: Noting, step: number, what: string): Determinism {
  const mark = noting.marks[Math.min(step, noting.marks.length - 1)];
  const message = `the program is not deterministic: under the same schedule, at step ${step + 1}, ${what}`;
  const finding: Finding = {
    kind: "nondeterminism",
    message,
    thread: mark?.thread ?? -1,
    site: mark?.site ?? 0,
    report: `${message}\nProgram ${execution.program.name}: is there state outside memory, a clock, or chance?`,
  };
  return { same: false, step, finding };
}
