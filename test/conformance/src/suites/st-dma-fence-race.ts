/**
 * race_signal_callback of drivers/dma-buf/st-dma-fence.c: two CPUs, each signals its own fence and adds a callback to
 * the other's, which it finds through an RCU pointer. A callback that was accepted runs; one may be refused only
 * because the fence is signaled.
 */
import { kernel_symbol } from "@ringside/core/debug/image";
import {
  dma_fence_add_callback,
  DMA_FENCE_CB_SIZE,
  dma_fence_enable_signaling,
  dma_fence_get_rcu_safe,
  dma_fence_is_signaled,
  dma_fence_lock_irqsave,
  dma_fence_put,
  dma_fence_signal,
  dma_fence_unlock_irqrestore,
  dma_fence_wait,
  type DmaFenceCbPtr,
  type DmaFencePtr,
} from "@ringside/core/dma/fence";
import { mock_fence } from "@ringside/core/dma/testing/mock-fence";
import { rcu_assign_pointer, rcu_barrier, rcu_read_lock, rcu_read_unlock } from "@ringside/core/rcu/rcu";
import { type Cpu, stack_pop, stack_push } from "@ringside/core/sched/cpu";
import { cond_resched } from "@ringside/core/sched/schedule";
import { msleep } from "@ringside/core/sched/delay";
import { linger } from "@ringside/core/testing/rendezvous";
import type { Checks } from "../checks.ts";

/** struct simple_cb. */
const SEEN = DMA_FENCE_CB_SIZE;
const SIMPLE_CB_SIZE = DMA_FENCE_CB_SIZE + 4;
const SIMPLE_CALLBACK = kernel_symbol(race_callback);

function race_callback(cpu: Cpu, _fence: number, cb: number): void {
  cpu.mem.storeRelease(cb + SEEN, 1);
}

// In the scratch memory: for each CPU its published fence and the number of its pass, a line apart; then how many
// modes are over.
const LINE = 128;
const PASS = 4;
const MODES_OVER = 2 * LINE;
/** Rounds of pausing before a pass that waits for the other CPU lets others run. */
const PATIENCE = 200;
/** Looks for the other's fence in one read section. Linux goes on until it is there; but a grace period must end. */
const LOOKS = 200;

interface Race {
  readonly t: Checks;
  readonly before: boolean;
  /** Modes that are over when this one is. */
  readonly over: number;
  passes: number;
  misses: number;
}

/** The body of each CPU: signals before adding the callback, then after. */
export function race_signal_callback(cpu: Cpu, t: Checks): void {
  for (const before of [false, true]) {
    const over = before ? 2 : 1;
    const race: Race = { t, before, over, passes: 0, misses: 0 };
    const end = cpu.now() + t.seconds * 500;
    cpu.mem.storeRelease(t.scratch + t.index * LINE + PASS, 0);
    t.meet();
    while (!stopped(cpu, race)) {
      if (!one_pass(cpu, race)) break;
      cond_resched(cpu);
      if (t.index === 0 && cpu.now() >= end) cpu.mem.storeRelease(t.scratch + MODES_OVER, over);
    }
    t.meet();
    const mode = before ? "before" : "after";
    t.note(`CPU ${t.index}, signaling ${mode}: ${race.passes} passes, ${race.misses} misses`);
    t.ok(race.passes > 0, `CPU ${t.index} made no pass signaling ${mode}`);
  }
}

function stopped(cpu: Cpu, { t, over }: Race): boolean {
  return cpu.mem.loadAcquire(t.scratch + MODES_OVER) >= over;
}

/** False when something is wrong: then both stop. */
function one_pass(cpu: Cpu, race: Race): boolean {
  const { t, before } = race;
  const own = t.scratch + t.index * LINE;
  const fence = new_fence(cpu);
  const cb = stack_push(cpu, SIMPLE_CB_SIZE) as DmaFenceCbPtr;
  dma_fence_enable_signaling(cpu, fence);
  rcu_assign_pointer(cpu, own, fence);
  begin_together(cpu, race);
  const other = other_fence(cpu, race);
  if (before) dma_fence_signal(cpu, fence);
  const added = other !== 0 && dma_fence_add_callback(cpu, other, cb, SIMPLE_CALLBACK) === 0;
  if (!added) race.misses++;
  if (!before) dma_fence_signal(cpu, fence);
  if (added && cpu.mem.loadAcquire(cb + SEEN) === 0) {
    dma_fence_wait(cpu, other, false);
    wait_for_callbacks(cpu, other);
  }
  const seen = !added || cpu.mem.loadAcquire(cb + SEEN) !== 0;
  if (!seen) t.ok(false, unseen(cpu, race, other));
  // A callback that was refused for no reason would be a miss for ever.
  const refused = other !== 0 && !added;
  const reason = !refused || dma_fence_is_signaled(cpu, other);
  t.ok(reason, "a callback was refused by a fence that is not signaled");
  dma_fence_put(cpu, other);
  rcu_assign_pointer(cpu, own, 0);
  dma_fence_put(cpu, fence);
  stack_pop(cpu, cb);
  if (!seen || !reason) cpu.mem.storeRelease(t.scratch + MODES_OVER, race.over);
  return seen && reason;
}

/** Else, on a busy machine, one CPU makes all its passes against a fence that the other left signaled. */
function begin_together(cpu: Cpu, race: Race): void {
  const { t } = race;
  race.passes++;
  cpu.mem.storeRelease(t.scratch + t.index * LINE + PASS, race.passes);
  const other = t.scratch + (1 - t.index) * LINE + PASS;
  for (let round = 0; cpu.mem.loadAcquire(other) < race.passes && !stopped(cpu, race); round++) {
    if (round < PATIENCE) cpu.mem.pause();
    else msleep(cpu, 1);
    cond_resched(cpu);
  }
  linger(cpu, 50);
}

function unseen(cpu: Cpu, { t, before, misses }: Race, other: DmaFencePtr): string {
  const when = before ? "before" : "after";
  const signaled = dma_fence_is_signaled(cpu, other) ? "yes" : "no";
  const what = `Callback not seen on thread ${t.index} (${misses} misses), signaling ${when} add_callback`;
  return `${what}; fence signaled? ${signaled}`;
}

/** Fences are freed a grace period late: when memory is short, it is time for one. */
function new_fence(cpu: Cpu): DmaFencePtr {
  let fence = mock_fence(cpu, 0, 0);
  while (fence === 0) {
    rcu_barrier(cpu);
    fence = mock_fence(cpu, 0, 0);
  }
  return fence;
}

/** The other CPU's fence with a reference; 0 when the race is over. */
function other_fence(cpu: Cpu, race: Race): DmaFencePtr {
  const slot = race.t.scratch + (1 - race.t.index) * LINE;
  let fence = 0 as DmaFencePtr;
  while (fence === 0 && !stopped(cpu, race)) {
    rcu_read_lock(cpu);
    for (let i = 0; i < LOOKS && fence === 0; i++) {
      fence = dma_fence_get_rcu_safe(cpu, slot);
      if (fence === 0) cpu.mem.pause();
    }
    rcu_read_unlock(cpu);
    cond_resched(cpu);
  }
  return fence;
}

/** Signaled is set before the callbacks run; the lock is held until they have. */
function wait_for_callbacks(cpu: Cpu, fence: DmaFencePtr): void {
  dma_fence_lock_irqsave(cpu, fence);
  dma_fence_unlock_irqrestore(cpu, fence);
}
