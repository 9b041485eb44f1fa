/**
 * The controller's thread: rounds while there is work, a little spinning when there is none, then sleep.
 *
 * A sleeping device costs nothing, and a host that rings pays for the wake-up only then: it looks at the
 * SLEEPING word of the device's task (nvme_ring_device). The spin budget adapts, since on a machine with more
 * threads than cores each spin may be the time the host needs to answer.
 *
 * Interface: nvme_controller_thread(cpu, media_base, media_bytes) with the device's context; it returns when
 * kthread_should_stop says so.
 */
import type { Cpu } from "@ringside/core/sched/cpu";
import { kthread_should_stop } from "@ringside/core/sched/kthread";
import { futex_announce, futex_retract, futex_sleep, wake_sequence } from "@ringside/core/sched/task";
import { NvmeController } from "./controller.ts";

/** Idle rounds before the thread sleeps; adapts between these. */
const SPIN_MIN = 8;
const SPIN_MAX = 400;
/** Longest sleep: whoever stops the machine need not kick the device. */
const SLEEP_MS = 50;
/** Sleep while interrupts are deferred: the unit of the coalescing time. */
const SLEEP_DEFERRED_MS = 0.1;

export function nvme_controller_thread(cpu: Cpu, media_base: number, media_bytes: number): void {
  const controller = new NvmeController(cpu, media_base, media_bytes, true);
  let spin = SPIN_MIN;
  while (!kthread_should_stop(cpu)) {
    if (controller.step()) continue;
    if (spin_for_work(cpu, controller, spin)) spin = Math.min(SPIN_MAX, spin * 2);
    else {
      spin = Math.max(SPIN_MIN, spin >> 1);
      nvme_idle(cpu, controller);
    }
  }
  controller.power_off();
}

function spin_for_work(cpu: Cpu, controller: NvmeController, rounds: number): boolean {
  for (let i = 0; i < rounds; i++) {
    cpu.mem.pause();
    if (controller.step()) return true;
  }
  return false;
}

/** Sleeps unless there is work after all. */
function nvme_idle(cpu: Cpu, controller: NvmeController): void {
  const sequence = wake_sequence(cpu);
  // Pairs with nvme_ring_device: from here on a host that stores a doorbell sees us sleeping and kicks, and
  // the round below sees what was stored before. With the two in the other order a command could be missed.
  futex_announce(cpu);
  if (controller.step(true) || kthread_should_stop(cpu)) {
    futex_retract(cpu);
    return;
  }
  futex_sleep(cpu, sequence, controller.state.deferred ? SLEEP_DEFERRED_MS : SLEEP_MS);
}
