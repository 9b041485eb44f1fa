/**
 * What a body of a case sees of its runner: checks, a meeting point, scratch memory, the kernel log. A failed check is
 * recorded and the body goes on; nothing is thrown.
 */
import { kernel_static } from "@ringside/core/debug/image";
import { dmesg_next, dmesg_read, LOG_INFO, LOG_WARN, printk } from "@ringside/core/debug/dmesg";
import type { Cpu } from "@ringside/core/sched/cpu";
import { cond_resched } from "@ringside/core/sched/schedule";
import { msleep } from "@ringside/core/sched/delay";

/** Memory the bodies of a case share; zeroed before each case. */
export const SCRATCH_SIZE = 4096;
const SCRATCH = kernel_static("conformance_scratch", SCRATCH_SIZE);
/** Arrivals at the meeting point; bodies that have returned. */
const POINT = kernel_static("conformance_rendezvous", 128);
const ARRIVED = 0;
const ENDED = 4;

/** Failures of one body that are told; a loop that fails again and again says nothing new. */
const FAILURES_MAX = 16;
/** Before a failed check in the kernel log, where it is found when the body never ends. */
export const CHECK_PREFIX = "check failed: ";

export class Checks {
  readonly failures: string[] = [];
  readonly notes: string[] = [];
  /** Which body this is. */
  readonly index: number;
  /** How many bodies run. */
  readonly parties: number;
  /** How long a timed case shall run, in seconds; scaled by the user. */
  readonly seconds: number;
  /** Seeds the run; cpu.random32() repeats with it. */
  readonly seed: number;
  readonly scratch: number = SCRATCH;
  readonly #cpu: Cpu;
  readonly #log_start: number;

  constructor(cpu: Cpu, index: number, parties: number, seconds: number, seed: number = 1) {
    this.#cpu = cpu;
    this.index = index;
    this.parties = parties;
    this.seconds = seconds;
    this.seed = seed;
    this.#log_start = dmesg_next(cpu);
  }

  /** Records a failure unless `condition`. Returns it, for early exits. */
  ok(condition: boolean, law: string): boolean {
    if (!condition && this.failures.length < FAILURES_MAX) {
      this.failures.push(law);
      printk(this.#cpu, LOG_INFO, CHECK_PREFIX + law);
    }
    return condition;
  }

  equal(actual: number | boolean | string, expected: number | boolean | string, what: string): boolean {
    return this.ok(actual === expected, `${what}: expected ${expected}, got ${actual}`);
  }

  /** Something worth telling in the case's detail. */
  note(text: string): void {
    this.notes.push(text);
  }

  /** Was a text logged since this body began, by any thread? */
  logged(text: string): boolean {
    const log = dmesg_read(this.#cpu, this.#log_start);
    return log.some((record) => record.text.includes(text) && !record.text.startsWith(CHECK_PREFIX));
  }

  /** How many warnings, bugs and violations were logged since this body began, by any thread. */
  warned(): number {
    return dmesg_read(this.#cpu, this.#log_start).filter((record) => record.level >= LOG_WARN).length;
  }

  /**
   * Waits until all bodies of the case are here. Every body must come as often; when one has returned instead, that
   * is a failure and nobody waits for it.
   */
  meet(): void {
    const { mem } = this.#cpu;
    const ticket = mem.fetchAdd(POINT + ARRIVED, 1);
    const full = ticket - (ticket % this.parties) + this.parties;
    for (let round = 0; mem.loadAcquire(POINT + ARRIVED) < full; round++) {
      // Who has returned was not here in this round: it would still wait. The second look sees a round that
      // became full before the return.
      if (mem.loadAcquire(POINT + ENDED) > 0 && mem.loadAcquire(POINT + ARRIVED) < full) {
        this.ok(false, `body ${this.index} waits to meet one that has returned`);
        return;
      }
      if (round < 100) mem.pause();
      else msleep(this.#cpu, 1);
      cond_resched(this.#cpu);
    }
  }
}

/** Before each case, on CPU 0. */
export function checks_reset(cpu: Cpu): void {
  cpu.mem.memset(SCRATCH, 0, SCRATCH_SIZE);
  cpu.mem.memset(POINT, 0, 128);
}

/** A body has returned: it comes to no more meetings. */
export function checks_ended(cpu: Cpu): void {
  cpu.mem.fetchAdd(POINT + ENDED, 1);
}
