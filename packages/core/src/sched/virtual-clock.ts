/**
 * The virtual clock (config.clock "virtual"): time that moves only when the whole machine is idle, and then in one
 * step to the earliest deadline. What a thread computes takes no time, so timings are exact and repeat.
 *
 * Every thread of the machine has a record: absent, running, asleep on a futex word, outside the kernel (a CPU in its
 * event loop), or with mdelay() in need of its simulated CPU. A thread that goes idle takes LOCK, fills its record and
 * looks whether it was the last one. If so it gives free simulated CPUs to the threads that are first in line, moves
 * time to the earliest deadline and wakes that one thread; of equal deadlines the one set first. The next one has its
 * turn when all are idle again: threads that are due at the same time never race.
 *
 * Why time never passes a thread that could run. All is decided under LOCK, from the records and the words slept on.
 * - A thread that runs says so in its record until it takes LOCK to go idle.
 * - A thread is idle with the value its word had before it tested its reasons to run. A reason that comes later is
 *   made by a thread W, which runs meanwhile, and W bumps the word after it. Time cannot move before W goes idle, so
 *   whoever decides sees the bump: the word differs from the record, and the sleeper counts as running although it
 *   may not have woken yet.
 * - A kworker that was asked for is WANTED and not SERVED (kthread-request.ts) until the host has seen it join.
 * - While no CPU is inside the kernel the host decides what comes next: time stands still.
 * All idle and no deadline is a hang; the host's own time-outs see it. The host's words change without any thread
 * going idle: sleepers look again every POLL_MS of real time.
 *
 * Not for code that spins until time has passed, nor for mdelay with a spinlock held that others want: they would
 * count as running and time would stand still. A thread may spin only for another that runs.
 *
 * Interface: virtual_clock_join when a thread starts to run kernel code, virtual_clock_leave when it is through;
 * in between futex_sleep, idle_until and mdelay call the rest. virtual_clock_ms is the platform's now().
 */
import { type Memory, mutexLock, mutexUnlock } from "atomics-sync";
import { kernel_static, percpu_static } from "../debug/image.ts";
import { nr_threads } from "../mm/memory-map.ts";
import { type Cpu, per_cpu_ptr, this_cpu_ptr } from "./cpu.ts";
import { kthread_requests_open } from "./kthread-request.ts";

const CLOCK = kernel_static("virtual_clock", 128);
const LOCK = CLOCK;
// Guarded by LOCK:
/** Numbers what happens: sleeps, for equal deadlines, and wake-ups, for the line before a simulated CPU. */
const NEXT_NUMBER = CLOCK + 4;
// Written under LOCK, read by anyone: microseconds since boot, the high half twice, since 64 bits can tear.
const HIGH_AFTER = CLOCK + 8;
const LOW = CLOCK + 12;
const HIGH_BEFORE = CLOCK + 16;

// The record of a thread, guarded by LOCK.
const RECORD = percpu_static("virtual_clock", 128);
const STATE = 0;
/** The word it sleeps on and the value that means "still asleep". Anyone may bump the word. */
const WORD = 4;
const SEQUENCE = 8;
/** Outside the kernel: the word its event loop waits for. */
const SECOND_WORD = 12;
/** Order of going to sleep. */
const NUMBER = 16;
/** When its wait ends by itself: microseconds, 64-bit. */
const DEADLINE = 24;
/** In line or on a simulated CPU: which, and for how many microseconds. */
const ON_CPU = 32;
const BURN_US = 36;
/** When it became runnable last; keeps its place in line while it does not sleep. */
const RUNNABLE = 40;
/** What it waits for in line. */
const TURN = 44;

const ABSENT = 0;
const RUNNING = 1;
const ASLEEP = 2;
const OUTSIDE = 3;
const IN_LINE = 4;
const BURNING = 5;

/** No deadline. */
const NEVER = 2 ** 52;
/** How often, in real ms, sleepers look whether the host has changed something. */
const POLL_MS = 50;
/** Part of a microsecond by which a sum of milliseconds may be off. */
const ROUNDING = 1e-3;
const HALF = 2 ** 32;

function record_of(cpu: Cpu, id: number): number {
  return per_cpu_ptr(cpu, RECORD, id);
}

function now_us(mem: Memory): number {
  for (;;) {
    const high = mem.loadAcquire(HIGH_AFTER) >>> 0;
    const low = mem.loadAcquire(LOW) >>> 0;
    // Pairs with set_now: equal halves mean that LOW belongs to them; else time would jump by an hour.
    if (high === mem.loadAcquire(HIGH_BEFORE) >>> 0) return high * HALF + low;
  }
}

function set_now(mem: Memory, us: number): void {
  mem.storeRelease(HIGH_BEFORE, us / HALF);
  mem.storeRelease(LOW, us % HALF);
  mem.storeRelease(HIGH_AFTER, us / HALF);
}

/** Virtual milliseconds since boot. */
export function virtual_clock_ms(mem: Memory): number {
  return now_us(mem) / 1000;
}

/** The calling thread runs kernel code from here on. */
export function virtual_clock_join(cpu: Cpu): void {
  run_again(cpu, this_cpu_ptr(cpu, RECORD));
}

/** The calling thread takes no part any more. */
export function virtual_clock_leave(cpu: Cpu): void {
  mutexLock(cpu.mem, LOCK);
  cpu.mem.write(this_cpu_ptr(cpu, RECORD) + STATE, ABSENT);
  advance(cpu);
  mutexUnlock(cpu.mem, LOCK);
}

/** Sleeps while `word` is `sequence`, at most `timeout` ms. */
export function virtual_clock_sleep(cpu: Cpu, word: number, sequence: number, timeout: number): void {
  const record = this_cpu_ptr(cpu, RECORD);
  const wait_us = Math.max(1, Math.ceil(timeout * 1000 - ROUNDING));
  mutexLock(cpu.mem, LOCK);
  cpu.mem.write(record + SECOND_WORD, 0);
  go_idle(cpu, record, ASLEEP, word, sequence, now_us(cpu.mem) + wait_us);
  mutexUnlock(cpu.mem, LOCK);
  wait_for_word(cpu, word, sequence);
  // Sleeps that take no virtual time say nothing about spinning, which would only keep others from being idle.
  cpu.idle_spin.off();
  cpu.flush_spin.off();
  run_again(cpu, record);
}

/**
 * A CPU outside the kernel may be passed over until `until` (absolute ms) or a kick after `sequence` was read: both
 * bump `word` and `second`. False when the kick has come already.
 */
export function virtual_clock_outside(
  cpu: Cpu,
  word: number,
  second: number,
  sequence: number,
  until: number,
): boolean {
  const record = this_cpu_ptr(cpu, RECORD);
  mutexLock(cpu.mem, LOCK);
  cpu.mem.write(record + SECOND_WORD, second);
  go_idle(cpu, record, OUTSIDE, word, sequence, until * 1000);
  mutexUnlock(cpu.mem, LOCK);
  return cpu.mem.loadAcquire(word) === sequence;
}

/**
 * Keeps simulated CPU `id` busy for `ms`; first waits in line for it, the thread that is runnable longest first. With
 * 0 ms it only waits for the CPU. The task does not sleep: it keeps its place in line and blocks nothing but time.
 */
export function virtual_clock_burn(cpu: Cpu, id: number, ms: number): void {
  const record = this_cpu_ptr(cpu, RECORD);
  const turn = cpu.mem.read(record + TURN);
  mutexLock(cpu.mem, LOCK);
  cpu.mem.write(record + SECOND_WORD, 0);
  cpu.mem.write(record + ON_CPU, id);
  cpu.mem.write(record + BURN_US, Math.ceil(ms * 1000 - ROUNDING));
  go_idle(cpu, record, IN_LINE, record + TURN, turn, NEVER);
  mutexUnlock(cpu.mem, LOCK);
  wait_for_word(cpu, record + TURN, turn);
  mutexLock(cpu.mem, LOCK);
  cpu.mem.write(record + STATE, RUNNING);
  mutexUnlock(cpu.mem, LOCK);
}

function next_number(cpu: Cpu): number {
  const number = cpu.mem.read(NEXT_NUMBER);
  cpu.mem.write(NEXT_NUMBER, number + 1);
  return number;
}

function go_idle(
  cpu: Cpu,
  record: number,
  state: number,
  word: number,
  sequence: number,
  deadline: number,
): void {
  cpu.mem.write(record + STATE, state);
  cpu.mem.write(record + WORD, word);
  cpu.mem.write(record + SEQUENCE, sequence);
  cpu.mem.write(record + NUMBER, next_number(cpu));
  cpu.mem.write64(record + DEADLINE, Math.min(NEVER, deadline));
  advance(cpu);
}

function run_again(cpu: Cpu, record: number): void {
  mutexLock(cpu.mem, LOCK);
  cpu.mem.write(record + STATE, RUNNING);
  cpu.mem.write(record + RUNNABLE, next_number(cpu));
  mutexUnlock(cpu.mem, LOCK);
}

function wait_for_word(cpu: Cpu, word: number, sequence: number): void {
  while (cpu.mem.loadAcquire(word) === sequence) {
    if (cpu.mem.wait(word, sequence, POLL_MS) !== "timed-out") continue;
    mutexLock(cpu.mem, LOCK);
    advance(cpu);
    mutexUnlock(cpu.mem, LOCK);
  }
}

/** Moves time and wakes one thread, if all are idle. LOCK held. */
function advance(cpu: Cpu): void {
  if (kthread_requests_open(cpu) || !all_idle(cpu)) return;
  assign_cpus(cpu);
  const first = earliest(cpu);
  if (first === 0) return;
  set_now(cpu.mem, Math.max(now_us(cpu.mem), cpu.mem.read64(first + DEADLINE)));
  wake(cpu, first);
}

/** The device has a record too: one more than there are CPUs. */
function nr_records(cpu: Cpu): number {
  return nr_threads(cpu.config) + 1;
}

/** Nobody can run, and some CPU is inside the kernel. */
function all_idle(cpu: Cpu): boolean {
  let inside = false;
  for (let id = 0; id < nr_records(cpu); id++) {
    const record = record_of(cpu, id);
    const state = cpu.mem.read(record + STATE);
    if (state === ABSENT) continue;
    if (state === RUNNING) return false;
    // Kicked, but has not woken yet. Pairs with the fetchAdd in kick_task, which precedes the kicker's own LOCK.
    if (cpu.mem.loadAcquire(cpu.mem.read(record + WORD)) !== cpu.mem.read(record + SEQUENCE)) return false;
    if (id < cpu.config.cpus && state !== OUTSIDE) inside = true;
  }
  return inside;
}

/** Gives each free simulated CPU to the first in its line. */
function assign_cpus(cpu: Cpu): void {
  for (let id = 0; id < nr_records(cpu); id++) {
    const record = record_of(cpu, id);
    if (cpu.mem.read(record + STATE) !== IN_LINE || !is_next(cpu, record)) continue;
    cpu.mem.write(record + STATE, BURNING);
    cpu.mem.write(record + NUMBER, next_number(cpu));
    cpu.mem.write64(record + DEADLINE, now_us(cpu.mem) + cpu.mem.read(record + BURN_US));
  }
}

/** Nobody is on this thread's simulated CPU, and nobody before it in line. */
function is_next(cpu: Cpu, record: number): boolean {
  for (let id = 0; id < nr_records(cpu); id++) {
    const other = record_of(cpu, id);
    const state = cpu.mem.read(other + STATE);
    if (state !== IN_LINE && state !== BURNING) continue;
    if (cpu.mem.read(other + ON_CPU) !== cpu.mem.read(record + ON_CPU)) continue;
    if (state === BURNING || is_before(cpu, other + RUNNABLE, record + RUNNABLE)) return false;
  }
  return true;
}

/** Compares two numbers of NEXT_NUMBER; they wrap. */
function is_before(cpu: Cpu, a: number, b: number): boolean {
  return ((cpu.mem.read(a) - cpu.mem.read(b)) | 0) < 0;
}

/** The idle thread whose wait ends first, or 0. */
function earliest(cpu: Cpu): number {
  let first = 0;
  let when = NEVER;
  for (let id = 0; id < nr_records(cpu); id++) {
    const record = record_of(cpu, id);
    if (cpu.mem.read(record + STATE) === ABSENT) continue;
    const deadline = cpu.mem.read64(record + DEADLINE);
    if (deadline > when || deadline === NEVER) continue;
    if (deadline === when && !is_before(cpu, record + NUMBER, first + NUMBER)) continue;
    first = record;
    when = deadline;
  }
  return first;
}

/** Its wait is over: from now on it counts as running, as its word differs. */
function wake(cpu: Cpu, record: number): void {
  const word = cpu.mem.read(record + WORD);
  const second = cpu.mem.read(record + SECOND_WORD);
  cpu.mem.fetchAdd(word, 1);
  cpu.mem.notify(word, 1);
  if (second === 0) return;
  cpu.mem.fetchAdd(second, 1);
  cpu.mem.notify(second, 1);
}
