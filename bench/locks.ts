/**
 * What a lock costs on one thread, uncontended, with the lock validator off and on.
 *
 *   node bench/locks.ts
 *
 * Prints CPU time per lock and unlock, the best of several slices.
 */
import { kernel_static } from "@ringside/core/debug/image";
import { mutex_init, mutex_lock, mutex_unlock } from "@ringside/core/lock/mutex";
import { spin_lock, spin_lock_init, spin_unlock } from "@ringside/core/lock/spinlock";
import { rcu_read_lock, rcu_read_unlock } from "@ringside/core/rcu/rcu";
import type { Cpu } from "@ringside/core/sched/cpu";
import { boot_solo } from "@ringside/core/testing/solo";

const SLICES = 20;
const PAIRS = { off: 200_000, on: 2_000 };

const SPINLOCK = kernel_static("bench_spinlock", 4);
const MUTEX = kernel_static("bench_mutex", 16);

const cases: Readonly<Record<string, (cpu: Cpu, pairs: number) => void>> = {
  spinlock: (cpu, pairs) => {
    for (let i = 0; i < pairs; i++) {
      spin_lock(cpu, SPINLOCK);
      spin_unlock(cpu, SPINLOCK);
    }
  },
  mutex: (cpu, pairs) => {
    for (let i = 0; i < pairs; i++) {
      mutex_lock(cpu, MUTEX);
      mutex_unlock(cpu, MUTEX);
    }
  },
  "RCU reader": (cpu, pairs) => {
    for (let i = 0; i < pairs; i++) {
      rcu_read_lock(cpu);
      rcu_read_unlock(cpu);
    }
  },
};

/** Nanoseconds of CPU time a pair. */
function best(cpu: Cpu, run: (cpu: Cpu, pairs: number) => void, pairs: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let slice = 0; slice < SLICES; slice++) {
    const before = process.cpuUsage();
    run(cpu, pairs);
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, ((user + system) * 1000) / pairs);
  }
  return least;
}

for (const validator of ["off", "on"] as const) {
  const cpu = boot_solo({ lockdep: validator === "on" });
  spin_lock_init(cpu, SPINLOCK, "bench_spinlock");
  mutex_init(cpu, MUTEX, "bench_mutex");
  for (const [name, run] of Object.entries(cases)) {
    console.log(
      `${name.padEnd(12)} lockdep ${validator.padEnd(3)} ${best(cpu, run, PAIRS[validator]).toFixed(1)} ns`,
    );
  }
}
