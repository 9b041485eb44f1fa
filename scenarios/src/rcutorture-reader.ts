/**
 * The readers of the torture (rcu_torture_reader): sections of all lengths, with safe points, timers and further
 * sections inside, each of which looks how old its element has become.
 *
 * Readers also check that what one CPU counted before a grace period is seen by another after it
 * (rcu_torture_reader_do_mbchk).
 */
import { kernel_static, kernel_symbol } from "@ringside/core/debug/image";
import { struct_layout } from "@ringside/core/debug/layout";
import { WARN_ONCE } from "@ringside/core/debug/warn";
import { GFP_NOWAIT, kfree, kmalloc } from "@ringside/core/mm/slab";
import {
  get_state_synchronize_rcu,
  poll_state_synchronize_rcu,
  rcu_dereference,
  RCU_HEAD_SIZE,
  rcu_is_watching,
  rcu_read_lock,
  rcu_read_unlock,
} from "@ringside/core/rcu/rcu";
import { type Cpu, SOFTIRQ_OFFSET, stack_pop, stack_push } from "@ringside/core/sched/cpu";
import { cond_resched } from "@ringside/core/sched/schedule";
import {
  mod_timer,
  timer_delete_sync,
  timer_pending,
  TIMER_SIZE,
  timer_setup,
  type TimerPtr,
} from "@ringside/core/sched/timer";
import { barrier_cbs_step } from "./rcutorture-barrier.ts";
import { torture_call, torture_can_poll, torture_gp_seq } from "./rcutorture-ops.ts";
import {
  FWD_NODELAY,
  IRQREADER,
  LEAKPOINTER,
  MAX_READERS,
  N_MBCHK_FAIL,
  N_MBCHK_TRIES,
  N_MBERROR,
  N_TIMERS,
  NREADERS,
  RCU_TORTURE_CURRENT,
  RTORT_CHKP,
  RTORT_MBTEST,
  RTORT_PIPE_COUNT,
  stutter_wait,
  torture_count_read,
  torture_must_stop,
  torture_sleep,
  udelay,
} from "./rcutorture-state.ts";

const RCU_TORTURE_TIMER = kernel_symbol(rcu_torture_timer);
const RCU_TORTURE_TIMER_CB = kernel_symbol(rcu_torture_timer_cb);

/** struct rcu_torture_reader_check, a line each. RTC_READY is first: rcu_torture_pipe_update_one sets it. */
const RTC_READY = 0;
const RTC_MYLOOPS = 4;
/** Number of the reader under check + 1; 0 when this one has no check under way. */
const RTC_CHKRDR = 8;
const RTC_CHKLOOPS = 12;
/** Whose check this reader is to carry out, or 0. */
const RTC_ASSIGNER = 16;
const RTC_SIZE = 128;
struct_layout("rcu_torture_reader_check", RTC_SIZE, [
  ["rtc_ready", RTC_READY, 4],
  ["rtc_myloops", RTC_MYLOOPS, 4],
  ["rtc_chkrdr", RTC_CHKRDR, 4],
  ["rtc_chkloops", RTC_CHKLOOPS, 4],
  ["rtc_assigner", RTC_ASSIGNER, 4],
]);
const MBCHK = kernel_static("rcu_torture_reader_mbchk", MAX_READERS * RTC_SIZE);

const LONG_DELAY_MS = 50;
/** In softirq context. */
const LONG_DELAY_SOFTIRQ_MS = 5;
const SHORT_DELAY_US = 200;
/** Sections between two delays of each kind, per reader. */
const LONG_EVERY = 20_000;
const SHORT_EVERY = 400;
const SAFE_POINT_EVERY = 16;
/** A reader sleeps 1 ms after so many. */
const AWAKE_MS = 10;
const NO_DATA_MS = 5;

/** Zeroes the mailboxes; with rcu_torture_init. */
export function rcu_torture_readers_init(cpu: Cpu): void {
  cpu.mem.memset(MBCHK, 0, MAX_READERS * RTC_SIZE);
}

/** One chance in `every` per reader. */
function seldom(cpu: Cpu, every: number): boolean {
  return cpu.random32() % (cpu.mem.read(NREADERS) * every) === 0;
}

/** Inside a section: now and then long, short, or a safe point, which must not count as a quiescent state. */
function rcu_read_delay(cpu: Cpu): void {
  if (cpu.mem.readOnce(FWD_NODELAY) === 0 && seldom(cpu, LONG_EVERY)) {
    const softirq = cpu.preempt_count >= SOFTIRQ_OFFSET;
    const end = cpu.now() + (softirq ? LONG_DELAY_SOFTIRQ_MS : LONG_DELAY_MS);
    while (cpu.now() < end && !torture_must_stop(cpu)) cond_resched(cpu);
  }
  if (seldom(cpu, SHORT_EVERY)) udelay(cpu, SHORT_DELAY_US);
  if (seldom(cpu, SAFE_POINT_EVERY)) cond_resched(cpu);
}

/** Up to three more sections inside this one. */
function rcutorture_loop_extend(cpu: Cpu): void {
  for (let i = cpu.random32() & 3; i > 0; i--) {
    rcu_read_lock(cpu);
    rcu_read_delay(cpu);
    rcu_read_unlock(cpu);
  }
}

/** One section. False when nothing is published. `myid`: number of the reader, or -1 in timers and visitors. */
export function rcu_torture_one_read(cpu: Cpu, myid: number): boolean {
  WARN_ONCE(cpu, !rcu_is_watching(cpu), "rcu_torture_one_read: RCU is not watching");
  rcu_read_lock(cpu);
  const polls = torture_can_poll(cpu);
  const cookie = polls ? get_state_synchronize_rcu(cpu) : 0;
  const started = torture_gp_seq(cpu);
  const p = rcu_dereference(cpu, RCU_TORTURE_CURRENT);
  if (p === 0) {
    rcu_read_unlock(cpu);
    return false;
  }
  if (cpu.mem.loadAcquire(p + RTORT_MBTEST) === 0) cpu.mem.fetchAdd(N_MBERROR, 1);
  rcu_torture_reader_do_mbchk(cpu, myid, p);
  rcutorture_loop_extend(cpu);
  const pipe_count = cpu.mem.loadAcquire(p + RTORT_PIPE_COUNT);
  torture_count_read(cpu, pipe_count, torture_gp_seq(cpu) - started);
  if (polls && poll_state_synchronize_rcu(cpu, cookie)) cookie_failed(cpu, cookie);
  rcu_read_unlock(cpu);
  if (myid >= 0 && cpu.mem.read(LEAKPOINTER) !== 0) use_leaked_pointer(cpu, p);
  return true;
}

function cookie_failed(cpu: Cpu, cookie: number): void {
  const now = get_state_synchronize_rcu(cpu);
  WARN_ONCE(cpu, true, `rcu_torture_one_read: Cookie check 3 failed ${cookie}->${now}`);
}

/** The bug that leakpointer plants: the element is looked at when nothing keeps it any more. */
function use_leaked_pointer(cpu: Cpu, p: number): void {
  cond_resched(cpu);
  if ((cpu.random32() & 15) === 0) torture_sleep(cpu, 1);
  const pipe_count = cpu.mem.loadAcquire(p + RTORT_PIPE_COUNT);
  WARN_ONCE(cpu, pipe_count > 1, "rcu_torture_one_read: leaked pointer to an element after its grace period");
}

/**
 * Gives another reader the job to compare, after the grace period of `p`, a third one's count with what we see now;
 * and does such a job.
 */
function rcu_torture_reader_do_mbchk(cpu: Cpu, myid: number, p: number): void {
  if (myid < 0) return;
  const { mem } = cpu;
  const me = MBCHK + myid * RTC_SIZE;
  mem.writeOnce(me + RTC_MYLOOPS, mem.read(me + RTC_MYLOOPS) + 1);
  const readers = mem.read(NREADERS);
  const checked = cpu.random32() % readers;
  const checker = cpu.random32() % readers;
  if (checked !== myid && checked !== checker) assign_check(cpu, me, checked, MBCHK + checker * RTC_SIZE, p);
  carry_out_check(cpu, me);
}

function assign_check(cpu: Cpu, me: number, checked: number, checker: number, p: number): void {
  const { mem } = cpu;
  // Pairs with the storeRelease in carry_out_check: our former check is through, its words are ours.
  if (mem.loadAcquire(me + RTC_CHKRDR) !== 0 || mem.readOnce(p + RTORT_CHKP) !== 0) return;
  if (mem.loadAcquire(checker + RTC_ASSIGNER) !== 0) return;
  mem.writeOnce(me + RTC_CHKLOOPS, mem.readOnce(MBCHK + checked * RTC_SIZE + RTC_MYLOOPS));
  mem.writeOnce(me + RTC_CHKRDR, checked + 1);
  WARN_ONCE(cpu, mem.readOnce(me + RTC_READY) !== 0, "rcu_torture: a check is ready before its grace period");
  if (mem.compareExchange(checker + RTC_ASSIGNER, 0, me) !== 0) {
    mem.writeOnce(me + RTC_CHKRDR, 0);
  } else if (mem.compareExchange(p + RTORT_CHKP, 0, me) !== 0) {
    // Somebody else has the element.
    mem.writeOnce(me + RTC_CHKRDR, 0);
    mem.compareExchange(checker + RTC_ASSIGNER, me, 0);
  }
}

function carry_out_check(cpu: Cpu, me: number): void {
  const { mem } = cpu;
  const assigner = mem.loadAcquire(me + RTC_ASSIGNER);
  if (assigner === 0 || mem.loadAcquire(assigner + RTC_READY) === 0) return;
  const checked = MBCHK + (mem.readOnce(assigner + RTC_CHKRDR) - 1) * RTC_SIZE;
  const loops = mem.readOnce(checked + RTC_MYLOOPS);
  mem.fetchAdd(N_MBCHK_TRIES, 1);
  if (((loops - mem.readOnce(assigner + RTC_CHKLOOPS)) | 0) < 0) mem.fetchAdd(N_MBCHK_FAIL, 1);
  mem.writeOnce(assigner + RTC_READY, 0);
  mem.storeRelease(me + RTC_ASSIGNER, 0);
  mem.storeRelease(assigner + RTC_CHKRDR, 0);
}

/** A reader in softirq context, maybe inside a section of its CPU; also a call_rcu from there. */
function rcu_torture_timer(cpu: Cpu): void {
  cpu.mem.fetchAdd(N_TIMERS, 1);
  rcu_torture_one_read(cpu, -1);
  const head = kmalloc(cpu, RCU_HEAD_SIZE, GFP_NOWAIT);
  if (head !== 0) torture_call(cpu, head, RCU_TORTURE_TIMER_CB);
}

function rcu_torture_timer_cb(cpu: Cpu, head: number): void {
  kfree(cpu, head);
}

/** Reader `myid`, until the torture stops. */
export function rcu_torture_reader(cpu: Cpu, myid: number): void {
  const timer = stack_push(cpu, TIMER_SIZE) as TimerPtr;
  timer_setup(cpu, timer, RCU_TORTURE_TIMER);
  const irqreader = cpu.mem.read(IRQREADER) !== 0;
  let awake_until = cpu.now();
  while (!torture_must_stop(cpu)) {
    if (irqreader && !timer_pending(cpu, timer)) mod_timer(cpu, timer, cpu.now() + 1);
    if (!rcu_torture_one_read(cpu, myid)) torture_sleep(cpu, NO_DATA_MS);
    barrier_cbs_step(cpu, myid);
    if (cpu.now() > awake_until) {
      torture_sleep(cpu, 1);
      awake_until = cpu.now() + AWAKE_MS;
    }
    cond_resched(cpu);
    stutter_wait(cpu);
  }
  timer_delete_sync(cpu, timer);
  stack_pop(cpu, timer);
}
