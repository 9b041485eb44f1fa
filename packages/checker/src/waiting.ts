/**
 * Waiting: threads that sleep in a wait or spin, and what brings them back: a notify, a change of what they read, or
 * virtual time, which moves when nobody can run, and by early time-outs when they are asked for.
 */
import { OP_PAUSE, OP_WAKE } from "./op.ts";
import { hasChanged } from "./spin.ts";
import { ASLEEP, LAST_LOOK, LOOKS, PARKED, READY, type Thread } from "./thread.ts";
import type { World } from "./world.ts";

/**
 * Rounds in which all spinning threads may look again without anything having changed. After them each spins on to its
 * end, if it has one: they may only have been counting.
 */
const SPIN_ROUNDS = 24;

export class Waiting {
  /** Times virtual time had to move for anybody to go on. */
  timeouts: number = 0;
  /** Times a thread was parked, and those where only a guess says that it spins, or what it waits for. */
  parks: number = 0;
  guesses: number = 0;
  /** Left in this execution: time-outs that fire early, and ends of spinning that nothing has brought about. */
  private early: number = 0;
  private spins: number = 0;
  private rounds: number = 0;
  private version: number = 0;
  private readonly world: World;
  private readonly threads: readonly Thread[];

  constructor(world: World, threads: readonly Thread[]) {
    this.world = world;
    this.threads = threads;
    world.onWake = (sleeper, waker) => this.wake(sleeper, waker, "ok");
  }

  /** A new execution starts, with so many early time-outs and ends of spinning allowed. */
  begin(early: number, spins: number): void {
    this.early = early;
    this.spins = spins;
    this.timeouts = 0;
    this.parks = 0;
    this.guesses = 0;
    this.rounds = 0;
    this.version = 0;
  }

  /** May this thread, which is asleep or parked, be picked? */
  mayRun(thread: Thread): boolean {
    if (thread.state === ASLEEP) return this.early > 0 && this.isNextToTimeOut(thread);
    if (thread.state !== PARKED) return false;
    return hasChanged(this.world, thread) || (this.spins > 0 && thread.mem.kind === OP_PAUSE);
  }

  private isNextToTimeOut(thread: Thread): boolean {
    if (thread.deadline === Number.POSITIVE_INFINITY) return false;
    return this.threads.every((other) => other.state !== ASLEEP || other.deadline >= thread.deadline);
  }

  /** The thread was picked asleep: its time-out fires early. */
  timeOutEarly(thread: Thread): void {
    this.early--;
    // It leaves the queue in this step; in a lull it would be no part of any.
    if (this.world.follows) this.world.noteQueue(thread.mem.p, true);
    this.world.now = Math.max(this.world.now, thread.deadline);
    this.timeOut(thread);
  }

  /** The thread was picked spinning, though nothing has changed: true if it is to spin on to its end. */
  losesPatience(thread: Thread): boolean {
    if (thread.state !== PARKED) return false;
    if (thread.parkedAt === LAST_LOOK) return true;
    if (this.spins === 0 || hasChanged(this.world, thread)) return false;
    this.spins--;
    return true;
  }

  park(thread: Thread): void {
    thread.state = PARKED;
    thread.parkedAt = this.world.version;
    this.parks++;
    if (thread.mem.kind !== OP_PAUSE || thread.spinCount === 0) this.guesses++;
  }

  /** The execution is over. */
  end(): void {
    for (const thread of this.threads) if (thread.blind) this.guesses++;
  }

  /** The pending wait is executed: compare, and join the sleepers if equal. */
  sleeps(thread: Thread): boolean {
    const { world } = this;
    const { mem } = thread;
    mem.result = mem.compared();
    world.observe(mem);
    if (mem.result !== (mem.b | 0)) {
      mem.waitResult = "not-equal";
      return false;
    }
    if (mem.a <= 0) {
      mem.waitResult = "timed-out";
      return false;
    }
    // Who tries to notify until there is a sleeper waits for this. With a time-out it may only be a clock that ticks.
    if (mem.a === Number.POSITIVE_INFINITY) world.version++;
    thread.state = ASLEEP;
    thread.deadline = world.now + mem.a;
    world.sleepers.push(thread.index);
    world.sleeperAt.push(mem.p);
    return true;
  }

  /** Nobody can run: time moves to the earliest deadline, or spinning threads look again. False: neither helps. */
  goOn(): boolean {
    return this.passTime() || this.lookAgain();
  }

  private passTime(): boolean {
    let earliest = Number.POSITIVE_INFINITY;
    for (const thread of this.threads) {
      if (thread.state === ASLEEP && thread.deadline < earliest) earliest = thread.deadline;
    }
    if (earliest === Number.POSITIVE_INFINITY) return false;
    this.world.now = Math.max(this.world.now, earliest);
    this.timeouts++;
    for (const thread of this.threads) {
      if (thread.state === ASLEEP && thread.deadline <= earliest) this.timeOut(thread);
      else if (thread.state === PARKED) thread.parkedAt = LOOKS;
    }
    return true;
  }

  /** All spinning threads look once more, a little later: they may count, or watch the clock. */
  private lookAgain(): boolean {
    const { world } = this;
    if (world.version !== this.version) this.rounds = 0;
    this.version = world.version;
    if (++this.rounds > SPIN_ROUNDS + 1) return false;
    let any = false;
    for (const thread of this.threads) {
      if (thread.state !== PARKED) continue;
      thread.parkedAt = this.rounds > SPIN_ROUNDS ? LAST_LOOK : LOOKS;
      any = true;
    }
    world.now += 2 ** Math.min(this.rounds, 20);
    return any;
  }

  private timeOut(thread: Thread): void {
    const { sleepers, sleeperAt } = this.world;
    const at = sleepers.indexOf(thread.index);
    sleepers.splice(at, 1);
    sleeperAt.splice(at, 1);
    this.wake(thread.index, -1, "timed-out");
  }

  private wake(sleeper: number, waker: number, result: "ok" | "timed-out"): void {
    const thread = this.threads[sleeper] as Thread;
    thread.state = READY;
    thread.deadline = Number.POSITIVE_INFINITY;
    thread.mem.kind = OP_WAKE;
    thread.mem.waitResult = result;
    // To be woken is news, whatever the word says.
    if (result === "ok") thread.forgetRounds();
    for (const monitor of this.world.monitors) monitor.woken?.(sleeper, waker);
  }
}
