/**
 * Guide: runs an execution along a list of blocks, leniently, and follows it with a Track.
 *
 * The next block is the first in the list whose thread can run and has not passed its end. Where no block fits, the
 * thread that runs goes on, or the first that can, until it cannot. The blocks of an execution, unchanged, repeat it.
 * Data choices are kept by thread, so that they stay with whom they were made by.
 */
import type { Execution, Outcome } from "../execution.ts";
import type { Strategy } from "../strategy.ts";
import { Replay } from "../strategy/replay.ts";
import { ENDED, READY, type Thread } from "../thread.ts";
import { type Block, Track } from "./blocks.ts";

const NONE = -1;

export class Guide implements Strategy {
  readonly name: string = "guide";
  readonly everyStep: boolean = true;
  readonly track: Track;
  private readonly blocks: readonly Block[];
  /** Values of each thread in order; 0 when they run out. */
  private readonly choices: readonly (readonly number[])[];
  /** By block: entered, or passed over for good. */
  private readonly used: Uint8Array;
  private head: number = 0;
  /** The block that runs. */
  private active: number = NONE;
  /** Without a block: the thread that goes on until it cannot. */
  private filler: number = NONE;

  constructor(blocks: readonly Block[], choices: readonly (readonly number[])[], track: Track = new Track()) {
    this.track = track;
    this.blocks = blocks;
    this.choices = choices;
    this.used = new Uint8Array(blocks.length);
  }

  begin(execution: Execution): boolean {
    this.track.begin(execution);
    this.used.fill(0);
    this.head = 0;
    this.active = NONE;
    this.filler = NONE;
    return true;
  }

  pick(execution: Execution): number {
    if (this.active !== NONE) return (this.blocks[this.active] as Block).thread;
    if (this.filler !== NONE) return this.filler;
    const next = this.nextBlock(execution);
    if (next !== NONE) {
      this.enter(next);
      return (this.blocks[next] as Block).thread;
    }
    this.filler = isEnabled(execution, execution.current) ? execution.current : firstReady(execution);
    return this.filler;
  }

  /** The first block whose thread can run and has not come to its end. */
  private nextBlock(execution: Execution): number {
    while (this.used[this.head] === 1) this.head++;
    for (let i = this.head; i < this.blocks.length; i++) {
      if (this.used[i] === 1) continue;
      const block = this.blocks[i] as Block;
      const thread = execution.threads[block.thread] as Thread;
      if (thread.state === ENDED || this.track.hasReached(block, thread.steps)) this.used[i] = 1;
      else if (isEnabled(execution, block.thread)) return i;
    }
    return NONE;
  }

  private enter(block: number): void {
    this.used[block] = 1;
    this.active = block;
  }

  choose(execution: Execution, n: number): number {
    const { running } = execution;
    const value = this.choices[running]?.[this.track.choices[running]?.length ?? 0] ?? 0;
    const chosen = value < n ? value : 0;
    this.track.chose(execution, chosen);
    return chosen;
  }

  stepped(execution: Execution, index: number): void {
    this.track.stepped(execution, index);
    const thread = execution.threads[index] as Thread;
    const stopped = thread.state !== READY;
    if (this.active !== NONE) {
      const block = this.blocks[this.active] as Block;
      const over = !block.open && this.track.hasReached(block, thread.steps);
      if (stopped || over || block.thread !== index) this.active = NONE;
    }
    if (stopped || this.filler !== index) this.filler = NONE;
  }

  end(): void {}

  /** Runs once along the blocks. */
  run(execution: Execution): Outcome {
    this.begin(execution);
    return execution.run(this, 0);
  }
}

function isEnabled(execution: Execution, thread: number): boolean {
  for (let i = 0; i < execution.enabledCount; i++) if (execution.enabled[i] === thread) return true;
  return false;
}

/** Rather one that can go on than one whose time-out or patience would have to end. */
function firstReady(execution: Execution): number {
  const { enabled, enabledCount, threads } = execution;
  for (let i = 0; i < enabledCount; i++) {
    const thread = enabled[i] as number;
    if (threads[thread]?.state === READY) return thread;
  }
  return enabled[0] as number;
}

/** Replay, followed by a Track. */
export class TrackedReplay extends Replay {
  readonly track: Track = new Track();

  override choose(execution: Execution, n: number): number {
    const value = super.choose(execution, n);
    this.track.chose(execution, value);
    return value;
  }
  stepped(execution: Execution, thread: number): void {
    this.track.stepped(execution, thread);
  }
  run(execution: Execution): Outcome {
    this.begin();
    this.track.begin(execution);
    return execution.run(this, 0);
  }
}
