/** Meeting points for the bodies of a test machine. They keep RCU, interrupts and timers going while they wait. */
import type { Cpu } from "../sched/cpu.ts";
import { msleep } from "../sched/delay.ts";
import { cond_resched } from "../sched/schedule.ts";

/** Bytes of a meeting point, zeroed: a counter of arrivals. */
export const RENDEZVOUS_SIZE = 4;

/** Waits until `parties` CPUs have come here; the same point serves any number of rounds. */
export function rendezvous(cpu: Cpu, point: number, parties: number): void {
  const ticket = cpu.mem.fetchAdd(point, 1);
  const full = ticket - (ticket % parties) + parties;
  wait_until(cpu, point, full);
}

/** Waits until the word is at least `value`. Spins, and naps when that takes long: threads outnumber cores. */
export function wait_until(cpu: Cpu, word: number, value: number): void {
  for (let round = 0; cpu.mem.loadAcquire(word) < value; round++) {
    if (round < 100) cpu.mem.pause();
    else msleep(cpu, 1);
    cond_resched(cpu);
  }
}

/** Stays busy for up to `rounds` pauses: lets other threads into whatever window this is. */
export function linger(cpu: Cpu, rounds: number): void {
  for (let i = cpu.random32() % rounds; i > 0; i--) cpu.mem.pause();
}
