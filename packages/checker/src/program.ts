/**
 * Program: what is checked. A set of thread functions over one shared memory, with an optional start and checks at
 * the end.
 *
 * Thread functions are ordinary code over a Memory once the loader has made coroutines of them; generator
 * functions written by hand work as well. They keep no state outside the memory between executions, and take time,
 * randomness and choices from their ThreadContext only: the same schedule must meet the same steps.
 */
import type { Memory } from "atomics-sync/memory";
import type { FailureKind } from "./world.ts";

/** What a thread may ask of the checker, besides memory. */
export interface ThreadContext {
  /** 0 ... threads-1. */
  readonly id: number;
  readonly name: string;
  /** A choice of the search: 0 ... n-1; 0 is the ordinary case. n is 1 ... 255. */
  choose(n: number): number;
  /** Ends the execution with a failure, an assertion unless `kind` says else. `report`: its whole text. */
  fail(message: string, kind?: FailureKind, report?: string): void;
  /** Fails unless `condition`. */
  assert(condition: boolean, message: string): void;
}

export type ThreadBody = (memory: Memory, thread: ThreadContext) => unknown;

export interface ThreadSpec {
  readonly name: string;
  readonly body: ThreadBody;
  /** May still wait, or be in the middle of something, when the others have ended. */
  readonly daemon?: boolean;
}

export interface Program {
  readonly name: string;
  /** Bytes of shared memory, zeroed, rounded up to 64 KiB; default 4096. Address 0 is null. */
  readonly bytes?: number;
  /** Runs once, unscheduled; what it leaves in memory is how every execution starts. */
  readonly setup?: (memory: Memory) => unknown;
  /** Called before each execution, for state outside memory (contexts of threads). Unscheduled; touches no memory. */
  readonly before?: () => void;
  /** 1 ... MAX_THREADS. */
  readonly threads: readonly (ThreadBody | ThreadSpec)[];
  /** A last thread: starts, after all they have done, when the others have ended and the daemons are at rest. */
  readonly lastly?: ThreadBody;
  /** Runs unscheduled after all have ended; throws, or reads memory and throws, if the result is wrong. */
  readonly after?: (memory: Memory) => unknown;
  /** Names the final state, for sets and histograms of outcomes. Runs after `after`. */
  readonly outcome?: (memory: Memory) => unknown;
  /** Sites where the scheduler has a say; all by default. The others run with the step before them. */
  readonly focus?: (file: string, name: string) => boolean;
  /**
   * How often in an execution a thread that spins with pauses may do so until it gives up, though nothing changes: code
   * that spins a while and then sleeps gets to its sleep no other way. Default 0: spinning lasts until something
   * changes.
   */
  readonly spins?: number;
  /** Names a place for reports: a lock, a fence, a work; undefined or "" if it is nothing to speak of. */
  readonly describe?: (place: number) => string | undefined;
  /** What a proof rests on besides the checker's own assumptions. */
  readonly assumes?: readonly string[];
}

/** Threads of a program at most, the last one included: the largest published benchmarks have 101. */
export const MAX_THREADS = 128;

/** Threads of a program, named: t0, t1 ... unless they say. */
export function threadsOf(program: Program): ThreadSpec[] {
  const specs = program.threads.map((thread, i): ThreadSpec => {
    if (typeof thread !== "function") {
      if (typeof (thread as ThreadSpec | undefined)?.body === "function") return thread;
      throw new TypeError(`program ${program.name}: thread ${i} is no function, and has no body that is one`);
    }
    return { name: thread.name === "" ? `t${i}` : thread.name, body: thread };
  });
  const lastly: ThreadSpec[] = program.lastly === undefined ? [] : [{ name: "lastly", body: program.lastly }];
  const count = specs.length + lastly.length;
  if (count < 1 || count > MAX_THREADS)
    throw new RangeError(`program ${program.name}: ${count} threads, expected 1 ... ${MAX_THREADS}`);
  return unique([...specs, ...lastly]);
}

/** Two threads of one function get numbers. */
function unique(specs: readonly ThreadSpec[]): ThreadSpec[] {
  return specs.map((spec, i) => {
    const same = specs.filter((other) => other.name === spec.name);
    if (same.length === 1) return spec;
    return {
      ...spec,
      name: `${spec.name} ${specs.slice(0, i + 1).filter((s) => s.name === spec.name).length}`,
    };
  });
}
