/**
 * Wrong use of locks, of sleep and of RCU: each gets the kernel's complaint and the kernel's answer, with lockdep and
 * without; no exception, no hang, and the kernel goes on. Where Linux would hang for ever, a task here is told and goes
 * on, with lockdep. What is misused of memory, works, files and fences is in misuse-objects.test.ts; ww_mutex,
 * percpu_ref and refcount_t have conformance suites.
 */
import { beforeEach, describe, expect, test } from "vitest";
import { kernel_static, kernel_symbol } from "./image.ts";
import { mutex_destroy, mutex_is_locked, mutex_lock, mutex_unlock } from "../lock/mutex.ts";
import { spin_is_locked, spin_unlock } from "../lock/spinlock.ts";
import { GFP_KERNEL, kfree, kmalloc } from "../mm/slab.ts";
import { call_rcu, rcu_barrier, rcu_read_unlock, type RcuHeadPtr, synchronize_rcu } from "../rcu/rcu.ts";
import { wait_for_completion_timeout } from "../sched/completion.ts";
import { Cpu } from "../sched/cpu.ts";
import { schedule_timeout } from "../sched/schedule.ts";
import { mod_timer, type TimerPtr, timer_setup, TIMER_SIZE } from "../sched/timer.ts";
import {
  ATOMIC_SLEEP,
  boot_misuse,
  DONE,
  in_reader,
  type Misuse,
  misuse_faults,
  MUTEX,
  NOT_OWNER,
  NOTHING,
  READER_SLEEP,
  SPIN,
  with_spinlock,
} from "../testing/misuse.ts";

const TIMER = kernel_static("misuse_timer", TIMER_SIZE) as TimerPtr;
const HEAD = kernel_static("misuse_rcu_head", 8) as RcuHeadPtr;
const BARRIER = kernel_symbol(misuse_barrier);
const SLEEP = kernel_symbol(misuse_sleep);

function misuse_barrier(cpu: Cpu): void {
  rcu_barrier(cpu);
}
function misuse_sleep(cpu: Cpu): void {
  wait_for_completion_timeout(cpu, DONE, 1);
}

const LOCKS: readonly Misuse[] = [
  {
    name: "unlocking a mutex that nobody holds",
    use: (cpu) => {
      mutex_unlock(cpu, MUTEX);
      return mutex_is_locked(cpu, MUTEX);
    },
    answer: false,
    plain: NOT_OWNER,
    lockdep: "bad unlock balance detected!",
  },
  {
    name: "unlocking another task's mutex leaves it to that one",
    use: (cpu) => {
      const other = new Cpu(cpu.mem, 1, cpu.config, cpu.platform);
      mutex_lock(other, MUTEX);
      mutex_unlock(cpu, MUTEX);
      const locked = mutex_is_locked(cpu, MUTEX);
      mutex_unlock(other, MUTEX);
      return locked;
    },
    answer: true,
    plain: NOT_OWNER,
  },
  {
    name: "locking one's own mutex",
    use: (cpu) => {
      mutex_lock(cpu, MUTEX);
      mutex_lock(cpu, MUTEX);
      mutex_unlock(cpu, MUTEX);
      const locked = mutex_is_locked(cpu, MUTEX);
      mutex_unlock(cpu, MUTEX);
      return locked;
    },
    answer: true,
    hangs: true,
    lockdep: "possible recursive locking detected",
  },
  {
    name: "destroying a locked mutex",
    use: (cpu) => {
      mutex_lock(cpu, MUTEX);
      mutex_destroy(cpu, MUTEX);
      mutex_unlock(cpu, MUTEX);
    },
    plain: "DEBUG_LOCKS_WARN_ON(mutex_is_locked(lock))",
  },
  {
    name: "unlocking a spinlock that is free",
    use: (cpu) => {
      spin_unlock(cpu, SPIN);
      return spin_is_locked(cpu, SPIN);
    },
    answer: false,
    plain: "BUG: spinlock already unlocked on CPU#0",
    lockdep: "bad unlock balance detected!",
  },
  {
    name: "locking one's own spinlock",
    use: (cpu) => {
      with_spinlock(cpu, () => with_spinlock(cpu, () => 0));
      return spin_is_locked(cpu, SPIN);
    },
    answer: false,
    hangs: true,
    lockdep: "possible recursive locking detected",
  },
];

const SLEEPING: readonly Misuse[] = [
  {
    name: "a mutex with a spinlock held",
    use: (cpu) =>
      with_spinlock(cpu, () => {
        mutex_lock(cpu, MUTEX);
        mutex_unlock(cpu, MUTEX);
      }),
    plain: ATOMIC_SLEEP,
  },
  {
    name: "a mutex in an interrupt",
    use: (cpu) => {
      cpu.in_irq = true;
      mutex_lock(cpu, MUTEX);
      mutex_unlock(cpu, MUTEX);
      cpu.in_irq = false;
    },
    plain: ATOMIC_SLEEP,
  },
  {
    name: "a mutex in an RCU reader",
    use: (cpu) =>
      in_reader(cpu, () => {
        mutex_lock(cpu, MUTEX);
        mutex_unlock(cpu, MUTEX);
      }),
    plain: READER_SLEEP,
  },
  {
    name: "waiting for a completion with a spinlock held",
    use: (cpu) => with_spinlock(cpu, () => wait_for_completion_timeout(cpu, DONE, 5)),
    answer: 0,
    plain: "BUG: scheduling while atomic",
  },
  {
    name: "waiting for a completion in an RCU reader",
    use: (cpu) => in_reader(cpu, () => wait_for_completion_timeout(cpu, DONE, 5)),
    answer: 0,
    plain: READER_SLEEP,
  },
  {
    name: "sleeping in a timer",
    use: (cpu) => {
      timer_setup(cpu, TIMER, SLEEP);
      mod_timer(cpu, TIMER, cpu.now() + 1);
      return wait_for_completion_timeout(cpu, DONE, 10);
    },
    answer: 0,
    plain: ATOMIC_SLEEP,
  },
  {
    name: "memory that may be waited for, with a spinlock held",
    use: (cpu) => {
      const p = with_spinlock(cpu, () => kmalloc(cpu, 64, GFP_KERNEL));
      kfree(cpu, p);
      return p !== 0;
    },
    answer: true,
    plain: ATOMIC_SLEEP,
  },
  {
    name: "a negative time-out",
    use: (cpu) => schedule_timeout(cpu, -5),
    answer: 0,
    plain: "schedule_timeout: wrong timeout value -5",
  },
];

const RCU: readonly Misuse[] = [
  {
    name: "a grace period waited for in a reader",
    use: (cpu) => in_reader(cpu, () => synchronize_rcu(cpu)),
    plain: "Illegal synchronize_rcu() in RCU read-side critical section!",
  },
  {
    name: "callbacks waited for in a reader",
    use: (cpu) => in_reader(cpu, () => rcu_barrier(cpu)),
    plain: READER_SLEEP,
  },
  {
    name: "callbacks waited for in a callback",
    use: (cpu) => {
      call_rcu(cpu, HEAD, BARRIER);
      synchronize_rcu(cpu);
    },
    plain: ATOMIC_SLEEP,
  },
  {
    name: "an unlock too many",
    use: (cpu) => rcu_read_unlock(cpu),
    plain: "bad unlock balance detected!",
  },
  {
    name: "one head queued twice",
    use: (cpu) => {
      call_rcu(cpu, HEAD, NOTHING);
      call_rcu(cpu, HEAD, NOTHING);
      rcu_barrier(cpu);
    },
    plain: "ODEBUG: activate active (active state 1) object: ",
  },
];

const ALL: Readonly<Record<string, readonly Misuse[]>> = { LOCKS, SLEEPING, RCU };

describe.each([false, true])("lockdep: %s:", (lockdep) => {
  let cpu: Cpu;
  beforeEach(() => {
    cpu = boot_misuse(lockdep);
  });

  describe.each(Object.entries(ALL))("%s:", (_group, misuses) => {
    test.each(misuses.filter((misuse) => lockdep || misuse.hangs !== true))("$name", (misuse) => {
      expect(misuse_faults(cpu, misuse)).toEqual([]);
    });
  });
});
