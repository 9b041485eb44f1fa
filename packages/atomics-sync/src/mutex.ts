/**
 * Mutex: mutual exclusion over one futex word (the three states of Drepper's "Futexes are tricky").
 *
 * Invariants: one thread at most is between lock and unlock. A sleeper implies the word is CONTENDED, or a
 * notify is on its way. Zeroed memory is a free mutex. Not recursive, not fair: a running thread may overtake a
 * sleeping one, which is what keeps a contended mutex from costing two context switches per section.
 *
 * Interface: mutexLock, then mutexUnlock by the same thread; guarded data is read and written with read and
 * write. Unlocking a free mutex is a bug and is not detected.
 */
import type { Memory } from "./memory.ts";

const STATE = 0;
/** Bytes of a mutex, 4-aligned. */
export const MUTEX_BYTES = 4;

const FREE = 0;
const LOCKED = 1;
/** Locked, and a sleeper may have to be woken. */
const CONTENDED = 2;

/** Pauses before sleeping, about 3 us: less than the sleep and wake it may save. */
const SPIN_LIMIT = 96;

/** Locks the mutex at `p`; sleeps while another thread holds it. */
export function mutexLock(mem: Memory, p: number): void {
  // Full order: pairs with the exchange in mutexUnlock. Without it this section could read what was there
  // before the previous owner's writes.
  if (mem.compareExchange(p + STATE, FREE, LOCKED) === FREE) return;
  if (spinForMutex(mem, p)) return;
  // From here on the word says CONTENDED, also when this thread gets the lock: it cannot know whether others
  // sleep. No wake-up is lost: an owner who unlocks after this exchange sees CONTENDED and notifies; one who
  // unlocked before it left FREE, which ends the loop; one who unlocks between exchange and wait changes the
  // word, so wait does not sleep.
  while (mem.exchange(p + STATE, CONTENDED) !== FREE) mem.wait(p + STATE, CONTENDED, Infinity);
}

/** Locks the mutex at `p` if it is free; false if it is not. Never sleeps. */
export function mutexTryLock(mem: Memory, p: number): boolean {
  return mem.compareExchange(p + STATE, FREE, LOCKED) === FREE;
}

/**
 * Locks the mutex at `p`, giving up after about `timeoutMs` of sleep (0 ... Infinity); true if it was locked.
 */
export function mutexLockTimeout(mem: Memory, p: number, timeoutMs: number): boolean {
  if (mem.compareExchange(p + STATE, FREE, LOCKED) === FREE) return true;
  if (spinForMutex(mem, p)) return true;
  const deadline = mem.now() + timeoutMs;
  let left = timeoutMs;
  while (mem.exchange(p + STATE, CONTENDED) !== FREE) {
    // Leaving CONTENDED behind costs the owner one needless notify, never a lost one.
    if (left <= 0) return false;
    mem.wait(p + STATE, CONTENDED, left);
    left = deadline - mem.now();
  }
  return true;
}

/** Unlocks the mutex at `p`, held by this thread. False: nobody held it. */
export function mutexUnlock(mem: Memory, p: number): boolean {
  // Full order: pairs with the compareExchange and exchange of the next owner, who must see this section's
  // writes. One sleeper is enough: it takes the lock as CONTENDED and so wakes the next one.
  const state = mem.exchange(p + STATE, FREE);
  if (state === CONTENDED) mem.notify(p + STATE, 1);
  return state !== FREE;
}

/**
 * Spins for a bounded time in the hope that the owner is running and nearly done. Stops at once if others
 * sleep already: with more threads than cores the owner may not be running at all.
 */
function spinForMutex(mem: Memory, p: number): boolean {
  for (let round = 0; round < SPIN_LIMIT; round++) {
    const state = mem.loadAcquire(p + STATE);
    if (state === CONTENDED) return false;
    if (state === FREE && mem.compareExchange(p + STATE, FREE, LOCKED) === FREE) return true;
    mem.pause();
  }
  return false;
}

/** A mutex at a fixed address. Any number of threads may each own one over the same address. */
export class Mutex {
  readonly mem: Memory;
  /** Address of MUTEX_BYTES zeroed bytes, 4-aligned. */
  readonly p: number;

  constructor(mem: Memory, p: number) {
    this.mem = mem;
    this.p = p;
  }

  /** Locks; sleeps while another thread holds the mutex. */
  lock(): void {
    mutexLock(this.mem, this.p);
  }
  /** Locks if free; false if not. Never sleeps. */
  tryLock(): boolean {
    return mutexTryLock(this.mem, this.p);
  }
  /** Locks, giving up after about `timeoutMs`; true if locked. */
  lockTimeout(timeoutMs: number): boolean {
    return mutexLockTimeout(this.mem, this.p, timeoutMs);
  }
  /** Unlocks; this thread must hold the mutex. */
  unlock(): void {
    mutexUnlock(this.mem, this.p);
  }
}
