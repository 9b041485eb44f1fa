/**
 * What the CPUs do in dma/resv-threads.test.ts: one writer changes the fences of a reservation object all the
 * time, readers walk it without the lock.
 *
 * At every moment at least one fence is there and unsignaled: the anchor, which the writer replaces by adding
 * the next one first. Between two equal looks at SEQ an anchor was there all along. Without that, "idle" is a
 * possible answer, as in Linux: a fence appended to the list being walked is not part of the walk.
 */
import { kernel_static } from "../debug/image.ts";
import {
  dma_fence_context_alloc,
  dma_fence_is_signaled,
  dma_fence_put,
  dma_fence_signal,
  type DmaFencePtr,
} from "../dma/fence.ts";
import { dma_resv_entry_fence, dma_resv_list_entry, dma_resv_list_num } from "../dma/resv-list.ts";
import {
  dma_resv_add_fence,
  dma_resv_fences_rcu,
  dma_resv_fini,
  dma_resv_get_fences,
  dma_resv_init,
  DMA_RESV_ITER_SIZE,
  dma_resv_iter_begin,
  dma_resv_iter_end,
  dma_resv_iter_first_unlocked,
  dma_resv_iter_is_restarted,
  dma_resv_iter_next_unlocked,
  dma_resv_lock,
  dma_resv_reserve_fences,
  DMA_RESV_SIZE,
  dma_resv_test_signaled,
  dma_resv_unlock,
  DMA_RESV_USAGE_BOOKKEEP,
  DMA_RESV_USAGE_READ,
  dma_resv_wait_timeout,
  type DmaResvIterPtr,
  type DmaResvPtr,
} from "../dma/resv.ts";
import { mock_fence } from "../dma/testing/mock-fence.ts";
import { kfree } from "../mm/slab.ts";
import { kmem_in_use } from "../mm/slab-report.ts";
import { rcu_barrier, rcu_read_lock, rcu_read_unlock } from "../rcu/rcu.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
import { cond_resched, MAX_SCHEDULE_TIMEOUT } from "../sched/schedule.ts";
import { msleep } from "../sched/delay.ts";
import { wait_until } from "./rendezvous.ts";

const RESV = kernel_static("test_resv", DMA_RESV_SIZE) as DmaResvPtr;
/** Written by the writer: number of the anchor, and after the end -1. */
const SEQ = kernel_static("test_seq", 4);
/** Anchor of an even and of an odd number. */
const ANCHORS = kernel_static("test_anchors", 8);
const READERS_DONE = kernel_static("test_readers_done", 4);
const IN_USE = kernel_static("test_in_use", 4);
/** Lists published by the writer, and steps of readers: so that most steps have a change before the next. */
const CHANGES = kernel_static("test_changes", 4);
const STEPS = kernel_static("test_steps", 4);
const FILLERS = 3;

export function set_up(cpu: Cpu): void {
  dma_resv_init(cpu, RESV);
  cpu.mem.write(IN_USE, kmem_in_use(cpu));
}

/** Objects left over. */
export function settle(cpu: Cpu): number {
  dma_resv_fini(cpu, RESV);
  rcu_barrier(cpu);
  return kmem_in_use(cpu) - cpu.mem.read(IN_USE);
}

/** A new list, without what is signaled. */
function reserve(cpu: Cpu, num: number): void {
  if (dma_resv_reserve_fences(cpu, RESV, num) !== 0) throw new Error("no memory");
}

/** The writer has changed the list: tells, and waits for a reader's next step. */
function changed(cpu: Cpu, readers: number): void {
  const steps = cpu.mem.loadAcquire(STEPS);
  cpu.mem.fetchAdd(CHANGES, 1);
  for (let i = 0; cpu.mem.loadAcquire(STEPS) === steps && cpu.mem.loadAcquire(READERS_DONE) < readers; i++) {
    if (i < 100) cpu.mem.pause();
    else msleep(cpu, 1);
    cond_resched(cpu);
  }
}

/** A reader is between two steps: three times out of four it lets the writer change the list. */
function stepped(cpu: Cpu): void {
  const changes = cpu.mem.loadAcquire(CHANGES);
  cpu.mem.fetchAdd(STEPS, 1);
  if (cpu.random32() % 4 !== 0) wait_until(cpu, CHANGES, changes + 1);
}

/** Until `readers` readers are done. Returns the number of anchors. */
export function writer(cpu: Cpu, readers: number): number {
  const context = dma_fence_context_alloc(cpu, FILLERS + 2);
  let seq = 0;
  let anchor = 0 as DmaFencePtr;
  while (cpu.mem.loadAcquire(READERS_DONE) < readers) {
    const fillers: DmaFencePtr[] = [];
    seq++;
    const old = anchor;
    anchor = mock_fence(cpu, context + FILLERS + (seq & 1), seq);
    dma_resv_lock(cpu, RESV, 0);
    reserve(cpu, FILLERS + 1);
    for (let i = 0; i < FILLERS; i++) {
      fillers.push(mock_fence(cpu, context + i, seq));
      dma_resv_add_fence(cpu, RESV, fillers[i] as DmaFencePtr, DMA_RESV_USAGE_READ);
    }
    dma_resv_add_fence(cpu, RESV, anchor, DMA_RESV_USAGE_BOOKKEEP);
    dma_resv_unlock(cpu, RESV);
    cpu.mem.storeRelease(ANCHORS + (seq & 1) * 4, anchor);
    cpu.mem.storeRelease(SEQ, seq);
    if (old !== 0) retire(cpu, old);
    changed(cpu, readers);
    // Each list that follows is shorter in front of the anchor: it moves to the beginning.
    for (const filler of fillers) {
      retire(cpu, filler);
      dma_resv_lock(cpu, RESV, 0);
      reserve(cpu, 1);
      dma_resv_unlock(cpu, RESV);
      changed(cpu, readers);
    }
  }
  cpu.mem.storeRelease(SEQ, -1);
  retire(cpu, anchor);
  return seq;
}

function retire(cpu: Cpu, fence: DmaFencePtr): void {
  dma_fence_signal(cpu, fence);
  dma_fence_put(cpu, fence);
}

export interface ReaderResult {
  /** Looks during which one anchor was there. */
  readonly steady: number;
  /** Of those, looks that did not see it. */
  readonly missed: number;
  readonly restarts: number;
  /** Of those, answers "idle". */
  readonly idle: number;
}

export function reader(cpu: Cpu, _readers: number, rounds: number): ReaderResult {
  return read_all(cpu, rounds, walk);
}
/** Control: goes on by index, whatever list is there. */
export function naive_reader(cpu: Cpu, _readers: number, rounds: number): ReaderResult {
  return read_all(cpu, rounds, naive_walk);
}

/** Walks for the anchor; returns restarts, or -1 - restarts when it was not seen. */
type Walk = (cpu: Cpu, anchor: number) => number;

function read_all(cpu: Cpu, rounds: number, walker: Walk): ReaderResult {
  wait_until(cpu, SEQ, 1);
  const result = { steady: 0, missed: 0, restarts: 0, idle: 0 };
  const out = stack_push(cpu, 8);
  for (let i = 0; i < rounds; i++) {
    const seq = cpu.mem.loadAcquire(SEQ);
    const anchor = cpu.mem.loadAcquire(ANCHORS + (seq & 1) * 4);
    const found = walker(cpu, anchor);
    const in_array = walker !== walk || gather(cpu, out, anchor);
    let idle = dma_resv_wait_timeout(cpu, RESV, DMA_RESV_USAGE_BOOKKEEP, true, 0);
    if (dma_resv_test_signaled(cpu, RESV, DMA_RESV_USAGE_BOOKKEEP)) idle++;
    if (cpu.mem.loadAcquire(SEQ) === seq) {
      result.steady++;
      result.idle += idle;
      if (found < 0 || !in_array) result.missed++;
    }
    result.restarts += found < 0 ? -1 - found : found;
    cond_resched(cpu);
  }
  stack_pop(cpu, out);
  cpu.mem.fetchAdd(READERS_DONE, 1);
  return result;
}

function walk(cpu: Cpu, anchor: number): number {
  const cursor = stack_push(cpu, DMA_RESV_ITER_SIZE) as DmaResvIterPtr;
  let seen = false;
  let restarts = -1;
  dma_resv_iter_begin(cpu, cursor, RESV, DMA_RESV_USAGE_BOOKKEEP);
  let fence = dma_resv_iter_first_unlocked(cpu, cursor);
  while (fence !== 0) {
    if (dma_resv_iter_is_restarted(cpu, cursor)) {
      seen = false;
      restarts++;
    }
    if (fence === anchor) seen = true;
    stepped(cpu);
    fence = dma_resv_iter_next_unlocked(cpu, cursor);
  }
  dma_resv_iter_end(cpu, cursor);
  stack_pop(cpu, cursor);
  return seen ? Math.max(restarts, 0) : -1 - Math.max(restarts, 0);
}

function naive_walk(cpu: Cpu, anchor: number): number {
  let seen = false;
  for (let index = 0; ; index++) {
    rcu_read_lock(cpu);
    const list = dma_resv_fences_rcu(cpu, RESV);
    const more = index < dma_resv_list_num(cpu, list);
    if (more) {
      const fence = dma_resv_entry_fence(dma_resv_list_entry(cpu, list, index));
      if (fence === anchor && !dma_fence_is_signaled(cpu, fence)) seen = true;
    }
    rcu_read_unlock(cpu);
    if (!more) return seen ? 0 : -1;
    stepped(cpu);
  }
}

/** Does dma_resv_get_fences give the anchor? */
function gather(cpu: Cpu, out: number, anchor: number): boolean {
  if (dma_resv_get_fences(cpu, RESV, DMA_RESV_USAGE_BOOKKEEP, out, out + 4) !== 0)
    throw new Error("no memory");
  const num = cpu.mem.read(out);
  const array = cpu.mem.read(out + 4);
  let seen = false;
  for (let i = 0; i < num; i++) {
    const fence = cpu.mem.read(array + i * 4) as DmaFencePtr;
    if (fence === anchor) seen = true;
    dma_fence_put(cpu, fence);
  }
  if (array !== 0) kfree(cpu, array);
  return seen;
}

/** Waits for the object again and again. Returns how often that ended while the anchor it began with was there. */
export function patient(cpu: Cpu): { waits: number; early: number } {
  const result = { waits: 0, early: 0 };
  wait_until(cpu, SEQ, 1);
  for (;;) {
    const seq = cpu.mem.loadAcquire(SEQ);
    if (seq < 0) return result;
    const left = dma_resv_wait_timeout(cpu, RESV, DMA_RESV_USAGE_BOOKKEEP, false, MAX_SCHEDULE_TIMEOUT);
    result.waits++;
    if (left <= 0 || cpu.mem.loadAcquire(SEQ) === seq) result.early++;
  }
}
