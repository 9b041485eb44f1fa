/**
 * percpu_ref: switching between percpu and atomic mode, kill and second lives. The whole is in percpu-ref.ts.
 *
 * The mode changes under SWITCH_LOCK; one switch of a ref at a time, CONFIRM_SWITCH says that one is in progress.
 */
import {
  kernel_initcall,
  kernel_static,
  kernel_symbol,
  symbol_call,
  type SymbolId,
  symbol_name,
} from "../debug/image.ts";
import { LOG_WARN, printk } from "../debug/dmesg.ts";
import { BUG_ON, WARN_ON_ONCE, WARN_ONCE } from "../debug/warn.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import { PERCPU_LINE } from "../mm/percpu.ts";
import { call_rcu_hurry, type RcuHeadPtr } from "../rcu/rcu.ts";
import { BLOCKER_PERCPU_REF, hung_task_clear_blocker, hung_task_set_blocker } from "../sched/blocker.ts";
import { type Cpu, nr_cpu_ids } from "../sched/cpu.ts";
import { schedule } from "../sched/schedule.ts";
import { TASK_UNINTERRUPTIBLE } from "../sched/task.ts";
import {
  finish_wait,
  init_waitqueue_head,
  prepare_to_wait,
  wait_entry_push,
  WAIT_QUEUE_HEAD_SIZE,
  type WaitQueuePtr,
  wake_up_all,
} from "../sched/wait.ts";
import {
  __PERCPU_REF_ATOMIC,
  __PERCPU_REF_ATOMIC_DEAD,
  __PERCPU_REF_DEAD,
  ALLOW_REINIT,
  CONFIRM_SWITCH,
  COUNT,
  data_of,
  FORCE_ATOMIC,
  PERCPU_COUNT_BIAS,
  PERCPU_COUNT_PTR,
  percpu_ref_free_shards,
  percpu_ref_get,
  percpu_ref_is_dying,
  percpu_ref_is_zero,
  percpu_ref_put,
  type PercpuRefPtr,
  RCU,
  REF,
  RELEASE,
  shards_of,
  SWITCH_LOCK,
} from "./percpu-ref-count.ts";

/** Everybody who waits for a switch. */
const SWITCH_WAITQ = kernel_static("percpu_ref_switch_waitq", WAIT_QUEUE_HEAD_SIZE) as WaitQueuePtr;
const SWITCHER = "percpu_ref_switch_to_atomic_rcu";
/** Underflows reported so far; the first three get a pr_err. */
const UNDERFLOWS = kernel_static("percpu_ref_underflows", 4);

const NOOP_CONFIRM = kernel_symbol(percpu_ref_noop_confirm_switch);
const SWITCH_TO_ATOMIC_RCU = kernel_symbol(percpu_ref_switch_to_atomic_rcu);

kernel_initcall(percpu_ref_init_switching);
function percpu_ref_init_switching(cpu: Cpu): void {
  init_waitqueue_head(cpu, SWITCH_WAITQ);
}

function percpu_ref_noop_confirm_switch(): void {}

function percpu_ref_call_confirm(cpu: Cpu, data: number): void {
  const ref = cpu.mem.read(data + REF) as PercpuRefPtr;
  const allow_reinit = cpu.mem.read(data + ALLOW_REINIT) !== 0;
  symbol_call(cpu, cpu.mem.read(data + CONFIRM_SWITCH), ref);
  // Pairs with the loadAcquire in wait_for_switch: the next switch starts after this one.
  cpu.mem.storeRelease(data + CONFIRM_SWITCH, 0);
  wake_up_all(cpu, SWITCH_WAITQ);
  if (!allow_reinit) percpu_ref_free_shards(cpu, ref);
  percpu_ref_put(cpu, ref);
}

/** After the grace period: nobody is inside a percpu get or put, so the shards are final. */
function percpu_ref_switch_to_atomic_rcu(cpu: Cpu, rcu: number): void {
  const data = rcu - RCU;
  const ref = cpu.mem.read(data + REF) as PercpuRefPtr;
  const shards = shards_of(cpu.mem.read(ref + PERCPU_COUNT_PTR));
  let sum = 0;
  for (let id = 0; id < nr_cpu_ids(cpu); id++) sum = (sum + cpu.mem.read(shards + id * PERCPU_LINE)) | 0;
  // One add of the whole sum: with a partial one, puts still counted in another shard could bring the
  // count to 0 while references are held.
  cpu.mem.fetchAdd(data + COUNT, (sum - PERCPU_COUNT_BIAS) | 0);
  const count = cpu.mem.readOnce(data + COUNT);
  if (count <= 0) report_underflow(cpu, data, count);
  percpu_ref_call_confirm(cpu, data);
}

function report_underflow(cpu: Cpu, data: number, count: number): void {
  const release = symbol_name(cpu.mem.read(data + RELEASE));
  WARN_ONCE(cpu, true, `percpu ref (${release}) <= 0 (${count}) after switching to atomic`);
  if (cpu.mem.fetchAdd(UNDERFLOWS, 1) < 3) {
    // pr_err with this file's pr_fmt: the name comes twice in Linux too.
    printk(cpu, LOG_WARN, `${SWITCHER}: ${SWITCHER}(): percpu_ref underflow`);
  }
}

function __percpu_ref_switch_to_atomic(cpu: Cpu, ref: PercpuRefPtr, confirm: SymbolId): void {
  const word = cpu.mem.read(ref + PERCPU_COUNT_PTR);
  if ((word & __PERCPU_REF_ATOMIC) !== 0) {
    if (confirm !== 0) symbol_call(cpu, confirm, ref);
    return;
  }
  const data = data_of(cpu, ref);
  cpu.mem.writeOnce(ref + PERCPU_COUNT_PTR, word | __PERCPU_REF_ATOMIC);
  cpu.mem.write(data + CONFIRM_SWITCH, confirm !== 0 ? confirm : NOOP_CONFIRM);
  // The switch holds a reference of its own: release cannot run before the sum is in.
  percpu_ref_get(cpu, ref);
  call_rcu_hurry(cpu, (data + RCU) as RcuHeadPtr, SWITCH_TO_ATOMIC_RCU);
}

function __percpu_ref_switch_to_percpu(cpu: Cpu, ref: PercpuRefPtr): void {
  const word = cpu.mem.read(ref + PERCPU_COUNT_PTR);
  const shards = shards_of(word);
  BUG_ON(cpu, shards === 0, "percpu_ref: shards are gone");
  if ((word & __PERCPU_REF_ATOMIC) === 0) return;
  const data = data_of(cpu, ref);
  if (WARN_ON_ONCE(cpu, cpu.mem.read(data + ALLOW_REINIT) === 0)) return;
  cpu.mem.fetchAdd(data + COUNT, PERCPU_COUNT_BIAS);
  for (let id = 0; id < nr_cpu_ids(cpu); id++) cpu.mem.write(shards + id * PERCPU_LINE, 0);
  // Pairs with the flag test of get and put: whoever sees percpu mode sees zeroed shards.
  cpu.mem.storeRelease(ref + PERCPU_COUNT_PTR, word & ~__PERCPU_REF_ATOMIC);
}

/** Waits until no switch of this ref is in progress. SWITCH_LOCK held on entry and return. */
function wait_for_switch(cpu: Cpu, data: number): void {
  while (cpu.mem.loadAcquire(data + CONFIRM_SWITCH) !== 0) {
    spin_unlock_irqrestore(cpu, SWITCH_LOCK);
    const wait = wait_entry_push(cpu);
    prepare_to_wait(cpu, SWITCH_WAITQ, wait, TASK_UNINTERRUPTIBLE);
    const saved = hung_task_set_blocker(cpu, BLOCKER_PERCPU_REF, cpu.mem.read(data + REF));
    if (cpu.mem.loadAcquire(data + CONFIRM_SWITCH) !== 0) schedule(cpu);
    hung_task_clear_blocker(cpu, saved);
    finish_wait(cpu, SWITCH_WAITQ, wait);
    spin_lock_irqsave(cpu, SWITCH_LOCK);
  }
}

/** SWITCH_LOCK held; may sleep while another switch is in progress. */
function __percpu_ref_switch_mode(cpu: Cpu, ref: PercpuRefPtr, confirm: SymbolId): void {
  const data = data_of(cpu, ref);
  wait_for_switch(cpu, data);
  if (cpu.mem.read(data + FORCE_ATOMIC) !== 0 || percpu_ref_is_dying(cpu, ref)) {
    __percpu_ref_switch_to_atomic(cpu, ref, confirm);
  } else __percpu_ref_switch_to_percpu(cpu, ref);
}

/** Schedules a switch to atomic mode; sticky until percpu_ref_switch_to_percpu. */
export function percpu_ref_switch_to_atomic(cpu: Cpu, ref: PercpuRefPtr, confirm: SymbolId): void {
  spin_lock_irqsave(cpu, SWITCH_LOCK);
  cpu.mem.write(data_of(cpu, ref) + FORCE_ATOMIC, 1);
  __percpu_ref_switch_mode(cpu, ref, confirm);
  spin_unlock_irqrestore(cpu, SWITCH_LOCK);
}

export function percpu_ref_switch_to_atomic_sync(cpu: Cpu, ref: PercpuRefPtr): void {
  percpu_ref_switch_to_atomic(cpu, ref, 0);
  spin_lock_irqsave(cpu, SWITCH_LOCK);
  wait_for_switch(cpu, data_of(cpu, ref));
  spin_unlock_irqrestore(cpu, SWITCH_LOCK);
}

export function percpu_ref_switch_to_percpu(cpu: Cpu, ref: PercpuRefPtr): void {
  spin_lock_irqsave(cpu, SWITCH_LOCK);
  cpu.mem.write(data_of(cpu, ref) + FORCE_ATOMIC, 0);
  __percpu_ref_switch_mode(cpu, ref, 0);
  spin_unlock_irqrestore(cpu, SWITCH_LOCK);
}

/**
 * Marks the ref dead and drops the initial reference. From percpu mode, release runs a grace period later at
 * the earliest. `confirm(cpu, ref)` runs when no CPU can get a live reference any more; 0 for none.
 */
export function percpu_ref_kill_and_confirm(cpu: Cpu, ref: PercpuRefPtr, confirm: SymbolId): void {
  spin_lock_irqsave(cpu, SWITCH_LOCK);
  const data = data_of(cpu, ref);
  const release = cpu.mem.read(data + RELEASE);
  if (percpu_ref_is_dying(cpu, ref)) {
    WARN_ONCE(cpu, true, `percpu_ref_kill_and_confirm called more than once on ${symbol_name(release)}!`);
  }
  cpu.mem.writeOnce(ref + PERCPU_COUNT_PTR, cpu.mem.read(ref + PERCPU_COUNT_PTR) | __PERCPU_REF_DEAD);
  __percpu_ref_switch_mode(cpu, ref, confirm);
  percpu_ref_put(cpu, ref);
  spin_unlock_irqrestore(cpu, SWITCH_LOCK);
}

export function percpu_ref_kill(cpu: Cpu, ref: PercpuRefPtr): void {
  percpu_ref_kill_and_confirm(cpu, ref, 0);
}

/** Undoes kill: live again with one reference more. Needs PERCPU_REF_ALLOW_REINIT; may sleep. */
export function percpu_ref_resurrect(cpu: Cpu, ref: PercpuRefPtr): void {
  spin_lock_irqsave(cpu, SWITCH_LOCK);
  WARN_ON_ONCE(cpu, !percpu_ref_is_dying(cpu, ref));
  WARN_ON_ONCE(cpu, (cpu.mem.read(ref + PERCPU_COUNT_PTR) & __PERCPU_REF_ATOMIC_DEAD) === 0);
  cpu.mem.writeOnce(ref + PERCPU_COUNT_PTR, cpu.mem.read(ref + PERCPU_COUNT_PTR) & ~__PERCPU_REF_DEAD);
  percpu_ref_get(cpu, ref);
  __percpu_ref_switch_mode(cpu, ref, 0);
  spin_unlock_irqrestore(cpu, SWITCH_LOCK);
}

/** resurrect, for a ref that has reached 0. */
export function percpu_ref_reinit(cpu: Cpu, ref: PercpuRefPtr): void {
  WARN_ON_ONCE(cpu, !percpu_ref_is_zero(cpu, ref));
  percpu_ref_resurrect(cpu, ref);
}
