/**
 * schedule() (kernel/sched/core.c): the only place where kernel code blocks.
 *
 * It tells the workqueue, takes interrupts and timers, reports an RCU quiescent state and goes offline,
 * sleeps, and undoes all that. One task per CPU: nobody else runs here meanwhile.
 *
 * Interface: set_current_state(), test the condition, schedule(); in a loop. Sleeping with a spinlock held
 * or inside a read section warns.
 */
import { show_state_poll } from "../debug/show-state.ts";
import { LOG_WARN, printk } from "../debug/dmesg.ts";
import {
  path_count,
  PATH_SLEEPS,
  PATH_SLEPT_US,
  PATH_SPIN_ROUNDS,
  PATH_SPUN,
} from "../debug/path-counters.ts";
import { symbol_call } from "../debug/image.ts";
import { WARN_ONCE } from "../debug/warn.ts";
import {
  lockdep_rcu_suspicious,
  lockdep_sleep,
  lockdep_switch_back,
  lockdep_switch_task,
  lockdep_sys_exit,
} from "../lock/lockdep.ts";
import { rcu_note_qs, rcu_offline, rcu_online } from "../rcu/qs.ts";
import { SOFTIRQ_OFFSET, type Cpu } from "./cpu.ts";
import { irq_is_pending, irq_poll } from "./irq.ts";
import {
  current_state,
  futex_sleep,
  set_current_state,
  set_sleeps_since,
  set_task_where,
  signal_pending_state,
  TASK_IN_KERNEL,
  TASK_OUTSIDE,
  TASK_RUNNING,
  wake_sequence,
} from "./task.ts";
import { timers_next_ms, timers_run } from "./timer.ts";
import { wq_worker_running, wq_worker_sleeping } from "./wq-worker.ts";

// Hot: local copies, since a read of an imported constant costs several times as much.
const RUNNING = TASK_RUNNING;

const SPUN = PATH_SPUN;
const SPIN_ROUNDS = PATH_SPIN_ROUNDS;
const SLEEPS = PATH_SLEEPS;
const SLEPT_US = PATH_SLEPT_US;

/** Jiffies are milliseconds (HZ = 1000). */
export const MAX_SCHEDULE_TIMEOUT = 0x7fffffff;

/** might_sleep(): warns where sleeping is forbidden. */
export function might_sleep(cpu: Cpu): void {
  WARN_ONCE(cpu, cpu.preempt_count !== 0 || cpu.in_irq, "BUG: sleeping function called from invalid context");
  if (cpu.rcu_nesting !== 0) illegal_in_reader(cpu);
}

/** Who sleeps in a read section holds up every grace period, maybe the one it waits for. */
function illegal_in_reader(cpu: Cpu): void {
  const text = "Illegal context switch in RCU read-side critical section!";
  if (cpu.lockdep) lockdep_rcu_suspicious(cpu, text);
  else WARN_ONCE(cpu, true, text);
}

export function in_atomic(cpu: Cpu): boolean {
  return cpu.preempt_count !== 0 || cpu.in_irq;
}

export function in_softirq(cpu: Cpu): boolean {
  return cpu.preempt_count >= SOFTIRQ_OFFSET;
}

/** Safe point: interrupts, timers, a quiescent state. Call it in every long loop. */
export function cond_resched(cpu: Cpu): void {
  irq_poll(cpu);
  timers_run(cpu);
  rcu_note_qs(cpu);
}

export function schedule(cpu: Cpu): void {
  schedule_timeout(cpu, MAX_SCHEDULE_TIMEOUT);
}

/**
 * Sleeps until woken or `timeout` ms passed. Returns the ms left: 0 when it ran out (at least 1 when woken
 * early), MAX_SCHEDULE_TIMEOUT when there was no limit. The state is TASK_RUNNING afterwards.
 */
export function schedule_timeout(cpu: Cpu, timeout: number): number {
  WARN_ONCE(cpu, in_atomic(cpu), "BUG: scheduling while atomic");
  if (timeout < 0) return wrong_timeout(cpu, timeout);
  // sched_submit_work: requests this task holds back may be what it is about to wait for. The plug's first
  // word is its flush function (block/plug.ts).
  if (cpu.plug !== 0) symbol_call(cpu, cpu.mem.read(cpu.plug), cpu.plug);
  const deadline = timeout === MAX_SCHEDULE_TIMEOUT ? Number.POSITIVE_INFINITY : cpu.now() + timeout;
  wq_worker_sleeping(cpu);
  while (!runnable(cpu)) {
    if (cpu.now() >= deadline) break;
    sleep_once(cpu, deadline);
  }
  wq_worker_running(cpu);
  set_current_state(cpu, RUNNING);
  cond_resched(cpu);
  if (timeout === MAX_SCHEDULE_TIMEOUT) return MAX_SCHEDULE_TIMEOUT;
  const left = Math.ceil(deadline - cpu.now());
  return left > 0 ? left : 0;
}

function wrong_timeout(cpu: Cpu, timeout: number): number {
  printk(cpu, LOG_WARN, `schedule_timeout: wrong timeout value ${timeout}`);
  set_current_state(cpu, RUNNING);
  return 0;
}

function runnable(cpu: Cpu): boolean {
  cond_resched(cpu);
  const state = current_state(cpu);
  return state === RUNNING || signal_pending_state(cpu, state);
}

/** One stretch of idleness: spin a little, then sleep; RCU may ignore this CPU meanwhile. */
function sleep_once(cpu: Cpu, deadline: number): void {
  const sequence = wake_sequence(cpu);
  if (current_state(cpu) === RUNNING || irq_is_pending(cpu)) return;
  if (signal_pending_state(cpu, current_state(cpu))) return;
  rcu_offline(cpu);
  if (cpu.platform.idle !== undefined) solo_idle(cpu, deadline);
  else if (!spin_for_wake(cpu, sequence)) {
    const until = Math.min(deadline, timers_next_ms(cpu));
    const before = cpu.now();
    if (until > before) {
      set_sleeps_since(cpu, before);
      if (cpu.lockdep) lockdep_sleep(cpu);
      futex_sleep(cpu, sequence, until - before);
      const slept = cpu.now() - before;
      path_count(cpu, SLEEPS, 1);
      path_count(cpu, SLEPT_US, slept * 1000);
      cpu.idle_spin.lost(slept);
    }
    cpu.shown = show_state_poll(cpu, cpu.shown, current_state(cpu));
  }
  rcu_online(cpu);
}

/** Spins for a wake-up. */
function spin_for_wake(cpu: Cpu, sequence: number): boolean {
  const rounds = cpu.idle_spin.rounds;
  for (let i = 0; i < rounds; i++) {
    if (wake_sequence(cpu) !== sequence) {
      cpu.idle_spin.won();
      path_count(cpu, SPUN, 1);
      path_count(cpu, SPIN_ROUNDS, i);
      return true;
    }
    cpu.mem.pause();
  }
  path_count(cpu, SPIN_ROUNDS, rounds);
  return false;
}

/** A solo kernel has no other threads: the platform runs their work here, on this stack. */
function solo_idle(cpu: Cpu, deadline: number): void {
  rcu_online(cpu);
  const base = lockdep_switch_task(cpu);
  const worked = cpu.platform.idle?.(cpu) === true;
  lockdep_switch_back(cpu, base);
  if (!worked && deadline === Number.POSITIVE_INFINITY && timers_next_ms(cpu) === Number.POSITIVE_INFINITY) {
    throw new Error("solo kernel: the task would sleep forever");
  }
}

/** Enters kernel code on this thread: RCU watches it from here on. */
export function cpu_enter(cpu: Cpu): void {
  set_task_where(cpu, TASK_IN_KERNEL);
  rcu_online(cpu);
}

/** Leaves kernel code: the thread returns to its event loop and owes no quiescent states. */
export function cpu_exit(cpu: Cpu): void {
  if (cpu.lockdep) lockdep_sys_exit(cpu);
  set_task_where(cpu, TASK_OUTSIDE);
  rcu_offline(cpu);
}
