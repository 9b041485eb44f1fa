/**
 * What a conformance suite is: a public test suite of the kernel world, told again against our API. A case has the
 * public test's name and runs as bodies on the CPUs of a real machine, CPU i the i-th, all at once.
 *
 * A body says what it saw through its Checks; a case passes when every check held, no thread failed, nothing was left
 * allocated, and the kernel log has no warning but those the case announces, each of them at least once.
 */
import type { KernelConfig } from "@ringside/core/mm/memory-map";
import type { Cpu } from "@ringside/core/sched/cpu";
import type { Checks } from "./checks.ts";

/** Runs on one CPU, in task context; may sleep. Bounded: by a count, or by t.seconds. */
export type Body = (cpu: Cpu, t: Checks) => void;

export interface Case {
  /** The public test's own name. */
  readonly name: string;
  readonly bodies: readonly Body[];
  /** Texts of the warnings the case provokes; each must be logged, and no other. */
  readonly warns?: readonly string[];
  /** Settings of the machine besides `lockdep: true` and as many CPUs as the suite needs. */
  readonly config?: Partial<KernelConfig>;
  /** Why it cannot run here; the case is then reported as skipped. */
  readonly skip?: string;
  /** What stands for the test's duration if it runs for a time, in seconds (0: it does not). */
  readonly seconds?: number;
  /** The case ends what it stands on (a dying thread, a hang that is wanted): it gets a machine of its own. */
  readonly alone?: boolean;
}

export interface Suite {
  /** Such as "st-dma-fence". */
  readonly name: string;
  /** The public file, such as "drivers/dma-buf/st-dma-fence.c". */
  readonly source: string;
  readonly cases: readonly Case[];
}
