/**
 * Execution: runs a program once, one step at a time, in the order a strategy picks; again and again over one World.
 *
 * A thread first publishes its pending op, then waits to be picked, then executes it and runs on to its next op. So
 * the scheduler sees conflicts before it chooses. An execution ends when every thread but the daemons has ended and
 * nothing can run, at the first finding, or at the step limit.
 */
import { running } from "./atomics.ts";
import { deadlockReport } from "./detect/deadlock.ts";
import { livelockReport } from "./detect/livelock.ts";
import { OP_PAUSE, OP_WAIT, OP_WAKE } from "./op.ts";
import type { ExecutionOptions, Outcome } from "./outcome.ts";
import { MAX_THREADS, type Program, type ThreadContext, type ThreadSpec, threadsOf } from "./program.ts";
import { $isCo, isPromise, runToEnd, siteOf } from "./runtime.ts";
import type { Strategy } from "./strategy.ts";
import { isSpinning, noteForSpin, spinsAgain } from "./spin.ts";
import { ASLEEP, ENDED, READY, Thread, UNBORN } from "./thread.ts";
import { Waiting } from "./waiting.ts";
import { ControlledMemory } from "./controlled-memory.ts";
import { MAX_BLOCK } from "./published-memory.ts";
import { World } from "./world.ts";

export type { ExecutionOptions, Outcome };

export const DEFAULT_MAX_STEPS = 20_000;
const EARLY_TIMEOUTS = 2;
/** Ops of a spinning thread in the step in which its patience runs out; one that still spins then does so for ever. */
const SPIN_OPS = 1024;

export class Execution {
  readonly program: Program;
  readonly world: World;
  readonly threads: readonly Thread[];
  readonly options: ExecutionOptions;
  readonly maxSteps: number;
  /** Indices of the threads that can be picked now. */
  readonly enabled: Int32Array = new Int32Array(MAX_THREADS);
  enabledCount: number = 0;
  /** The thread that made the last step; -1 at the start. */
  current: number = -1;
  /** Steps so far. */
  picks: number = 0;
  /** The thread of each step. Valid up to `picks`. */
  schedule: Uint8Array = new Uint8Array(1024);
  /** Data choices so far. */
  readonly choices: number[] = [];
  preemptions: number = 0;
  /** Times nobody could run, and time, a second look of spinning threads, or the last thread made it go on. */
  lulls: number = 0;
  /** Who sleeps or spins, and what brings them back. */
  readonly waiting: Waiting;
  /** The running thread: whose step it is. */
  running: number = -1;
  private strategy: Strategy | undefined = undefined;

  constructor(program: Program, options: ExecutionOptions = {}) {
    this.program = program;
    this.options = options;
    this.maxSteps = options.maxSteps ?? DEFAULT_MAX_STEPS;
    if (!(this.maxSteps >= 2)) throw new RangeError(`maxSteps is ${this.maxSteps}: expected 2 or more`);
    const specs = threadsOf(program);
    this.world = new World(program.bytes ?? 4096);
    this.world.names.push(...specs.map((spec) => spec.name));
    this.world.monitors.push(...(options.monitors ?? []));
    this.world.describe = program.describe;
    if (program.focus !== undefined) this.focus(program.focus);
    this.threads = specs.map(
      (spec, i) => new Thread(i, spec, new ControlledMemory(this.world, i), this.context(i, spec)),
    );
    this.world.threads = this.threads;
    this.waiting = new Waiting(this.world, this.threads);
    running.mem = this.world.alone;
    try {
      runToEnd(program.setup?.(this.world.alone));
    } finally {
      running.mem = undefined;
    }
    this.world.snapshot();
  }

  private focus(wanted: (file: string, name: string) => boolean): void {
    for (let id = 1; id < this.world.gate.length; id++) {
      const { file, name } = siteOf(id);
      this.world.gate[id] = wanted(file, name) ? 1 : 0;
    }
  }

  private context(id: number, spec: ThreadSpec): ThreadContext {
    const fail: ThreadContext["fail"] = (message, kind = "assertion", report = message) =>
      this.world.find({ kind, message, thread: id, site: this.threads[id]?.mem.site ?? 0, report });
    return {
      id,
      name: spec.name,
      choose: (n) => this.choose(n),
      fail,
      assert: (condition, message) => {
        if (!condition) fail(message);
      },
    };
  }

  /** Runs the program once. */
  run(strategy: Strategy, index: number): Outcome {
    this.reset(strategy);
    const last = this.program.lastly === undefined ? undefined : this.threads.at(-1);
    for (const thread of this.threads) if (thread !== last) this.start(thread);
    let truncated = false;
    let abandoned = false;
    const always = strategy.everyStep === true;
    while (this.world.finding === undefined) {
      this.collect();
      if (this.enabledCount === 0) {
        if (!this.bringLife(last)) break;
        this.lulls++;
        continue;
      }
      if (this.picks >= this.maxSteps) {
        this.world.find(livelockReport(this));
        truncated = true;
        break;
      }
      const fair = this.picks >= this.maxSteps >> 1;
      truncated ||= fair;
      const pick = fair
        ? this.fairest()
        : this.enabledCount === 1 && !always
          ? (this.enabled[0] as number)
          : strategy.pick(this);
      if (pick < 0) {
        abandoned = true;
        break;
      }
      this.step(this.threads[pick] as Thread);
      if (strategy.stepped !== undefined) strategy.stepped(this, pick);
    }
    return this.finish(strategy, index, truncated, abandoned);
  }

  private reset(strategy: Strategy): void {
    const { world } = this;
    world.reset();
    world.follows = strategy.follows === true;
    this.strategy = strategy;
    this.program.before?.();
    for (const thread of this.threads) thread.reset();
    this.current = -1;
    this.picks = 0;
    this.choices.length = 0;
    this.preemptions = 0;
    this.lulls = 0;
    const early = this.options.timeouts === "eager" ? (this.options.earlyTimeouts ?? EARLY_TIMEOUTS) : 0;
    this.waiting.begin(early, this.program.spins ?? 0);
    for (const monitor of world.monitors) monitor.begin(this.threads.length);
  }

  private start(thread: Thread): void {
    const { world } = this;
    const before = world.steps;
    this.running = thread.index;
    running.mem = thread.mem;
    let body: unknown;
    try {
      const start = this.options.start;
      body = start === undefined ? thread.spec.body(thread.mem, thread.context) : start(this, thread);
      if ($isCo(body)) {
        thread.coroutine = body;
        // Its first op is a switch point, in focus or not: else all threads would begin in their order.
        this.resume(thread, MAX_BLOCK);
        return;
      }
    } catch (error) {
      this.crash(thread, error);
      return;
    }
    thread.state = ENDED;
    if (world.steps === before && !isPromise(body)) return;
    running.mem = undefined;
    const who = `program ${this.program.name}: thread ${thread.spec.name}`;
    if (isPromise(body)) throw new Error(`${who} is async: nobody would wait for it`);
    throw new Error(
      `${who} ran without the scheduler: load its source with node --import @ringside/checker/register, ` +
        "or write it as a generator function",
    );
  }

  /** Fills `enabled`. */
  private collect(): void {
    let n = 0;
    for (const thread of this.threads) {
      if (thread.state === READY || this.waiting.mayRun(thread)) this.enabled[n++] = thread.index;
    }
    this.enabledCount = n;
  }

  /** Nobody can run. Lets time pass, spinning threads look again, or the last thread start. False: it is over. */
  private bringLife(last: Thread | undefined): boolean {
    const busy = this.threads.some((t) => t !== last && t.spec.daemon !== true && t.state !== ENDED);
    if (!busy) {
      if (last === undefined || last.state === ENDED) return false;
      if (last.state === UNBORN) {
        for (const monitor of this.world.monitors) {
          for (const thread of this.threads) if (thread !== last) monitor.joined?.(thread.index, last.index);
        }
        this.start(last);
        return true;
      }
    }
    if (this.waiting.goOn()) return true;
    this.world.find(deadlockReport(this));
    return false;
  }

  /** The thread that has run least, so that nobody starves. */
  private fairest(): number {
    let best = this.enabled[0] as number;
    for (let i = 1; i < this.enabledCount; i++) {
      const candidate = this.enabled[i] as number;
      if ((this.threads[candidate] as Thread).steps < (this.threads[best] as Thread).steps) best = candidate;
    }
    return best;
  }

  /** Executes the pending op of `thread` and all up to its next switch point. */
  private step(thread: Thread): void {
    const { world } = this;
    if (this.current !== thread.index && this.current >= 0 && this.isEnabled(this.current))
      this.preemptions++;
    if (this.picks === this.schedule.length) this.schedule = grown(this.schedule);
    this.schedule[this.picks++] = thread.index;
    this.current = thread.index;
    this.running = thread.index;
    thread.steps++;
    world.accessCount = 0;
    if (thread.state === ASLEEP) this.waiting.timeOutEarly(thread);
    const impatient = this.waiting.losesPatience(thread);
    thread.state = READY;
    const { mem } = thread;
    noteForSpin(world, thread);
    if (mem.kind === OP_WAIT) {
      if (this.waiting.sleeps(thread)) return;
    } else if (mem.kind === OP_WAKE) {
      mem.result = mem.waitResult === "ok" ? 0 : 1;
      world.observe(mem);
      mem.kind = OP_WAIT;
    }
    this.resume(thread);
    if (impatient) this.spinOn(thread);
  }

  /** Its spinning runs out before anything changes: it goes round alone until it wants to do something else. */
  private spinOn(thread: Thread): void {
    const { world } = this;
    for (let i = 0; i < SPIN_OPS && isSpinning(world, thread) && world.finding === undefined; i++)
      this.resume(thread);
  }

  private isEnabled(index: number): boolean {
    for (let i = 0; i < this.enabledCount; i++) if (this.enabled[i] === index) return true;
    return false;
  }

  private resume(thread: Thread, block: number = 0): void {
    const { mem } = thread;
    mem.block = block;
    running.mem = mem;
    let done: boolean;
    try {
      done = (thread.coroutine as { next(): { done?: boolean | undefined } }).next().done === true;
    } catch (error) {
      this.crash(thread, error);
      return;
    }
    if (done) thread.state = ENDED;
    else {
      thread.state = READY;
      if (mem.kind === OP_PAUSE || spinsAgain(this.world, thread)) this.waiting.park(thread);
    }
  }

  private crash(thread: Thread, error: unknown): void {
    thread.state = ENDED;
    const text = error instanceof Error ? error.message : String(error);
    const kind = error instanceof Error && error.name === "AssertionError" ? "assertion" : "crash";
    const report = error instanceof Error ? error.stack : undefined;
    this.world.find({
      kind,
      message: text,
      thread: thread.index,
      site: thread.mem.site,
      ...(report === undefined ? {} : { report }),
    });
  }

  private finish(strategy: Strategy, index: number, truncated: boolean, abandoned: boolean): Outcome {
    const { world, program } = this;
    let state: string | undefined;
    this.waiting.end();
    running.mem = world.alone;
    if (world.finding === undefined && !abandoned) {
      for (const monitor of world.monitors) monitor.end?.();
      try {
        runToEnd(program.after?.(world.alone));
        state = program.outcome === undefined ? undefined : String(runToEnd(program.outcome(world.alone)));
      } catch (error) {
        world.find({ kind: "assertion", message: messageOf(error), thread: -1, site: world.alone.site });
      }
    }
    running.mem = undefined;
    const outcome: Outcome = {
      index,
      finding: world.finding,
      steps: world.steps,
      picks: this.picks,
      preemptions: this.preemptions,
      hash: world.hash,
      timeouts: this.waiting.timeouts,
      truncated,
      abandoned,
      state,
    };
    strategy.end(this, outcome);
    return outcome;
  }

  /** A data choice of the running thread. */
  choose(n: number): number {
    if (!(Number.isInteger(n) && n >= 1 && n <= 255))
      throw new RangeError(`choose(${n}): expected 1 ... 255`);
    const value = n === 1 || this.strategy === undefined ? 0 : this.strategy.choose(this, n);
    if (n > 1) this.choices.push(value);
    return value;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function grown(schedule: Uint8Array): Uint8Array {
  const larger = new Uint8Array(schedule.length * 2);
  larger.set(schedule);
  return larger;
}
