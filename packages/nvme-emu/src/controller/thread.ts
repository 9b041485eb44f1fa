/**
 * The controller's thread: rounds while there is work, a little spinning when there is none, then sleep.
 *
 * A sleeping device costs nothing, and a host that rings pays for the wake-up only then: it looks at the
 * SLEEPING word of the device's task (nvme_ring_device). The spin budget adapts (sched/spin-budget.ts).
 *
 * Interface: nvme_controller_thread(cpu, media_base, media_bytes) with the device's context; it returns when
 * kthread_should_stop says so.
 */
import {
  path_count,
  PATH_SLEEPS,
  PATH_SLEPT_US,
  PATH_SPIN_ROUNDS,
  PATH_SPUN,
} from "@ringside/core/debug/path-counters";
import type { Cpu } from "@ringside/core/sched/cpu";
import { kthread_should_stop } from "@ringside/core/sched/kthread";
import { futex_announce, futex_retract, futex_sleep, wake_sequence } from "@ringside/core/sched/task";
import { NvmeController } from "./controller.ts";

/** Pauses between two looks: each look takes the doorbell's line away from the host that is about to write it. */
const PAUSES = 8;

const SPUN = PATH_SPUN;
const SPIN_ROUNDS = PATH_SPIN_ROUNDS;
const SLEEPS = PATH_SLEEPS;
const SLEPT_US = PATH_SLEPT_US;

/** A round of the controller costs about as much as four of the idle loop. */
const STEP_SHIFT = 2;
/** Longest sleep: whoever stops the machine need not kick the device. */
const SLEEP_MS = 50;
/** Sleep while interrupts are deferred: the unit of the coalescing time. */
const SLEEP_DEFERRED_MS = 0.1;

export function nvme_controller_thread(cpu: Cpu, media_base: number, media_bytes: number): void {
  const controller = new NvmeController(cpu, media_base, media_bytes, true);
  while (!kthread_should_stop(cpu)) {
    if (controller.step() || spin_for_work(cpu, controller, cpu.idle_spin.rounds >> STEP_SHIFT)) continue;
    nvme_idle(cpu, controller);
  }
  controller.power_off();
}

function spin_for_work(cpu: Cpu, controller: NvmeController, rounds: number): boolean {
  for (let i = 1; i <= rounds; i++) {
    for (let j = 0; j < PAUSES; j++) cpu.mem.pause();
    if (!controller.step()) continue;
    cpu.idle_spin.won();
    path_count(cpu, SPUN, 1);
    path_count(cpu, SPIN_ROUNDS, i);
    return true;
  }
  path_count(cpu, SPIN_ROUNDS, rounds);
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
  const before = cpu.now();
  futex_sleep(cpu, sequence, controller.state.deferred ? SLEEP_DEFERRED_MS : SLEEP_MS);
  const slept = cpu.now() - before;
  path_count(cpu, SLEEPS, 1);
  path_count(cpu, SLEPT_US, slept * 1000);
  cpu.idle_spin.lost(slept);
}
