/**
 * What a body of a case sees of its runner: checks, a meeting point, scratch memory, the kernel log. A failed check is
 * recorded and the body goes on; nothing is thrown.
 */
import { kernel_static } from "@ringside/core/debug/image";
import { dmesg_read } from "@ringside/core/debug/dmesg";
import type { Cpu } from "@ringside/core/sched/cpu";
import { rendezvous } from "@ringside/core/testing/rendezvous";

/** Memory the bodies of a case share; zeroed before each case. */
export const SCRATCH_SIZE = 4096;
const SCRATCH = kernel_static("conformance_scratch", SCRATCH_SIZE);
const POINT = kernel_static("conformance_rendezvous", 128);

export class Checks {
  readonly failures: string[] = [];
  readonly notes: string[] = [];
  /** Which body this is. */
  readonly index: number;
  /** How many bodies run. */
  readonly parties: number;
  /** How long a timed case shall run, in seconds; scaled by the user. */
  readonly seconds: number;
  readonly scratch: number = SCRATCH;
  readonly #cpu: Cpu;
  readonly #log_start: number;

  constructor(cpu: Cpu, index: number, parties: number, seconds: number) {
    this.#cpu = cpu;
    this.index = index;
    this.parties = parties;
    this.seconds = seconds;
    this.#log_start = dmesg_read(cpu, 0).length;
  }

  /** Records a failure unless `condition`. Returns it, for early exits. */
  ok(condition: boolean, law: string): boolean {
    if (!condition) this.failures.push(law);
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
    return dmesg_read(this.#cpu, this.#log_start).some((record) => record.text.includes(text));
  }

  /** Waits until all bodies of the case are here. Every body must come as often. */
  meet(): void {
    rendezvous(this.#cpu, POINT, this.parties);
  }
}

/** Before each case, on CPU 0. */
export function checks_reset(cpu: Cpu): void {
  cpu.mem.memset(SCRATCH, 0, SCRATCH_SIZE);
  cpu.mem.memset(POINT, 0, 128);
}
