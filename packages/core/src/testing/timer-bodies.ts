/** What the CPUs do in timer-threads.test.ts: one timer that many arm, timers of other CPUs, the housekeeping CPU. */
import { kernel_static, kernel_symbol } from "../debug/image.ts";
import type { Cpu } from "../sched/cpu.ts";
import { cond_resched, schedule_timeout } from "../sched/schedule.ts";
import { set_current_state, TASK_UNINTERRUPTIBLE } from "../sched/task.ts";
import {
  add_timer_on,
  mod_timer,
  timer_delete_sync,
  TIMER_HOUSEKEEPING,
  timer_pending,
  type TimerPtr,
  timer_reduce,
  timer_set_expires,
  timer_setup,
  timer_shutdown_sync,
  TIMER_SIZE,
} from "../sched/timer.ts";
import { timer_target } from "../sched/timer-base.ts";
import { linger, rendezvous } from "./rendezvous.ts";

const TIMER = kernel_static("timer_bodies_timer", TIMER_SIZE) as TimerPtr;
const STATE = kernel_static("timer_bodies", 256);
const RUNNING = 0;
const TOGETHER = 4;
const FIRED = 8;
/** CPU number + 1 the function ran on last. */
const RAN_ON = 12;
const SHUT = 16;
const LATE = 20;
const POINT = 128;

const ALONE = kernel_symbol(run_alone);
/** Never on two CPUs at once. */
function run_alone(cpu: Cpu): void {
  if (cpu.mem.fetchAdd(STATE + RUNNING, 1) !== 0) cpu.mem.fetchAdd(STATE + TOGETHER, 1);
  if (cpu.mem.loadAcquire(STATE + SHUT) !== 0) cpu.mem.fetchAdd(STATE + LATE, 1);
  linger(cpu, 3000);
  cpu.mem.storeRelease(STATE + RAN_ON, cpu.id + 1);
  // Last but one: who sees the count reads where it ran.
  cpu.mem.fetchAdd(STATE + FIRED, 1);
  cpu.mem.fetchSub(STATE + RUNNING, 1);
}

export function set_up(cpu: Cpu): void {
  timer_setup(cpu, TIMER, ALONE);
}

/** All CPUs arm one timer for now, and come to safe points. Returns how often it ran on two CPUs at once. */
export function arm_together(cpu: Cpu, rounds: number): number {
  rendezvous(cpu, STATE + POINT, cpu.config.cpus);
  for (let i = 0; i < rounds; i++) {
    if (cpu.random32() % 3 === 0) timer_reduce(cpu, TIMER, cpu.now() + 1);
    else mod_timer(cpu, TIMER, cpu.now() - 1);
    linger(cpu, 300);
    cond_resched(cpu);
    linger(cpu, 300);
  }
  rendezvous(cpu, STATE + POINT, cpu.config.cpus);
  if (cpu.id === 0) timer_delete_sync(cpu, TIMER);
  rendezvous(cpu, STATE + POINT, cpu.config.cpus);
  return cpu.mem.loadAcquire(STATE + TOGETHER);
}

/** CPU 0 shuts the timer down while the others arm it as fast as they can. Returns runs and pendings afterwards. */
export function shut_down(cpu: Cpu, rounds: number): number {
  let wrong = 0;
  for (let i = 0; i < rounds; i++) {
    rendezvous(cpu, STATE + POINT, cpu.config.cpus);
    if (cpu.id === 0) {
      linger(cpu, 2000);
      timer_shutdown_sync(cpu, TIMER);
      cpu.mem.storeRelease(STATE + SHUT, 1);
      linger(cpu, 4000);
      if (timer_pending(cpu, TIMER)) wrong++;
    } else {
      for (let k = 0; k < 30; k++) {
        mod_timer(cpu, TIMER, cpu.now() - 1);
        cond_resched(cpu);
      }
    }
    rendezvous(cpu, STATE + POINT, cpu.config.cpus);
    if (cpu.id === 0) {
      timer_setup(cpu, TIMER, ALONE);
      cpu.mem.storeRelease(STATE + SHUT, 0);
    }
    rendezvous(cpu, STATE + POINT, cpu.config.cpus);
  }
  return wrong + cpu.mem.loadAcquire(STATE + LATE);
}

/** CPU 0 arms the timer on CPU 1, which sleeps for long. Returns how often it did not run there soon. */
export function arm_remote(cpu: Cpu, rounds: number): number {
  let wrong = 0;
  for (let i = 0; i < rounds; i++) {
    const fired = cpu.mem.loadAcquire(STATE + FIRED);
    timer_set_expires(cpu, TIMER, cpu.now() + (i % 3));
    add_timer_on(cpu, TIMER, 1);
    if (!wait_fired(cpu, fired + 1) || cpu.mem.loadAcquire(STATE + RAN_ON) !== 2) wrong++;
  }
  cpu.mem.storeRelease(STATE + SHUT, 1);
  // One more, for the sleeper to see it.
  timer_setup(cpu, TIMER, ALONE);
  timer_set_expires(cpu, TIMER, cpu.now());
  add_timer_on(cpu, TIMER, 1);
  return wrong;
}
export function sleep_long(cpu: Cpu): void {
  while (cpu.mem.loadAcquire(STATE + SHUT) === 0) {
    set_current_state(cpu, TASK_UNINTERRUPTIBLE);
    schedule_timeout(cpu, 200);
  }
}

function wait_fired(cpu: Cpu, fired: number): boolean {
  const limit = cpu.now() + 5000;
  // Without a safe point: as in user code.
  while (cpu.mem.loadAcquire(STATE + FIRED) < fired && cpu.now() < limit) cpu.mem.pause();
  return cpu.mem.loadAcquire(STATE + FIRED) >= fired;
}

/** The bodies may start before rcu_gp does: until then there is no housekeeping CPU, and each runs its own timers. */
function wait_for_housekeeper(cpu: Cpu): void {
  const limit = cpu.now() + 5000;
  while (timer_target(cpu, TIMER) === cpu.id && cpu.now() < limit) linger(cpu, 1000);
}

/** Arms a timer and does not come to a safe point. Returns the CPU that ran it + 1, or 0. */
export function arm_and_leave(cpu: Cpu, housekeeping: boolean): number {
  timer_setup(cpu, TIMER, ALONE, housekeeping ? TIMER_HOUSEKEEPING : 0);
  if (housekeeping) wait_for_housekeeper(cpu);
  mod_timer(cpu, TIMER, cpu.now() + 5);
  const limit = cpu.now() + (housekeeping ? 5000 : 100);
  while (cpu.mem.loadAcquire(STATE + FIRED) === 0 && cpu.now() < limit) cpu.mem.pause();
  const ran_on = cpu.mem.loadAcquire(STATE + RAN_ON);
  timer_delete_sync(cpu, TIMER);
  return ran_on;
}

export function fired(cpu: Cpu): number {
  return cpu.mem.loadAcquire(STATE + FIRED);
}
