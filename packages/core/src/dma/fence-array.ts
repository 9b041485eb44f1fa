/**
 * dma_fence_array (include/linux/dma-fence-array.h, drivers/dma-buf/dma-fence-array.c): a fence that is signaled when
 * all of several fences are, or any of them.
 *
 * Invariants: the array owns its list and a reference on each member. A member is no array and no chain: operations
 * on the array would recurse. While unsignaled, the error is PENDING_ERROR until a member's first error replaces it.
 *
 * Each callback on a member holds a reference on the array, so that the array may be signaled, and put, before all
 * members are. The last one leaves the signal to an irq_work: it runs under a member's lock, which putting the
 * array may need again.
 *
 * Interface: dma_fence_array_create takes over `fences`, an array from kmalloc, unless it fails. The array's
 * address is that of its fence.
 */
import { kernel_rodata, kernel_symbol } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { kernel_string } from "../debug/strings.ts";
import { WARN_ON } from "../debug/warn.ts";
import { lockdep_init_map } from "../lock/lockdep.ts";
import { GFP_KERNEL, kfree, kzalloc } from "../mm/slab.ts";
import type { Cpu } from "../sched/cpu.ts";
import { init_irq_work, IRQ_WORK_SIZE, irq_work_queue } from "../sched/irq-work.ts";
import { dma_fence_is_chain } from "./fence-chain.ts";
import {
  dma_fence_add_callback,
  DMA_FENCE_CB_SIZE,
  dma_fence_context,
  dma_fence_error,
  DMA_FENCE_ERROR,
  DMA_FENCE_FLAG_ENABLE_SIGNAL,
  DMA_FENCE_FLAGS,
  dma_fence_free,
  dma_fence_get,
  dma_fence_init,
  dma_fence_is_signaled,
  dma_fence_ops,
  dma_fence_put,
  dma_fence_set_deadline,
  dma_fence_signal,
  DMA_FENCE_SIZE,
  dma_fence_spinlock,
  type DmaFenceCbPtr,
  type DmaFencePtr,
} from "./fence.ts";

/** An array is its fence: the base comes first. */
export type DmaFenceArrayPtr = DmaFencePtr;

const BASE = 0;
// Constant after dma_fence_array_init:
const NUM_FENCES = DMA_FENCE_SIZE;
const FENCES = DMA_FENCE_SIZE + 4;
/** Members to wait for; atomic. Below 0 when any sufficed and more than one came. */
const NUM_PENDING = DMA_FENCE_SIZE + 8;
/** Queued by who takes NUM_PENDING to 0. */
const WORK = DMA_FENCE_SIZE + 12;
/** One dma_fence_array_cb a member. */
const CALLBACKS = WORK + IRQ_WORK_SIZE;

/** struct dma_fence_array_cb: CB as any callback, ARRAY constant while it is queued. */
const CB = 0;
const CB_ARRAY = DMA_FENCE_CB_SIZE;
const ARRAY_CB_SIZE = 16;

struct_layout("dma_fence_array", CALLBACKS, [
  ["base", BASE, DMA_FENCE_SIZE],
  ["num_fences", NUM_FENCES, 4],
  ["fences", FENCES, 4],
  ["num_pending", NUM_PENDING, 4],
  ["work", WORK, IRQ_WORK_SIZE],
]);
struct_layout("dma_fence_array_cb", ARRAY_CB_SIZE, [
  ["cb", CB, DMA_FENCE_CB_SIZE],
  ["array", CB_ARRAY, 4],
]);

/** The error of an array that has none so far. */
const PENDING_ERROR = 1;

const DRIVER_NAME = kernel_string("dma_fence_array");
const TIMELINE_NAME = kernel_string("unbound");
const ARRAY_CB = kernel_symbol(dma_fence_array_cb_func);
const ARRAY_IRQ_WORK = kernel_symbol(irq_dma_fence_array_work);

export const dma_fence_array_ops: number = kernel_rodata("dma_fence_array_ops", [
  kernel_symbol(dma_fence_array_get_driver_name),
  kernel_symbol(dma_fence_array_get_timeline_name),
  kernel_symbol(dma_fence_array_enable_signaling),
  kernel_symbol(dma_fence_array_signaled),
  0,
  kernel_symbol(dma_fence_array_release),
  kernel_symbol(dma_fence_array_set_deadline),
]);

function dma_fence_array_get_driver_name(): number {
  return DRIVER_NAME;
}

function dma_fence_array_get_timeline_name(): number {
  return TIMELINE_NAME;
}

/** Memory for an array of that many, or 0. */
export function dma_fence_array_alloc(cpu: Cpu, num_fences: number): DmaFenceArrayPtr {
  return kzalloc(cpu, CALLBACKS + num_fences * ARRAY_CB_SIZE, GFP_KERNEL) as DmaFenceArrayPtr;
}

/** Fills what dma_fence_array_alloc gave. Takes over `fences` and the references in it. */
export function dma_fence_array_init(
  cpu: Cpu,
  array: DmaFenceArrayPtr,
  num_fences: number,
  fences: number,
  context: number,
  seqno: number,
  signal_on_any: boolean,
): void {
  WARN_ON(cpu, num_fences === 0 || fences === 0);
  cpu.mem.write(array + NUM_FENCES, num_fences);
  cpu.mem.write(array + FENCES, fences);
  dma_fence_init(cpu, array, dma_fence_array_ops, 0, context, seqno);
  // Its lock is held while those of its members are taken: another class.
  if (cpu.lockdep) lockdep_init_map(cpu, dma_fence_spinlock(cpu, array), "&dma_fence_array_lock_key");
  init_irq_work(cpu, array + WORK, ARRAY_IRQ_WORK);
  cpu.mem.writeOnce(array + NUM_PENDING, signal_on_any ? 1 : num_fences);
  cpu.mem.writeOnce(array + DMA_FENCE_ERROR, PENDING_ERROR);
  for (let i = 0; i < num_fences; i++) {
    WARN_ON(cpu, dma_fence_is_container(cpu, dma_fence_array_fence(cpu, array, i)));
  }
}

/** A new array with one reference, or 0: then `fences` is still the caller's. */
export function dma_fence_array_create(
  cpu: Cpu,
  num_fences: number,
  fences: number,
  context: number,
  seqno: number,
  signal_on_any: boolean,
): DmaFenceArrayPtr {
  const array = dma_fence_array_alloc(cpu, num_fences);
  if (array === 0) return array;
  dma_fence_array_init(cpu, array, num_fences, fences, context, seqno, signal_on_any);
  return array;
}

export function dma_fence_is_array(cpu: Cpu, fence: DmaFencePtr): boolean {
  return fence !== 0 && dma_fence_ops(cpu, fence) === dma_fence_array_ops;
}
/** Does it hold other fences? */
export function dma_fence_is_container(cpu: Cpu, fence: DmaFencePtr): boolean {
  return dma_fence_is_array(cpu, fence) || dma_fence_is_chain(cpu, fence);
}
/** The fence as an array, 0 when it is none. */
export function to_dma_fence_array(cpu: Cpu, fence: DmaFencePtr): DmaFenceArrayPtr {
  return (dma_fence_is_array(cpu, fence) ? fence : 0) as DmaFenceArrayPtr;
}
export function dma_fence_array_num_fences(cpu: Cpu, array: DmaFencePtr): number {
  return cpu.mem.read(array + NUM_FENCES);
}
/** Member `i`; the array holds the reference. */
function dma_fence_array_fence(cpu: Cpu, array: DmaFencePtr, i: number): DmaFencePtr {
  return cpu.mem.read(cpu.mem.read(array + FENCES) + i * 4) as DmaFencePtr;
}

/** The first member, any other fence itself, or 0. `for (f = first(head), i = 0; f !== 0; f = next(head, ++i))` */
export function dma_fence_array_first(cpu: Cpu, head: DmaFencePtr): DmaFencePtr {
  return dma_fence_is_array(cpu, head) ? dma_fence_array_next(cpu, head, 0) : head;
}
/** Member `index`, or 0: there is none, or it is no array. */
export function dma_fence_array_next(cpu: Cpu, head: DmaFencePtr, index: number): DmaFencePtr {
  if (!dma_fence_is_array(cpu, head)) return 0 as DmaFencePtr;
  if (index >= dma_fence_array_num_fences(cpu, head)) return 0 as DmaFencePtr;
  return dma_fence_array_fence(cpu, head, index);
}

/** Is it of this context, and every member if it is an array? */
export function dma_fence_match_context(cpu: Cpu, fence: DmaFencePtr, context: number): boolean {
  if (!dma_fence_is_array(cpu, fence)) return dma_fence_context(cpu, fence) === context;
  const num = dma_fence_array_num_fences(cpu, fence);
  for (let i = 0; i < num; i++) {
    if (dma_fence_context(cpu, dma_fence_array_fence(cpu, fence, i)) !== context) return false;
  }
  return true;
}

/** The first error of a member becomes the array's, while it has not been signaled. */
function set_pending_error(cpu: Cpu, array: DmaFencePtr, error: number): void {
  if (error !== 0) cpu.mem.compareExchange(array + DMA_FENCE_ERROR, PENDING_ERROR, error);
}
function clear_pending_error(cpu: Cpu, array: DmaFencePtr): void {
  cpu.mem.compareExchange(array + DMA_FENCE_ERROR, PENDING_ERROR, 0);
}

/** One member less to wait for. True when it was the last. */
function dec_pending(cpu: Cpu, array: DmaFencePtr): boolean {
  return cpu.mem.fetchSub(array + NUM_PENDING, 1) === 1;
}

function dma_fence_array_enable_signaling(cpu: Cpu, array: DmaFencePtr): boolean {
  const num = dma_fence_array_num_fences(cpu, array);
  for (let i = 0; i < num; i++) {
    const member = dma_fence_array_fence(cpu, array, i);
    const cb = array + CALLBACKS + i * ARRAY_CB_SIZE;
    cpu.mem.write(cb + CB_ARRAY, array);
    dma_fence_get(cpu, array);
    if (dma_fence_add_callback(cpu, member, (cb + CB) as DmaFenceCbPtr, ARRAY_CB) === 0) continue;
    set_pending_error(cpu, array, dma_fence_error(cpu, member));
    dma_fence_put(cpu, array);
    if (!dec_pending(cpu, array)) continue;
    clear_pending_error(cpu, array);
    return false;
  }
  return true;
}

/** A member is signaled. Its lock is held. */
function dma_fence_array_cb_func(cpu: Cpu, member: DmaFencePtr, cb: number): void {
  const array = cpu.mem.read(cb - CB + CB_ARRAY) as DmaFencePtr;
  set_pending_error(cpu, array, dma_fence_error(cpu, member));
  // The callback's reference goes to the work, or away.
  if (dec_pending(cpu, array)) irq_work_queue(cpu, array + WORK);
  else dma_fence_put(cpu, array);
}

function irq_dma_fence_array_work(cpu: Cpu, work: number): void {
  const array = (work - WORK) as DmaFencePtr;
  clear_pending_error(cpu, array);
  dma_fence_signal(cpu, array);
  dma_fence_put(cpu, array);
}

function dma_fence_array_signaled(cpu: Cpu, array: DmaFencePtr): boolean {
  // Pairs with the fetchSub in dec_pending: what the members' signalers did before is visible after "all done".
  // Before the flag: read after it, the number could be one that enable_signaling has counted down half-way, and
  // its members would be counted a second time below.
  let pending = cpu.mem.loadAcquire(array + NUM_PENDING);
  const enabled = (cpu.mem.loadAcquire(array + DMA_FENCE_FLAGS) & DMA_FENCE_FLAG_ENABLE_SIGNAL) !== 0;
  // Nobody counts while no callback is on the members: they are asked themselves.
  const num = enabled ? 0 : dma_fence_array_num_fences(cpu, array);
  for (let i = 0; i < num && pending > 0; i++) {
    if (dma_fence_is_signaled(cpu, dma_fence_array_fence(cpu, array, i))) pending--;
  }
  if (pending > 0) return false;
  clear_pending_error(cpu, array);
  return true;
}

function dma_fence_array_release(cpu: Cpu, array: DmaFencePtr): void {
  const num = dma_fence_array_num_fences(cpu, array);
  for (let i = 0; i < num; i++) dma_fence_put(cpu, dma_fence_array_fence(cpu, array, i));
  kfree(cpu, cpu.mem.read(array + FENCES));
  dma_fence_free(cpu, array);
}

function dma_fence_array_set_deadline(cpu: Cpu, array: DmaFencePtr, deadline: number): void {
  const num = dma_fence_array_num_fences(cpu, array);
  for (let i = 0; i < num; i++) {
    dma_fence_set_deadline(cpu, dma_fence_array_fence(cpu, array, i), deadline);
  }
}
