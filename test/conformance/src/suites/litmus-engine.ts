/**
 * Runs litmus tests: short programs on two to four CPUs over a few shared words, again and again, and counts how often
 * they end in the state that the test asks about.
 *
 * A round is a batch of instances, each with words of its own. All CPUs start a round together, spinning, then walk
 * through the instances with small random delays, so that the programs overlap. Body 0 sets up and judges.
 */
import { GFP_KERNEL, kfree, kmalloc } from "@ringside/core/mm/slab";
import { spin_lock_init } from "@ringside/core/lock/spinlock";
import type { Cpu } from "@ringside/core/sched/cpu";
import { cond_resched } from "@ringside/core/sched/schedule";
import { msleep } from "@ringside/core/sched/delay";
import type { Checks } from "../checks.ts";
import type { Body, Case } from "../suite.ts";

/** Offsets of an instance's words, lines of their own. */
export const X = 0;
export const Y = 128;
export const Z = 256;
export const LOCK = 384;
/** Registers: thread i's are at REGS + 16 * i. */
const REGS = 512;
const INSTANCE = 640;

/** One thread of a test: `v` is the instance, `r` its registers, four words. */
export type Program = (cpu: Cpu, v: number, r: number) => void;

export interface Litmus {
  readonly name: string;
  /** The test's result: may the state be seen? */
  readonly result: "Never" | "Sometimes";
  readonly threads: readonly Program[];
  /** Is this the state? `word` and `reg(thread, n)` read what is left. */
  readonly state: (word: (offset: number) => number, reg: (thread: number, n: number) => number) => boolean;
  /** Initial values other than 0. */
  readonly init?: (cpu: Cpu, v: number) => void;
  /** Instances per round; 1 for programs that sleep. */
  readonly batch?: number;
  /** Rounds at least, however long they take. */
  readonly rounds?: number;
}

const BATCH = 64;
const MIN_ROUNDS = 30;
const SECONDS = 0.3;
/** Random delay before an instance, in pauses. */
const DELAY = 12;
/** Rounds of spinning before a nap: threads may outnumber cores. */
const SPINS = 3000;

/** Words in t.scratch: the arena, arrivals, and whether to go on. */
const ARENA = 0;
const ARRIVED = 128;
const STOP = 256;

/** As Checks.meet, but at a word of its own and spinning longer. */
function meet(cpu: Cpu, t: Checks): void {
  const point = t.scratch + ARRIVED;
  const ticket = cpu.mem.fetchAdd(point, 1);
  const full = ticket - (ticket % t.parties) + t.parties;
  for (let spin = 0; cpu.mem.loadAcquire(point) < full; spin++) {
    if (spin < SPINS) cpu.mem.pause();
    else msleep(cpu, 1);
    if ((spin & 63) === 63) cond_resched(cpu);
  }
  cond_resched(cpu);
}

function run_round(cpu: Cpu, t: Checks, test: Litmus, batch: number): void {
  const arena = cpu.mem.loadAcquire(t.scratch + ARENA);
  const program = test.threads[t.index] as Program;
  for (let i = 0; i < batch; i++) {
    const v = arena + i * INSTANCE;
    for (let delay = cpu.random32() % DELAY; delay > 0; delay--) cpu.mem.pause();
    program(cpu, v, v + REGS + 16 * t.index);
  }
}

/** How many instances are in the state. */
function count_state(cpu: Cpu, test: Litmus, arena: number, batch: number): number {
  let hits = 0;
  for (let i = 0; i < batch; i++) {
    const v = arena + i * INSTANCE;
    const word = (offset: number): number => cpu.mem.read(v + offset);
    const reg = (thread: number, n: number): number => cpu.mem.read(v + REGS + 16 * thread + 4 * n);
    if (test.state(word, reg)) hits++;
  }
  return hits;
}

function set_up(cpu: Cpu, test: Litmus, arena: number, batch: number): void {
  cpu.mem.memset(arena, 0, batch * INSTANCE);
  for (let i = 0; i < batch; i++) {
    spin_lock_init(cpu, arena + i * INSTANCE + LOCK);
    test.init?.(cpu, arena + i * INSTANCE);
  }
}

/** Body 0: everything that only one does. */
function lead(cpu: Cpu, t: Checks, test: Litmus, batch: number): void {
  const arena = kmalloc(cpu, batch * INSTANCE, GFP_KERNEL);
  cpu.mem.storeRelease(t.scratch + ARENA, arena);
  const end = cpu.now() + t.seconds * 1000;
  let hits = 0;
  let rounds = 0;
  for (let more = true; more; rounds++) {
    set_up(cpu, test, arena, batch);
    meet(cpu, t);
    run_round(cpu, t, test, batch);
    more = cpu.now() < end || rounds + 1 < (test.rounds ?? MIN_ROUNDS);
    if (!more) cpu.mem.storeRelease(t.scratch + STOP, 1);
    meet(cpu, t);
    hits += count_state(cpu, test, arena, batch);
  }
  kfree(cpu, arena);
  const found = `${hits} of ${rounds * batch} runs ended in the state`;
  if (test.result === "Never") t.ok(hits === 0, `Never, but ${found}`);
  t.note(`${test.result}: ${found}`);
}

function follow(cpu: Cpu, t: Checks, test: Litmus, batch: number): void {
  for (let more = true; more; ) {
    meet(cpu, t);
    run_round(cpu, t, test, batch);
    meet(cpu, t);
    more = cpu.mem.loadAcquire(t.scratch + STOP) === 0;
  }
}

export function litmus_case(test: Litmus): Case {
  const batch = test.batch ?? BATCH;
  const bodies = test.threads.map(
    (_, index): Body =>
      (cpu, t) =>
        index === 0 ? lead(cpu, t, test, batch) : follow(cpu, t, test, batch),
  );
  // The validator would only keep the programs apart.
  return { name: test.name, bodies, seconds: SECONDS, config: { lockdep: false } };
}
