/**
 * DPOR: of all schedules that only swap independent steps, one. Depth first and stateless: each execution follows the
 * path of nodes, then goes on; a race seen in it makes the threads that could reverse it alternatives of the node
 * where it began (dpor-race.ts); threads explored before sleep until a step depends on theirs (sleep sets). When no
 * alternative is left, the final states and failures seen are all there are: see Proof for what that rests on.
 *
 * A step may touch other places where other steps came before it. So alternatives are persistent sets, not the smaller
 * source sets; and where a sleeping thread counts as explored, though a step there depends on it, all are tried.
 *
 * A step that fails ends the execution, so it depends on whatever else could have run: all enabled threads become
 * alternatives where it stands. Nothing swaps over a lull (see Trace), which is sound because the state at a lull is
 * the same for all schedules that only swap independent steps before it.
 *
 * Up to 32 threads. Sources: Flanagan, Godefroid, POPL 2005; Abdulla, Aronis, Jonsson, Sagonas, POPL 2014.
 */
import type { Execution, Outcome } from "../execution.ts";
import { OP_WAKE } from "../op.ts";
import type { Strategy } from "../strategy.ts";
import { PARKED, READY, type Thread } from "../thread.ts";
import { MAX_ACCESSES } from "../world.ts";
import { checked } from "./dfs.ts";
import { lowest, type NodeState } from "./dpor-node.ts";
import { Path } from "./dpor-path.ts";
import { Reversal } from "./dpor-race.ts";
import { Spin } from "./dpor-spin.ts";
import { type Accesses, Trace } from "./dpor-trace.ts";
import { type Estimate, Estimator } from "./estimate.ts";
import { Ledger, type LedgerState, type Proof } from "./proof.ts";
import { Prefixes, type Shard, WHOLE } from "./shard.ts";
import { DIVERGED } from "./tree.ts";

export interface DporOptions {
  readonly shard?: Shard | undefined;
  /**
   * Plain accesses that are not switch points make no step depend on another: fewer classes, and just as sound where
   * they are free of data races. Default: if a race detector is on.
   */
  readonly quiet?: boolean;
  /** Only to test the tests: misses that reads depend on writes. */
  readonly broken?: boolean;
}

const MAX_DPOR_THREADS = 32;

export class Dpor implements Strategy {
  readonly name: string = "dpor";
  readonly follows: boolean = true;
  readonly everyStep: boolean = true;
  counted: boolean = true;
  /** Executions that were given up because sleep sets showed that they repeat. */
  blocked: number = 0;
  private readonly options: DporOptions;
  private ignoresQuiet: boolean = false;
  private readonly prefixes: Prefixes;
  private readonly path: Path;
  private complete: boolean = false;
  private trace: Trace | undefined = undefined;
  private reversal: Reversal | undefined = undefined;
  private readonly spin: Spin = new Spin();
  private accesses: Accesses = new Int32Array(64);
  private lulls: number = 0;
  /** A lull stands before the step at hand; its thread comes back from a wait that was ended. */
  private lulled: boolean = false;
  private wakes: boolean = false;
  /** Those of `wakingOf` before the step at hand. */
  private waking: number = 0;
  private readonly estimator: Estimator = new Estimator();
  private readonly ledger: Ledger = new Ledger();

  constructor(options: DporOptions = {}) {
    this.options = options;
    this.prefixes = new Prefixes(options.shard ?? WHOLE);
    this.path = new Path(this.prefixes);
  }

  begin(execution: Execution): boolean {
    if (this.trace === undefined) this.attach(execution);
    this.lulls = 0;
    this.path.start();
    execution.world.followsQuiet = !this.ignoresQuiet;
    return !this.complete;
  }

  private attach(execution: Execution): void {
    const { program, threads, world, options } = execution;
    if (threads.length > MAX_DPOR_THREADS) {
      throw new RangeError(
        `program ${program.name} has ${threads.length} threads: dpor takes up to ${MAX_DPOR_THREADS}`,
      );
    }
    this.trace = new Trace(threads.length, new Int32Array(world.wasm.buffer), this.options.broken === true);
    this.reversal = new Reversal(this.trace);
    this.ignoresQuiet = this.options.quiet ?? world.monitors.some((monitor) => monitor.races === true);
    if (options.timeouts === "eager")
      this.ledger.doubt("time-outs may fire early: their order is not searched");
    if ((program.spins ?? 0) > 0)
      this.ledger.doubt("spinning threads may give up: their order is not searched");
  }

  pick(execution: Execution): number {
    const trace = this.trace as Trace;
    const s = execution.picks;
    this.lulled = execution.lulls !== this.lulls;
    this.lulls = execution.lulls;
    const enabled = maskOf(execution.enabled, execution.enabledCount);
    let thread: number;
    if (s < this.path.depth) {
      const node = this.path.before(s);
      thread = node.enabled === enabled ? node.current : checked(execution, DIVERGED);
    } else {
      if (this.lulled) this.checkParked(execution);
      thread = this.open(execution, s, enabled);
    }
    if (thread < 0) return -1;
    if (s >= trace.steps) {
      const { mem } = execution.threads[thread] as Thread;
      this.wakes = mem.kind === OP_WAKE;
      this.waking = this.wakingOf(execution);
      this.spin.capture(execution.threads[thread] as Thread, false);
      if (this.spin.overflow) this.ledger.doubt("a spinning thread read more places than are remembered");
    }
    return thread;
  }

  /** A state not seen before. Who goes first? -1: nobody who is awake, or the path is another shard's. */
  private open(execution: Execution, s: number, enabled: number): number {
    const { path } = this;
    const node = path.open(s, enabled);
    if (node === undefined) return -1;
    if (s > 0 && !this.lulled) path.inherit(s, this.trace as Trace);
    const awake = enabled & ~node.asleep;
    if (awake === 0) {
      this.blocked++;
      return -1;
    }
    const { current } = execution;
    path.enter(s, current >= 0 && ((awake >>> current) & 1) !== 0 ? current : lowest(awake), awake);
    return node.current;
  }

  choose(execution: Execution, n: number): number {
    return this.path.choose(execution.picks, n);
  }

  stepped(execution: Execution, thread: number): void {
    const trace = this.trace as Trace;
    const s = execution.picks - 1;
    if (s < trace.steps || s >= this.path.depth) return;
    const count = this.collect(execution);
    if (this.spin.count > 0) this.scan(thread);
    trace.push(thread, this.accesses, count, this.wakes, this.lulled);
    const reversal = this.reversal as Reversal;
    for (let i = 0; i < trace.raceCount; i++) {
      const earlier = trace.races[i] as number;
      const initials = reversal.ofLast(earlier);
      this.path.before(earlier).demand(initials, thread);
    }
    trace.woke[s] = this.wakingOf(execution) & ~this.waking;
  }

  /** The places of the step, and those a resume reads. */
  private collect(execution: Execution): number {
    const { world } = execution;
    const { spin } = this;
    const count = world.accessCount;
    if (count === MAX_ACCESSES) this.ledger.doubt(`a step touched more than ${MAX_ACCESSES} places`);
    if (this.accesses.length < 2 * (count + spin.count))
      this.accesses = new Int32Array(4 * (count + spin.count));
    const { accesses } = this;
    for (let i = 0; i < 2 * count; i++) accesses[i] = world.accesses[i] as number;
    for (let i = 0; i < spin.count; i++) {
      accesses[2 * (count + i)] = spin.places[i] as number;
      accesses[2 * (count + i) + 1] = 0;
    }
    return count + spin.count;
  }

  /** Threads that somebody has woken and that are not back yet. */
  private wakingOf(execution: Execution): number {
    let waking = 0;
    for (const { state, mem, index } of execution.threads)
      if (state === READY && mem.kind === OP_WAKE) waking |= 1 << index;
    return waking;
  }

  /** Writes that took away what `thread` could have resumed for. */
  private scan(thread: number): void {
    const trace = this.trace as Trace;
    const reversal = this.reversal as Reversal;
    const { spin } = this;
    spin.scan(trace, thread, (step) => {
      const initials = reversal.ofResume(step, thread, spin.places, spin.count);
      return this.path.before(step).demand(initials, thread);
    });
  }

  /** Threads that spin where an execution ends, or lies still, have not had the step they could have made before. */
  private checkParked(execution: Execution): void {
    for (const thread of execution.threads) {
      if (thread.state !== PARKED) continue;
      this.spin.capture(thread, true);
      if (this.spin.count > 0) this.scan(thread.index);
    }
    this.spin.count = 0;
  }

  end(execution: Execution, outcome: Outcome): void {
    this.checkParked(execution);
    const { path } = this;
    const failed = outcome.finding !== undefined && execution.enabledCount > 0;
    if (failed && path.depth > 0) {
      const node = path.before(path.depth - 1);
      node.backtrack |= node.enabled;
    }
    this.counted = path.isOurs() && (!outcome.abandoned || outcome.finding !== undefined);
    this.ledger.note(execution, outcome, this.counted);
    if (this.counted) this.estimator.leaf(path.logWidth());
    this.complete = outcome.finding?.kind === "nondeterminism" || !path.advance(this.trace as Trace);
  }

  estimate(): Estimate | undefined {
    return this.estimator.estimate(this.complete ? 1 : this.path.part());
  }

  proof(execution: Execution): Proof {
    const sentences = [
      "one schedule stands for all that only swap steps touching different places, or only reading",
    ];
    if (this.ignoresQuiet)
      sentences.push(
        "plain accesses between switch points are free of data races, which the race detector reports",
      );
    return this.ledger.proof(execution, sentences);
  }

  save(): unknown {
    const state: DporState = {
      complete: this.complete,
      blocked: this.blocked,
      path: this.path.save(),
      prefixes: this.prefixes.save(),
      estimator: this.estimator.save(),
      ledger: this.ledger.save(),
    };
    return state;
  }

  restore(saved: unknown): void {
    const state = saved as DporState;
    this.complete = state.complete;
    this.blocked = state.blocked;
    this.path.restore(state.path);
    this.prefixes.restore(state.prefixes);
    this.estimator.restore(state.estimator);
    this.ledger.restore(state.ledger);
  }
}

interface DporState {
  readonly complete: boolean;
  readonly blocked: number;
  readonly path: readonly NodeState[];
  readonly prefixes: unknown;
  readonly estimator: readonly number[];
  readonly ledger: LedgerState;
}

function maskOf(threads: Int32Array, count: number): number {
  let mask = 0;
  for (let i = 0; i < count; i++) mask |= 1 << (threads[i] as number);
  return mask;
}
