/** Steps that all roles share. */
import { backoff } from "../backoff.ts";
import type { Memory } from "../memory.ts";
import { GATE, NEVER } from "./layout.ts";

/** A wait inside a role that takes this long is a failure. */
export const WAIT_MS = 10_000;

/** Sleeps about 0.05 ms: whoever can run, runs. */
export function nap(mem: Memory): void {
  mem.wait(NEVER, 0, 0.05);
}

/** Returns when `threads` threads have come here. */
export function passGate(mem: Memory, threads: number): void {
  mem.fetchAdd(GATE, 1);
  for (let round = 0; ; ) {
    const seen = mem.loadAcquire(GATE);
    if (seen >= threads) return;
    round = backoff(mem, GATE, seen, round);
  }
}
