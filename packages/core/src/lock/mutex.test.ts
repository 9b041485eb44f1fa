import { expect, it } from "vitest";
import { EINTR } from "../debug/errno.ts";
import { kernel_static } from "../debug/image.ts";
import { Cpu } from "../sched/cpu.ts";
import { current_task, set_tsk_thread_flag, TIF_SIGPENDING } from "../sched/task.ts";
import { boot_solo, dmesg } from "../testing/solo.ts";
import * as mutex from "./mutex.ts";
import type { MutexPtr } from "./mutex.ts";

const M = kernel_static("test_mutex", mutex.MUTEX_SIZE) as MutexPtr;

/** A solo kernel, and a second CPU on the same thread for verbs that do not sleep. */
function boot(lockdep: boolean = true): [Cpu, Cpu] {
  const cpu = boot_solo({ cpus: 2, lockdep });
  mutex.mutex_init(cpu, M);
  return [cpu, new Cpu(cpu.mem, 1, cpu.config, cpu.platform)];
}

it("a mutex has one owner", () => {
  const [cpu, other] = boot();
  mutex.mutex_lock(cpu, M);
  expect(mutex.mutex_owner(cpu, M)).toBe(current_task(cpu));
  expect(mutex.mutex_trylock(other, M)).toBe(false);
  expect(mutex.mutex_trylock(cpu, M)).toBe(false);
  mutex.mutex_unlock(cpu, M);
  expect(mutex.mutex_is_locked(cpu, M)).toBe(false);
  expect(mutex.mutex_trylock(other, M)).toBe(true);
  expect(mutex.mutex_owner(cpu, M)).toBe(current_task(other));
  mutex.mutex_unlock(other, M);
  mutex.mutex_destroy(cpu, M);
  expect(dmesg(cpu)).toEqual([]);
});

it("the first waiter is overtaken once, then the lock is handed to it", () => {
  // The waiter is made by hand: lockdep does not know of it.
  const [cpu, other] = boot(false);
  mutex.mutex_lock(cpu, M);
  const waiter = mutex.__mutex_waiter_push(other, 0);
  mutex.__mutex_add_waiter(other, M, waiter, M + mutex.MUTEX_WAIT_LIST);
  expect(mutex.__mutex_trylock_or_handoff(other, M, false)).toBe(false);
  mutex.mutex_unlock(cpu, M);
  expect(mutex.mutex_trylock(cpu, M), "free, though somebody waits").toBe(true);
  expect(mutex.__mutex_trylock_or_handoff(other, M, true), "woken in vain").toBe(false);
  mutex.mutex_unlock(cpu, M);
  expect(mutex.mutex_trylock(cpu, M), "promised").toBe(false);
  expect(mutex.mutex_owner(cpu, M)).toBe(current_task(other));
  expect(mutex.__mutex_trylock(other, M)).toBe(true);
  mutex.__mutex_remove_waiter(other, M, waiter);
  mutex.mutex_unlock(other, M);
  expect(mutex.mutex_trylock(cpu, M)).toBe(true);
  expect(dmesg(cpu)).toEqual([]);
});

it("a promised lock is free again when the waiter has gone", () => {
  const [cpu, other] = boot();
  mutex.mutex_lock(cpu, M);
  const waiter = mutex.__mutex_waiter_push(other, 0);
  mutex.__mutex_add_waiter(other, M, waiter, M + mutex.MUTEX_WAIT_LIST);
  mutex.__mutex_trylock_or_handoff(other, M, true);
  mutex.__mutex_remove_waiter(other, M, waiter);
  expect(mutex.__mutex_has_waiters(cpu, M)).toBe(false);
  mutex.mutex_unlock(cpu, M);
  expect(mutex.mutex_trylock(cpu, M)).toBe(true);
});

it.each([true, false])(
  "unlocking another task's mutex warns and leaves it alone (lockdep: %s)",
  (lockdep) => {
    const [cpu, other] = boot(lockdep);
    mutex.mutex_lock(cpu, M);
    mutex.mutex_unlock(other, M);
    expect(dmesg(cpu).at(-1)).toContain("DEBUG_LOCKS_WARN_ON(__owner_task(owner) != current)");
    expect(dmesg(cpu)[0]?.includes("bad unlock balance")).toBe(lockdep);
    expect(mutex.mutex_owner(cpu, M)).toBe(current_task(cpu));
  },
);

it("destroying a locked mutex warns", () => {
  const [cpu] = boot();
  mutex.mutex_lock(cpu, M);
  mutex.mutex_destroy(cpu, M);
  expect(dmesg(cpu)[0]).toContain("mutex_is_locked");
});

it("a signal breaks an interruptible wait; taking one's own mutex again warns", () => {
  const [cpu] = boot();
  mutex.mutex_lock(cpu, M);
  set_tsk_thread_flag(cpu, current_task(cpu), TIF_SIGPENDING);
  expect(mutex.mutex_lock_interruptible(cpu, M)).toBe(-EINTR);
  expect(dmesg(cpu)[0]).toContain("possible recursive locking detected");
  mutex.mutex_unlock(cpu, M);
  expect(mutex.mutex_lock_interruptible(cpu, M)).toBe(0);
});
