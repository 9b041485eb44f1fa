/**
 * Delays (include/linux/delay.h, kernel/time/sleep_timeout.c). msleep sleeps. mdelay keeps the CPU busy: the task does
 * not sleep, so for the workqueue a worker in it goes on running.
 *
 * On the virtual clock mdelay occupies a simulated CPU, that of the pool for a worker of a bound pool, else the
 * thread's own: of two that want one CPU the second waits until the first has slept or is through, as on a real CPU
 * without preemption. What a task does between delays takes no time and no CPU; mdelay(cpu, 0) waits until the task
 * would be on its CPU.
 */
import type { Cpu } from "./cpu.ts";
import { schedule_timeout } from "./schedule.ts";
import { set_current_state, TASK_UNINTERRUPTIBLE } from "./task.ts";
import { virtual_clock_burn } from "./virtual-clock.ts";
import { WORKER_POOL } from "./wq-idle.ts";
import { pool_is_unbound, raw_smp_processor_id } from "./wq-worker.ts";

/** Sleeps at least `ms`, whatever wakes the task meanwhile. */
export function msleep(cpu: Cpu, ms: number): void {
  let left = ms;
  while (left > 0) {
    set_current_state(cpu, TASK_UNINTERRUPTIBLE);
    left = schedule_timeout(cpu, left);
  }
}

/** Keeps the CPU busy for `ms`. On the virtual clock not with a spinlock held that others want. */
export function mdelay(cpu: Cpu, ms: number): void {
  if (cpu.config.clock === "virtual") {
    virtual_clock_burn(cpu, simulated_cpu(cpu), ms);
    return;
  }
  const end = cpu.now() + ms;
  while (cpu.now() < end) cpu.mem.pause();
}

/** Every thread is a CPU of its own, but the workers of a bound pool share the pool's. */
function simulated_cpu(cpu: Cpu): number {
  const pool = cpu.worker === 0 ? 0 : cpu.mem.read(cpu.worker + WORKER_POOL);
  return pool === 0 || pool_is_unbound(cpu, pool) ? cpu.id : raw_smp_processor_id(cpu);
}

/** As mdelay, for microseconds. */
export function udelay(cpu: Cpu, us: number): void {
  mdelay(cpu, us / 1000);
}
