/**
 * Blocks: a schedule as "thread t runs until it comes to this op for the n-th time", which stays meaningful when other
 * parts are changed.
 *
 * A block is a run of steps of one thread in which it could always go on. It is *closed* when the thread could have
 * gone on after it (a preemption), *open* when it ended, slept or spun: then it lasts until the thread cannot go on.
 * Positions belong to the thread and do not count how often it had to try for a lock: taking out a block makes the
 * thread's next one do its steps, so that the two have joined.
 */
import type { Execution } from "../execution.ts";
import type { FailedExecution } from "../explore.ts";
import { ASLEEP, ENDED, READY, type Thread } from "../thread.ts";

export interface Block {
  readonly thread: number;
  /** Steps of the thread, from its start, when the block is over. */
  readonly until: number;
  /** The op it is about to make then: decides instead of `until` where it is known. */
  readonly point: Point | undefined;
  readonly open: boolean;
}

/** The `count`-th time that a thread is about to make an op: its site, or kind and place. */
export interface Point {
  readonly op: number;
  readonly count: number;
}

/** How hard an execution is to read. Compared in this order. */
export interface Measure {
  /**
   * Changes of thread between consecutive steps, those not counted where a thread had ended: what is left are
   * preemptions and switches because a thread slept or spun. The latter count, although often no schedule can do
   * without them: an exporter that waits for a worker that waits for a grace period makes four, and each daemon that
   * has to be asleep before time can pass costs one. Steps the fair half of the step limit chose do not count.
   */
  readonly contextSwitches: number;
  /** Switches away from a thread that could have gone on. */
  readonly preemptions: number;
  /** Sum of the data choices: 0 is the ordinary case throughout. */
  readonly choices: number;
  /** Steps of the schedule. */
  readonly length: number;
  readonly blocks: number;
}

/** Negative: `a` is the easier one. */
export function compareMeasures(a: Measure, b: Measure): number {
  return (
    a.contextSwitches - b.contextSwitches ||
    a.preemptions - b.preemptions ||
    a.choices - b.choices ||
    a.length - b.length ||
    a.blocks - b.blocks
  );
}

/** Ops a thread may come to are counted in so many classes. */
const OP_CLASSES = 1024;

/** Follows an execution and keeps what blocks are made of. */
export class Track {
  /** Data choices of each thread. */
  choices: number[][] = [];
  /** Steps that were chosen; a fair scheduler chose the rest. */
  length: number = 0;
  /** After each step: state of its thread, op it is about to make, and how many times it has come to it. */
  private states: Uint8Array = new Uint8Array(256);
  private ops: Uint16Array = new Uint16Array(256);
  private counts: Int32Array = new Int32Array(256);
  /** By thread and op: times so far. */
  private times: Int32Array = new Int32Array(0);
  private limit: number = 0;

  begin(execution: Execution): void {
    this.length = 0;
    this.limit = execution.maxSteps >> 1;
    this.choices = execution.threads.map(() => []);
    const size = execution.threads.length * OP_CLASSES;
    if (this.times.length === size) this.times.fill(0);
    else this.times = new Int32Array(size);
  }

  stepped(execution: Execution, index: number): void {
    if (this.length === this.limit) return;
    if (this.length === this.states.length) this.grow();
    const { state, mem } = execution.threads[index] as Thread;
    const step = this.length++;
    this.states[step] = state;
    // A sleeper is past its wait.
    const what = (mem.site === 0 ? mem.p + 31 * mem.kind : 7 * mem.site) + (state === ASLEEP ? 511 : 0);
    const op = (what ^ (what >> 10)) & (OP_CLASSES - 1);
    this.ops[step] = op;
    const at = index * OP_CLASSES + op;
    this.counts[step] = this.times[at] = (this.times[at] as number) + 1;
  }

  private grow(): void {
    const { states, ops, counts } = this;
    this.states = new Uint8Array(states.length * 4);
    this.states.set(states);
    this.ops = new Uint16Array(ops.length * 4);
    this.ops.set(ops);
    this.counts = new Int32Array(counts.length * 4);
    this.counts.set(counts);
  }

  chose(execution: Execution, value: number): void {
    this.choices[execution.running]?.push(value);
  }

  /** Has the thread come so far? `steps` of it are done. */
  hasReached({ thread, until, point }: Block, steps: number): boolean {
    if (point === undefined) return steps >= until;
    return (this.times[thread * OP_CLASSES + point.op] as number) >= point.count;
  }

  /** Could the thread of this step have gone on after it? */
  couldGoOn(step: number): boolean {
    return this.states[step] === READY;
  }
  endedAt(step: number): boolean {
    return this.states[step] === ENDED;
  }

  blocks(schedule: Uint8Array): Block[] {
    const position = new Int32Array(256);
    const blocks: Block[] = [];
    for (let i = 0; i < this.length; i++) {
      const thread = schedule[i] as number;
      const until = (position[thread] as number) + 1;
      position[thread] = until;
      const last = i + 1 === this.length;
      if (last || schedule[i + 1] !== thread || !this.couldGoOn(i)) {
        const point = { op: this.ops[i] as number, count: this.counts[i] as number };
        blocks.push({ thread, until, point, open: last || !this.couldGoOn(i) });
      }
    }
    return blocks;
  }

  measure(schedule: Uint8Array, length: number, blocks: number): Measure {
    let contextSwitches = 0;
    let preemptions = 0;
    for (let i = 1; i < this.length; i++) {
      if (schedule[i] === schedule[i - 1] || this.endedAt(i - 1)) continue;
      contextSwitches++;
      if (this.couldGoOn(i - 1)) preemptions++;
    }
    let choices = 0;
    for (const values of this.choices) for (const value of values) choices += value;
    return { contextSwitches, preemptions, choices, length, blocks };
  }
}

/** What ran last in `execution`, kept. */
export function keep(execution: Execution, outcome: FailedExecution["outcome"]): FailedExecution {
  return {
    outcome,
    schedule: execution.schedule.slice(0, execution.picks),
    choices: [...execution.choices],
  };
}

/** A run of steps of one thread. */
export interface Run {
  readonly thread: number;
  readonly steps: number;
}

export function runsOf(schedule: Uint8Array): Run[] {
  const runs: Run[] = [];
  for (let i = 0; i < schedule.length; ) {
    let end = i + 1;
    while (end < schedule.length && schedule[end] === schedule[i]) end++;
    runs.push({ thread: schedule[i] as number, steps: end - i });
    i = end;
  }
  return runs;
}
