/**
 * What lockdep keeps for one thread alone, beside the shared tables: nobody else needs it, and it would be slow there.
 */
import type { StackTrace } from "../debug/site.ts";
import { HELD_BYTES, HELD_LOCKS, lockdep_shadow } from "./lockdep-layout.ts";

export class LockdepThread {
  /** Address of this thread's held locks. */
  readonly held: number;
  /** Address of the shadow, and where the memory it covers ends. */
  readonly shadow: number;
  readonly covered: number;
  /** Entry of held_locks where the running task's begin; not 0 when a solo kernel runs a work inside a wait. */
  base: number = 0;
  /** Acquisitions that found the table of held locks full. */
  lost: number = 0;
  /** Nesting of spin_lock_irqsave. */
  irqs_off: number = 0;
  /** By depth: where the lock was taken, as long as nobody has asked. */
  readonly traces: StackTrace[] = [];
  /** Dependencies known to be in the graph, of this generation. */
  readonly edges: Set<number> = new Set<number>();
  generation: number = 0;
  /** Class numbers by name and subclass; by the text of a map's name. */
  readonly classes: Map<number, number> = new Map<number, number>();
  readonly maps: Map<string, number> = new Map<string, number>();

  constructor(region: number, id: number, threads: number, covered: number) {
    this.held = region + HELD_LOCKS + id * HELD_BYTES;
    this.shadow = region + lockdep_shadow(threads);
    this.covered = covered;
  }
}
