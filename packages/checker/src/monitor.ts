/**
 * Monitor: somebody who follows an execution and may find something wrong with it. Monitors see every op after it was
 * executed, in the order of execution, and the edges that blocking makes; they never change what the program sees.
 *
 * A monitor keeps its own state and starts afresh in `begin`. To report: `world.find(...)`; the first finding wins.
 */
import type { BadAccess } from "atomics-sync/checked-memory";
import type { ControlledMemory } from "./controlled-memory.ts";

export interface Monitor {
  readonly name: string;
  /** It reports every data race between plain accesses, so that searches may take them for ordered. */
  readonly races?: boolean;
  /** A new execution of `threads` threads starts. */
  begin(threads: number): void;
  /** `mem.thread` executed `mem.kind` at `mem.p`, from `mem.site`; `mem.result` is the value. */
  executed(mem: ControlledMemory): void;
  /** Thread `sleeper`, asleep in a wait, was woken by a notify of `waker`; -1: its time ran out. */
  woken?(sleeper: number, waker: number): void;
  /** Thread `before` has ended, or is a daemon at rest; thread `after` starts because of it (lastly). */
  joined?(before: number, after: number): void;
  /** An access the shadow forbids. True: reported, or known to be fine. */
  badAccess?(mem: ControlledMemory, report: BadAccess): boolean;
  /** The execution ended by itself, without a finding so far. */
  end?(): void;
}
