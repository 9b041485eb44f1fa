/**
 * Check scenarios: small programs for the controlled scheduler, over the kernel or over atomics-sync alone.
 *
 * A scenario has one correct form, named "correct", and broken forms that the checker must find. A form is a variant of
 * its threads, a configuration, a mutant of the sources, or several of these.
 */
import type { Memory } from "atomics-sync/memory";
import type { KernelConfig, Variant } from "@ringside/core/mm/memory-map";
import type { Cpu } from "@ringside/core/sched/cpu";

/**
 * What a form is expected to come to: clean, or the kind of failure (the checker's FailureKind); "a or b" where it
 * depends on the schedule which of them is met first.
 */
export type Expectation = "clean" | (string & {});

interface FormBase {
  /** One line. */
  readonly summary: string;
  readonly expect: Expectation;
  /** A mutant of the sources (mutants/), applied before they load. */
  readonly mutant?: string;
  /** Part of the message that tells the failure it is about from others of the same kind. */
  readonly message?: string;
}

/** Threads of a kernel scenario: thread i runs as a task on CPU i. */
export interface KernelForm extends FormBase {
  readonly threads: Readonly<Record<string, (cpu: Cpu) => void>>;
  /** On CPU 0 after the scenario's setup, unscheduled, once: what this form has otherwise. */
  readonly start?: (cpu: Cpu) => void;
  /** Runs on CPU 0 when all threads have ended: tears down, so that leaks show. */
  readonly lastly?: (cpu: Cpu) => void;
  readonly config?: Partial<KernelConfig>;
  /** Texts of warnings and violations that do not end an execution: forms that are about what comes after them. */
  readonly tolerates?: readonly string[];
  /** Expectations that depend on config.variant; `expect` is for the others. */
  readonly variants?: Readonly<Partial<Record<Variant, Expectation>>>;
}

export interface KernelScenario {
  readonly kind: "kernel";
  readonly name: string;
  readonly summary: string;
  /** On CPU 0 after boot, unscheduled, once. What it allocates must be free when `lastly` is over. */
  readonly setup?: (cpu: Cpu) => void;
  /**
   * Source files at whose steps the scheduler has a say, as prefixes of paths ("packages/core/src/dma/token"); with
   * "#name" of one function only; all if absent. It always has one where a thread blocks.
   */
  readonly focus?: readonly string[];
  /** Kworker threads; default 2. */
  readonly kworkers?: number;
  readonly forms: Readonly<Record<string, KernelForm>>;
}

export interface MemoryForm extends FormBase {
  readonly threads: Readonly<Record<string, (memory: Memory) => void>>;
  /** Unscheduled, at the end: throws when the result is wrong. */
  readonly after?: (memory: Memory) => void;
}

export interface MemoryScenario {
  readonly kind: "memory";
  readonly name: string;
  readonly summary: string;
  readonly bytes: number;
  /** How often a thread that spins gives up and sleeps, in one execution; see Program of the checker. */
  readonly spins?: number;
  readonly setup?: (memory: Memory) => void;
  readonly forms: Readonly<Record<string, MemoryForm>>;
}

export type CheckScenario = KernelScenario | MemoryScenario;

/** `kind` of the failure that was found; undefined for none. */
export function is_expected(expect: Expectation, kind: string | undefined): boolean {
  return expect.split(" or ").includes(kind ?? "clean");
}

/** The form every scenario has. */
export const CORRECT = "correct";

/** What a form should come to, with this variant of the sources if one is asked for. */
export function expectation(form: KernelForm | MemoryForm, variant: Variant | undefined): Expectation {
  if (!("variants" in form) || form.variants === undefined) return form.expect;
  const asked = variant ?? form.config?.variant;
  return (asked === undefined ? undefined : form.variants[asked]) ?? form.expect;
}
