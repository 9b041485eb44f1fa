/**
 * CPU stall warnings (kernel/rcu/tree_stall.h): a grace period that waits too long names the CPUs it waits for.
 * It goes on waiting: a late grace period is a nuisance, an early one a use after free.
 */
import { kernel_static } from "../debug/image.ts";
import { LOG_WARN, printk } from "../debug/dmesg.ts";
import { type Cpu, nr_cpu_ids } from "../sched/cpu.ts";
import { rcu_cpu_passed } from "./qs.ts";

/** ms; 0 is the default. Written by the host or a test. */
const STALL_TIMEOUT = kernel_static("rcu_cpu_stall_timeout", 4);
/** CONFIG_RCU_CPU_STALL_TIMEOUT, ms. */
const DEFAULT_TIMEOUT = 21_000;
/** Added to three time-outs before the next report (RCU_STALL_REPEAT_JIFFIES), ms. */
const REPEAT_MS = 3;

/** The module parameter rcupdate.rcu_cpu_stall_timeout, but in ms; 0 sets the default. */
export function rcu_set_cpu_stall_timeout(cpu: Cpu, ms: number): void {
  cpu.mem.storeRelease(STALL_TIMEOUT, ms);
}

export function rcu_jiffies_till_stall_check(cpu: Cpu): number {
  const ms = cpu.mem.loadAcquire(STALL_TIMEOUT);
  return ms === 0 ? DEFAULT_TIMEOUT : ms;
}

/** Reports once it is `due`. Returns when the next report is due. */
export function rcu_check_stall(cpu: Cpu, sequence: number, started: number, due: number): number {
  const now = cpu.now();
  if (now < due) return due;
  let stalled = "";
  for (let id = 0; id < nr_cpu_ids(cpu); id++) {
    if (id !== cpu.id && !rcu_cpu_passed(cpu, id, sequence)) stalled += ` ${id}-....`;
  }
  const where = `(detected by ${cpu.id}, t=${Math.floor(now - started)} jiffies, g=${sequence})`;
  // It passed in this moment: no stall.
  if (stalled === "") return due;
  printk(cpu, LOG_WARN, `rcu: INFO: rcu_qsbr detected stalls on CPUs/tasks:${stalled} ${where}`);
  return now + 3 * rcu_jiffies_till_stall_check(cpu) + REPEAT_MS;
}
