/**
 * Wrong use of works, timers, memory, files and fences: each gets the kernel's complaint and the kernel's answer, with
 * lockdep (and debug objects) and without; no exception, no hang, and the kernel goes on. Fences and dma-bufs have more
 * of it in their own tests.
 */
import { beforeEach, describe, expect, test } from "vitest";
import type { DmaFencePtr } from "../dma/fence.ts";
import { DMA_FENCE_SIZE, dma_fence_add_callback, dma_fence_signal } from "../dma/fence.ts";
import {
  DMA_RESV_SIZE,
  DMA_RESV_USAGE_READ,
  dma_resv_add_fence,
  dma_resv_init,
  dma_resv_lock,
  type DmaResvPtr,
  dma_resv_reserve_fences,
  dma_resv_unlock,
} from "../dma/resv.ts";
import { close_fd, fget, get_unused_fd_flags, put_unused_fd } from "../fs/fdtable.ts";
import { anon_inode_getfile, fput, get_file } from "../fs/file.ts";
import { mutex_init, mutex_lock, MUTEX_SIZE } from "../lock/mutex.ts";
import { free_pages, get_zeroed_page, put_page } from "../mm/page-alloc.ts";
import { GFP_ATOMIC, GFP_KERNEL, kfree, kmalloc } from "../mm/slab.ts";
import { call_rcu, rcu_barrier, type RcuHeadPtr } from "../rcu/rcu.ts";
import { wait_for_completion_timeout } from "../sched/completion.ts";
import type { Cpu } from "../sched/cpu.ts";
import {
  add_timer,
  mod_timer,
  timer_delete,
  type TimerPtr,
  timer_setup,
  TIMER_SIZE,
} from "../sched/timer.ts";
import {
  alloc_workqueue,
  cancel_work_sync,
  destroy_workqueue,
  enable_work,
  flush_work,
  flush_workqueue,
  INIT_WORK,
  queue_work,
  system_wq,
  type WorkqueuePtr,
  WORK_STRUCT_SIZE,
} from "../sched/workqueue.ts";
import {
  ATOMIC_SLEEP,
  boot_misuse,
  DONE,
  type Misuse,
  misuse_faults,
  MUTEX,
  NOTHING,
  run_work,
  with_spinlock,
  WORK,
} from "../testing/misuse.ts";
import { dmesg } from "../testing/solo.ts";
import { EBADF, EINVAL } from "./errno.ts";
import { kernel_rodata, kernel_static, kernel_symbol } from "./image.ts";
import { KernelBug } from "./warn.ts";

const OWN_WQ = kernel_static("misuse_wq", 4);
const TIMER = kernel_static("misuse_timer", TIMER_SIZE) as TimerPtr;
const RESV = kernel_static("misuse_resv", DMA_RESV_SIZE) as DmaResvPtr;
const FENCE = kernel_static("misuse_fence", DMA_FENCE_SIZE) as DmaFencePtr;
const FOPS = kernel_rodata("misuse_fops", [0, 0, 0, 0, 0, 0]);

const FLUSH_SELF = kernel_symbol(misuse_flush_self);
const CANCEL_SELF = kernel_symbol(misuse_cancel_self);
const FLUSH_OWN_QUEUE = kernel_symbol(misuse_flush_own_queue);

function misuse_flush_self(cpu: Cpu, work: number): void {
  flush_work(cpu, work);
}
function misuse_cancel_self(cpu: Cpu, work: number): void {
  cancel_work_sync(cpu, work);
}
function misuse_flush_own_queue(cpu: Cpu): void {
  flush_workqueue(cpu, cpu.mem.read(OWN_WQ) as WorkqueuePtr);
}
function free_when_done(cpu: Cpu, work: number): void {
  flush_work(cpu, work);
  kfree(cpu, work);
}

const WORKS: readonly Misuse[] = [
  {
    name: "a work that flushes itself",
    use: (cpu) => run_work(cpu, system_wq(cpu), FLUSH_SELF),
    answer: true,
    plain: "waits for its own work",
    lockdep: "possible recursive locking detected",
  },
  {
    name: "a work that cancels itself and waits",
    use: (cpu) => run_work(cpu, system_wq(cpu), CANCEL_SELF),
    answer: true,
    plain: "waits for its own work",
    lockdep: "possible recursive locking detected",
  },
  {
    name: "a work that flushes its queue",
    use: (cpu) => {
      const wq = alloc_workqueue(cpu, "misuse", 0, 0);
      cpu.mem.write(OWN_WQ, wq);
      const waited = run_work(cpu, wq, FLUSH_OWN_QUEUE);
      destroy_workqueue(cpu, wq);
      return waited;
    },
    answer: true,
    plain: "waits for its own queue",
    lockdep: "possible recursive locking detected",
  },
  {
    name: "flushing what was never initialised",
    use: (cpu) => flush_work(cpu, WORK),
    answer: false,
    plain: "flush_work",
  },
  {
    name: "cancelling what was never initialised",
    use: (cpu) => cancel_work_sync(cpu, WORK),
    answer: false,
    plain: "flush_work",
  },
  {
    name: "enabling what is not disabled",
    use: (cpu) => {
      INIT_WORK(cpu, WORK, NOTHING);
      return enable_work(cpu, WORK);
    },
    answer: true,
    plain: "workqueue: work disable count underflowed",
  },
  {
    name: "flushing with a spinlock held",
    use: (cpu) => {
      INIT_WORK(cpu, WORK, NOTHING);
      return with_spinlock(cpu, () => flush_work(cpu, WORK));
    },
    answer: false,
    plain: ATOMIC_SLEEP,
  },
  {
    name: "adding a pending timer",
    use: (cpu) => {
      timer_setup(cpu, TIMER, NOTHING);
      mod_timer(cpu, TIMER, cpu.now() + 50);
      add_timer(cpu, TIMER);
      return timer_delete(cpu, TIMER);
    },
    answer: 1,
    plain: "add_timer",
  },
];

const MEMORY: readonly Misuse[] = [
  {
    name: "freeing twice",
    use: (cpu) => {
      const p = kmalloc(cpu, 64, GFP_KERNEL);
      kfree(cpu, p);
      kfree(cpu, p);
    },
    plain: "BUG: KASAN: double-free in ",
  },
  {
    name: "freeing the middle of an object leaves it alive",
    use: (cpu) => {
      const p = kmalloc(cpu, 64, GFP_KERNEL);
      kfree(cpu, p + 8);
      const count = dmesg(cpu).length;
      kfree(cpu, p);
      return dmesg(cpu).length - count;
    },
    answer: 0,
    plain: "BUG: KASAN: invalid-free in ",
  },
  {
    name: "freeing what never was allocated",
    use: (cpu) => kfree(cpu, MUTEX),
    plain: "BUG: KASAN: invalid-free in ",
  },
  {
    name: "freeing a mutex that is held",
    use: (cpu) => {
      const p = kmalloc(cpu, MUTEX_SIZE, GFP_KERNEL);
      mutex_init(cpu, p);
      mutex_lock(cpu, p);
      kfree(cpu, p);
      if (cpu.lockdep) return;
      expect(dmesg(cpu), "nobody knows").toEqual([]);
    },
    lockdep: "WARNING: held lock freed!",
  },
  {
    name: "freeing a queued work takes it back",
    use: (cpu) => {
      const work = kmalloc(cpu, WORK_STRUCT_SIZE, GFP_KERNEL);
      INIT_WORK(cpu, work, NOTHING);
      queue_work(cpu, system_wq(cpu), work);
      if (cpu.lockdep) kfree(cpu, work);
      else free_when_done(cpu, work);
    },
    lockdep: "ODEBUG: free active (active state 0) object: ",
  },
  {
    name: "freeing an armed timer disarms it",
    use: (cpu) => {
      const timer = kmalloc(cpu, TIMER_SIZE, GFP_KERNEL) as TimerPtr;
      timer_setup(cpu, timer, NOTHING);
      mod_timer(cpu, timer, cpu.now() + 5);
      if (!cpu.lockdep) timer_delete(cpu, timer);
      kfree(cpu, timer);
      wait_for_completion_timeout(cpu, DONE, 20);
    },
    lockdep: "object type: timer_list hint: misuse_nothing",
  },
  {
    name: "freeing an object that RCU has",
    use: (cpu) => {
      const head = kmalloc(cpu, 64, GFP_KERNEL);
      call_rcu(cpu, head as RcuHeadPtr, NOTHING);
      if (!cpu.lockdep) rcu_barrier(cpu);
      // Linux goes on to corrupt RCU's list; here the object leaks.
      kfree(cpu, head);
    },
    lockdep: "ODEBUG: free active (active state 1) object: ",
  },
  {
    name: "initialising a queued work takes it back",
    use: (cpu) => {
      INIT_WORK(cpu, WORK, NOTHING);
      queue_work(cpu, system_wq(cpu), WORK);
      if (!cpu.lockdep) flush_work(cpu, WORK);
      INIT_WORK(cpu, WORK, NOTHING);
    },
    lockdep: "ODEBUG: init active (active state 0) object: ",
  },
  {
    name: "freeing pages twice",
    use: (cpu) => {
      const p = get_zeroed_page(cpu, GFP_ATOMIC);
      free_pages(cpu, p, 0);
      free_pages(cpu, p, 0);
    },
    plain: "BUG: Bad page state",
  },
  {
    name: "a page put too often",
    use: (cpu) => {
      const p = get_zeroed_page(cpu, GFP_ATOMIC);
      put_page(cpu, p);
      put_page(cpu, p);
    },
    plain: "BUG: Bad page state",
  },
];

const FILES: readonly Misuse[] = [
  {
    name: "putting a file too often",
    use: (cpu) => {
      const file = anon_inode_getfile(cpu, FOPS, 0, 0);
      fput(cpu, file);
      fput(cpu, file);
    },
    plain: "refcount_t: underflow; use-after-free.",
  },
  {
    name: "getting a released file",
    use: (cpu) => {
      const file = anon_inode_getfile(cpu, FOPS, 0, 0);
      fput(cpu, file);
      get_file(cpu, file);
    },
    plain: "refcount_t: addition on 0; use-after-free.",
  },
];

const DMA: readonly Misuse[] = [
  {
    name: "reserving slots without the lock",
    use: (cpu) => {
      dma_resv_init(cpu, RESV);
      return dma_resv_reserve_fences(cpu, RESV, 1);
    },
    answer: 0,
    plain: "dma_resv_reserve_fences",
  },
  {
    name: "reserving no slot",
    use: (cpu) => {
      dma_resv_init(cpu, RESV);
      dma_resv_lock(cpu, RESV, 0);
      const error = dma_resv_reserve_fences(cpu, RESV, 0);
      dma_resv_unlock(cpu, RESV);
      return error;
    },
    answer: -EINVAL,
    plain: "dma_resv_reserve_fences",
  },
  {
    name: "a callback on no fence",
    use: (cpu) => dma_fence_add_callback(cpu, 0 as DmaFencePtr, 0 as never, NOTHING),
    answer: -EINVAL,
    plain: "dma_fence_add_callback",
  },
  {
    name: "signaling no fence",
    use: (cpu) => dma_fence_signal(cpu, 0 as DmaFencePtr),
    answer: -EINVAL,
    plain: "dma_fence_signal",
  },
];

const ALL: Readonly<Record<string, readonly Misuse[]>> = { WORKS, MEMORY, FILES, DMA };

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

  test("errors that are no misuse are silent", () => {
    expect(close_fd(cpu, -1)).toBe(-EBADF);
    expect(close_fd(cpu, 77)).toBe(-EBADF);
    expect(close_fd(cpu, 100_000)).toBe(-EBADF);
    const fd = get_unused_fd_flags(cpu, 0);
    expect(fget(cpu, fd), "reserved, not installed").toBe(0);
    put_unused_fd(cpu, fd);
    expect(dmesg(cpu)).toEqual([]);
  });

  test("a fence added without room is a BUG, as in Linux", () => {
    dma_resv_init(cpu, RESV);
    dma_resv_lock(cpu, RESV, 0);
    expect(() => dma_resv_add_fence(cpu, RESV, FENCE, DMA_RESV_USAGE_READ)).toThrow(KernelBug);
  });
});
