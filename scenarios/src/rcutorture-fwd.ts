/**
 * Forward progress (rcu_torture_fwd_prog): grace periods go on while a CPU runs readers without end, and while
 * another floods RCU with callbacks.
 */
import { kernel_static, kernel_symbol } from "@ringside/core/debug/image";
import { struct_layout } from "@ringside/core/debug/layout";
import { WARN } from "@ringside/core/debug/warn";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "@ringside/core/lock/spinlock";
import { GFP_KERNEL, kfree, kmalloc } from "@ringside/core/mm/slab";
import { RCU_HEAD_SIZE, rcu_read_lock, rcu_read_unlock } from "@ringside/core/rcu/rcu";
import { type Cpu, stack_pop, stack_push } from "@ringside/core/sched/cpu";
import { cond_resched } from "@ringside/core/sched/schedule";
import { torture_call, torture_cb_barrier, torture_gp_seq, torture_sync } from "./rcutorture-ops.ts";
import { FWD_NODELAY, N_FWD_TESTED, torture_must_stop, torture_sleep, udelay } from "./rcutorture-state.ts";

const FWD_PROG_CB = kernel_symbol(rcu_torture_fwd_prog_cb);
const FWD_CB_CR = kernel_symbol(rcu_torture_fwd_cb_cr);

/** struct fwd_cb_state: a callback that queues itself until told to stop (1), then says so (2). */
const FCS_STOP = RCU_HEAD_SIZE;
const FWD_CB_STATE_SIZE = 16;

/** struct rcu_fwd_cb: a callback of the flood, used again and again. */
const RFC_NEXT = RCU_HEAD_SIZE;
const RFC_GPS = 12;
const RCU_FWD_CB_SIZE = 16;
struct_layout("rcu_fwd_cb", RCU_FWD_CB_SIZE, [
  ["rh", 0, 8],
  ["rfc_next", RFC_NEXT, 4],
  ["rfc_gps", RFC_GPS, 4],
]);

/** struct rcu_fwd; one flood at a time. */
const RCU_FWD = kernel_static("rcu_fwd", 128);
const FWD_LOCK = RCU_FWD;
// Guarded by FWD_LOCK: callbacks that have run, oldest first; address of the last link.
const FWD_HEAD = RCU_FWD + 4;
const FWD_TAIL = RCU_FWD + 8;

/** A flood ends when so many callbacks ... */
const MIN_FWD_CBS_LAUNDERED = 100;
/** ... have run so often. */
const MIN_FWD_CB_LAUNDERS = 3;
/** Callbacks in the flood. */
const MAX_FWD_CBS = 20_000;
/** No progress in this time is none; far above any delay by a busy machine (ms). */
const GIVE_UP_MS = 20_000;

function rcu_torture_fwd_prog_cb(cpu: Cpu, head: number): void {
  if (cpu.mem.loadAcquire(head + FCS_STOP) !== 0) cpu.mem.storeRelease(head + FCS_STOP, 2);
  else torture_call(cpu, head, FWD_PROG_CB);
}

/** For at least `ms`, and until two grace periods have passed: sections and safe points, nothing else. */
export function rcu_torture_fwd_prog_nr(cpu: Cpu, ms: number): void {
  cpu.mem.storeRelease(FWD_NODELAY, 1);
  torture_sync(cpu);
  const fcs = stack_push(cpu, FWD_CB_STATE_SIZE);
  torture_call(cpu, fcs, FWD_PROG_CB);
  const gps = torture_gp_seq(cpu);
  const start = cpu.now();
  let enough = false;
  while (!enough && !torture_must_stop(cpu) && cpu.now() < start + GIVE_UP_MS) {
    rcu_read_lock(cpu);
    udelay(cpu, 10);
    rcu_read_unlock(cpu);
    cond_resched(cpu);
    enough = cpu.now() >= start + ms && torture_gp_seq(cpu) - gps >= 2;
  }
  if (enough) cpu.mem.fetchAdd(N_FWD_TESTED, 1);
  else WARN(cpu, !torture_must_stop(cpu), "rcu_torture_fwd_prog_nr: grace periods make no progress");
  cpu.mem.storeRelease(fcs + FCS_STOP, 1);
  // One grace period for a running callback, a barrier for the one it queued.
  torture_sync(cpu);
  torture_cb_barrier(cpu);
  WARN(cpu, cpu.mem.loadAcquire(fcs + FCS_STOP) !== 2, "rcu_torture_fwd_prog_nr: the callback did not run");
  stack_pop(cpu, fcs);
  cpu.mem.storeRelease(FWD_NODELAY, 0);
}

/** A callback has run: to the end of the list of those that may be queued again. */
function rcu_torture_fwd_cb_cr(cpu: Cpu, rfcp: number): void {
  cpu.mem.write(rfcp + RFC_NEXT, 0);
  cpu.mem.write(rfcp + RFC_GPS, cpu.mem.read(rfcp + RFC_GPS) + 1);
  spin_lock_irqsave(cpu, FWD_LOCK);
  cpu.mem.write(cpu.mem.read(FWD_TAIL), rfcp);
  cpu.mem.write(FWD_TAIL, rfcp + RFC_NEXT);
  spin_unlock_irqrestore(cpu, FWD_LOCK);
}

function take_run_callback(cpu: Cpu): number {
  spin_lock_irqsave(cpu, FWD_LOCK);
  const rfcp = cpu.mem.read(FWD_HEAD);
  if (rfcp !== 0) {
    const next = cpu.mem.read(rfcp + RFC_NEXT);
    cpu.mem.write(FWD_HEAD, next);
    if (next === 0) cpu.mem.write(FWD_TAIL, FWD_HEAD);
  }
  spin_unlock_irqrestore(cpu, FWD_LOCK);
  return rfcp;
}

/** Queues callbacks as fast as it can until MIN_FWD_CBS_LAUNDERED have run MIN_FWD_CB_LAUNDERS times each. */
export function rcu_torture_fwd_prog_cr(cpu: Cpu): void {
  cpu.mem.write(FWD_HEAD, 0);
  cpu.mem.write(FWD_TAIL, FWD_HEAD);
  cpu.mem.storeRelease(FWD_NODELAY, 1);
  torture_sync(cpu);
  const start = cpu.now();
  let allocated = 0;
  let laundered = 0;
  while (laundered < MIN_FWD_CBS_LAUNDERED && cpu.now() < start + GIVE_UP_MS && !torture_must_stop(cpu)) {
    let rfcp = take_run_callback(cpu);
    if (rfcp !== 0 && cpu.mem.read(rfcp + RFC_GPS) >= MIN_FWD_CB_LAUNDERS) laundered++;
    if (rfcp === 0 && allocated < MAX_FWD_CBS) {
      rfcp = kmalloc(cpu, RCU_FWD_CB_SIZE, GFP_KERNEL);
      if (rfcp !== 0) cpu.mem.write(rfcp + RFC_GPS, 0);
      allocated++;
    }
    if (rfcp !== 0) torture_call(cpu, rfcp, FWD_CB_CR);
    else torture_sleep(cpu, 1);
    cond_resched(cpu);
  }
  if (laundered >= MIN_FWD_CBS_LAUNDERED) cpu.mem.fetchAdd(N_FWD_TESTED, 1);
  else WARN(cpu, !torture_must_stop(cpu), `rcu_torture_fwd_prog_cr: only ${laundered} callbacks came round`);
  torture_cb_barrier(cpu);
  for (let rfcp = take_run_callback(cpu); rfcp !== 0; rfcp = take_run_callback(cpu)) kfree(cpu, rfcp);
  cpu.mem.storeRelease(FWD_NODELAY, 0);
}
