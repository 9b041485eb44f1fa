/**
 * Barrier: N threads meet; none leaves before all have arrived. Reusable at once.
 *
 * Invariants: between two phases every party has arrived exactly once. What a party wrote before arriving is
 * seen by all after leaving.
 *
 * Interface: barrierInit once, before other threads see it; then barrierArrive by each of the parties, phase
 * after phase. After a "timed-out" the barrier is broken (one arrival is still counted): do not use it again
 * before a new barrierInit with no thread inside.
 */
import type { Memory } from "./memory.ts";

// Written by barrierInit only.
const PARTIES = 0;
// Arrivals of this phase; the last one puts it back to 0 before it opens the next phase.
const ARRIVED = 4;
// Counts the phases that are over; sleepers wait on it.
const PHASE = 8;
/** Bytes of a barrier, 4-aligned. */
export const BARRIER_BYTES = 12;

const ALL = 0x7fffffff;
/** Pauses before sleeping, about 2 us. */
const SPIN_LIMIT = 64;

/** "leader" for the one party that arrived last, "passed" for the others. */
export type BarrierResult = "leader" | "passed" | "timed-out";

/** Makes the barrier at `p` one for `parties` threads (1 or more). Only while no thread uses it. */
export function barrierInit(mem: Memory, p: number, parties: number): void {
  mem.write(p + PARTIES, parties);
  mem.write(p + ARRIVED, 0);
  // Pairs with the loadAcquire in barrierArrive, should the address be handed over unordered.
  mem.storeRelease(p + PHASE, 0);
}

/** Arrives at the barrier at `p` and waits up to `timeoutMs` (0 ... Infinity) for the other parties. */
export function barrierArrive(mem: Memory, p: number, timeoutMs: number = Infinity): BarrierResult {
  // Read before arriving: the phase cannot end without this arrival.
  const phase = mem.loadAcquire(p + PHASE);
  // Full order: each arrival sees all before it, so the last one carries everybody's writes to the fetchAdd
  // of PHASE. Without it a party could leave and miss what an earlier one wrote.
  if (mem.fetchAdd(p + ARRIVED, 1) === mem.read(p + PARTIES) - 1) {
    // Ordered before the new phase by the fetchAdd: a party arriving in it never adds to the old count.
    mem.writeOnce(p + ARRIVED, 0);
    // Pairs with the loadAcquire in awaitPhase.
    mem.fetchAdd(p + PHASE, 1);
    mem.notify(p + PHASE, ALL);
    return "leader";
  }
  return awaitPhase(mem, p, phase, timeoutMs);
}

function awaitPhase(mem: Memory, p: number, phase: number, timeoutMs: number): BarrierResult {
  for (let spin = 0; spin < SPIN_LIMIT; spin++) {
    if (mem.loadAcquire(p + PHASE) !== phase) return "passed";
    mem.pause();
  }
  const deadline = mem.now() + timeoutMs;
  let left = timeoutMs;
  // Pairs with the fetchAdd of PHASE by the leader. No wake-up is lost: the phase changes before the notify, and
  // wait compares it before sleeping. The notify of the phase before may come late and find this one unchanged.
  while (mem.loadAcquire(p + PHASE) === phase) {
    if (left <= 0) return "timed-out";
    mem.wait(p + PHASE, phase, left);
    left = deadline - mem.now();
  }
  return "passed";
}

/** A barrier at a fixed address. */
export class Barrier {
  readonly mem: Memory;
  /** Address of BARRIER_BYTES, 4-aligned, made by barrierInit. */
  readonly p: number;

  constructor(mem: Memory, p: number) {
    this.mem = mem;
    this.p = p;
  }

  /** Makes it a barrier for `parties` threads; only while no thread uses it. */
  init(parties: number): void {
    barrierInit(this.mem, this.p, parties);
  }
  /** Arrives and waits up to `timeoutMs` for the others. */
  arrive(timeoutMs: number = Infinity): BarrierResult {
    return barrierArrive(this.mem, this.p, timeoutMs);
  }
}
