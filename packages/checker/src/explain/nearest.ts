/**
 * Nearest: the passing execution that differs least from a failing one. Each switch is made a little later or earlier,
 * then left out; the smallest move after which nothing fails is the answer to "what has to come before what".
 *
 * After Choi and Zeller, "Isolating Failure-Inducing Thread Schedules" (2002), with the move as the difference.
 */
import type { Execution } from "../execution.ts";
import type { FailedExecution } from "../explore.ts";
import { type Block, keep, type Run, runsOf } from "./blocks.ts";
import { type Difference, differenceOf } from "./difference.ts";
import { Guide, TrackedReplay } from "./guide.ts";
import { type Describe, record } from "./record.ts";

export interface NearestOptions {
  /** Executions to try at most; default 300. */
  readonly replays?: number;
  /** Seconds at most; default 5. */
  readonly seconds?: number;
  readonly describe?: Describe;
}

export interface Passing {
  readonly schedule: Uint8Array;
  readonly choices: readonly number[];
  /** Both schedules as runs of one thread. */
  readonly failingRuns: readonly Run[];
  readonly passingRuns: readonly Run[];
  /** The hand-off that differs. */
  readonly move: Move;
  /** What the move changes; undefined when no op of both shows it. */
  readonly difference: Difference | undefined;
  readonly replays: number;
}

/** How the passing execution was made of the failing one. */
export interface Move {
  readonly kind: "later" | "earlier" | "without" | "swapped" | "ordinary choices" | "no preemption";
  /** Thread that goes on longer, or stops sooner. */
  readonly thread: number;
  /** Thread it hands over to. */
  readonly to: number;
  /** Steps by which the switch moved. */
  readonly steps: number;
}

interface Candidate {
  /** Of equally far ones, the one with fewer runs is taken. */
  readonly distance: number;
  readonly move: Move;
  readonly blocks: readonly Block[];
  readonly choices: readonly (readonly number[])[];
}

const REPLAYS = 300;
const SECONDS = 5;

/** undefined: everything that was tried fails, too. `failed` is best shrunk before. */
export function nearestPassing(
  execution: Execution,
  failed: FailedExecution,
  options: NearestOptions = {},
): Passing | undefined {
  const replay = new TrackedReplay(failed.schedule, failed.choices);
  replay.run(execution);
  const blocks = replay.track.blocks(failed.schedule);
  const choices = replay.track.choices;
  const limit = options.replays ?? REPLAYS;
  const ends = performance.now() + 1000 * (options.seconds ?? SECONDS);
  let replays = 0;
  let best: { distance: number; runs: number; move: Move; passed: FailedExecution } | undefined;
  for (const { distance, move, ...candidate } of candidates(blocks, choices)) {
    if (replays >= limit || performance.now() >= ends || (best !== undefined && distance > best.distance))
      break;
    replays++;
    const outcome = new Guide(candidate.blocks, candidate.choices).run(execution);
    if (outcome.finding !== undefined || outcome.truncated) continue;
    const passed = keep(execution, outcome);
    const runs = runsOf(passed.schedule).length;
    if (best === undefined || runs < best.runs) best = { distance, runs, move, passed };
  }
  if (best === undefined) return undefined;
  const { move, passed } = best;
  const failing = record(execution, failed, options.describe);
  const passing = record(execution, passed, options.describe);
  return {
    schedule: passed.schedule,
    choices: passed.choices,
    failingRuns: runsOf(failed.schedule),
    passingRuns: runsOf(passed.schedule),
    move,
    difference: differenceOf(failing, passing),
    replays,
  };
}

/** Nearest first. */
function* candidates(blocks: readonly Block[], choices: Candidate["choices"]): Generator<Candidate> {
  const starts = blocks.map((block, i) => startOf(blocks, block, i));
  if (choices.some((values) => values.some((value) => value !== 0))) {
    const move: Move = { kind: "ordinary choices", thread: -1, to: -1, steps: 0 };
    yield { distance: 0, move, blocks, choices: [] };
  }
  let longest = 0;
  for (let i = 0; i < blocks.length; i++)
    longest = Math.max(longest, (blocks[i] as Block).until - (starts[i] as number));
  for (let steps = 1; steps <= longest; steps = farther(steps)) {
    for (let i = blocks.length - 1; i >= 0; i--) yield* moved(blocks, choices, starts, i, steps);
  }
  const far = longest + 1;
  for (let i = blocks.length - 1; i >= 0; i--) yield* changed(blocks, choices, starts, i, far);
  const all = { thread: -1, to: -1, steps: 0 };
  yield { distance: far + 1, move: { kind: "no preemption", ...all }, blocks: [], choices };
}

/** Every step nearby, then ever coarser. */
function farther(steps: number): number {
  return steps < 16 ? steps + 1 : Math.floor(steps * 1.25);
}

function startOf(blocks: readonly Block[], block: Block, i: number): number {
  return blocks.findLast((other, j) => j < i && other.thread === block.thread)?.until ?? 0;
}

/** The switch after block i, `steps` later or earlier. */
function* moved(
  blocks: readonly Block[],
  choices: Candidate["choices"],
  starts: readonly number[],
  i: number,
  steps: number,
): Generator<Candidate> {
  const block = blocks[i] as Block;
  const next = blocks[i + 1];
  if (next === undefined) return;
  const move = { thread: block.thread, to: next.thread, steps };
  const rest = blocks.findIndex((other, j) => j > i && other.thread === block.thread);
  const more = rest < 0 ? Number.POSITIVE_INFINITY : (blocks[rest] as Block).until - block.until;
  // Of a thread's last block it is not known how much would follow: at most as much again.
  if (!block.open && (steps <= more || rest < 0)) {
    yield {
      distance: steps,
      move: { kind: "later", ...move },
      blocks: blocks.with(i, later(block, steps)),
      choices,
    };
  }
  if (block.until - steps > (starts[i] as number)) {
    yield {
      distance: steps,
      move: { kind: "earlier", ...move },
      blocks: blocks.with(i, earlier(block, steps)),
      choices,
    };
  }
}

function later(block: Block, steps: number): Block {
  return { ...block, until: block.until + steps, point: undefined };
}
function earlier(block: Block, steps: number): Block {
  return { ...block, until: block.until - steps, point: undefined, open: false };
}

/** Block i left out, open, or after its neighbour. */
function* changed(
  blocks: readonly Block[],
  choices: Candidate["choices"],
  starts: readonly number[],
  i: number,
  distance: number,
): Generator<Candidate> {
  const block = blocks[i] as Block;
  const next = blocks[i + 1];
  const steps = block.until - (starts[i] as number);
  const move = { thread: block.thread, to: next?.thread ?? -1, steps };
  if (!block.open) {
    yield {
      distance,
      move: { kind: "without", ...move },
      blocks: blocks.with(i, { ...block, open: true }),
      choices,
    };
  }
  yield { distance, move: { kind: "earlier", ...move }, blocks: blocks.toSpliced(i, 1), choices };
  if (next !== undefined && next.thread !== block.thread) {
    yield {
      distance,
      move: { kind: "swapped", ...move },
      blocks: blocks.with(i, next).with(i + 1, block),
      choices,
    };
  }
}
