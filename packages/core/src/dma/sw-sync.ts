/**
 * sw_sync (drivers/dma-buf/sw_sync.c): a timeline that a program counts up, with fences that are signaled in order when
 * the count reaches them. For tests of everything that waits for fences.
 *
 * Invariants: a timeline lives as long as its file and its fences. pt_list holds the unsignaled fences in order of
 * their number; Linux has a tree beside it to find the place, here the search starts at the end, where it mostly is.
 * The timeline's lock is the lock of all its fences.
 *
 * Interface: sw_sync_open gives the file; the rest is ioctls, see sync-user.ts. Closing a timeline signals what is
 * left with -ENOENT.
 */
import type { Ptr } from "atomics-sync";
import { EINVAL, ENOENT, ENOMEM, ENOTTY } from "../debug/errno.ts";
import { kernel_rodata, kernel_symbol } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { write_text } from "../debug/site.ts";
import { kernel_string } from "../debug/strings.ts";
import { fd_install, get_unused_fd_flags, put_unused_fd } from "../fs/fdtable.ts";
import { anon_inode_getfile, file_private, type FilePtr, O_CLOEXEC, O_RDWR } from "../fs/file.ts";
import { spin_lock_init, spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import {
  INIT_LIST_HEAD,
  LIST_HEAD_SIZE,
  list_add,
  list_del_init,
  list_empty,
  list_move_tail,
  list_next,
  list_prev,
} from "../mm/list.ts";
import { GFP_KERNEL, kfree, kzalloc } from "../mm/slab.ts";
import { REFCOUNT_SIZE, refcount_dec_and_test, refcount_inc, refcount_set } from "../ref/refcount.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
import { irq_work_tick } from "../sched/irq-work.ts";
import {
  __dma_fence_is_later,
  dma_fence_context_alloc,
  DMA_FENCE_FLAG_USER_BITS,
  DMA_FENCE_FLAGS,
  dma_fence_free,
  dma_fence_get_rcu,
  dma_fence_init,
  dma_fence_is_signaled_locked,
  dma_fence_lock_irqsave,
  dma_fence_ops,
  dma_fence_put,
  dma_fence_seqno,
  dma_fence_set_error,
  dma_fence_signal_locked,
  DMA_FENCE_SIZE,
  dma_fence_spinlock,
  dma_fence_unlock_irqrestore,
  type DmaFencePtr,
} from "./fence.ts";
import { sync_file_create, sync_file_file, sync_file_get_fence } from "./sync-file.ts";
import * as uapi from "./sync-uapi.ts";

export type SyncTimelinePtr = Ptr<"sync_timeline">;

/** struct sync_timeline. */
const KREF = 0;
const LOCK = REFCOUNT_SIZE;
// Constant after sync_timeline_create:
const CONTEXT = 8;
/** A kernel_string. */
const NAME = 16;
const NAME_SIZE = 32;
// Guarded by LOCK:
const PT_LIST = NAME + NAME_SIZE;
/** How far it is, 32 bits that wrap. */
const VALUE = PT_LIST + LIST_HEAD_SIZE;
const TIMELINE_SIZE = VALUE + 8;

/** struct sync_pt: LINK in pt_list and the deadline, guarded by the timeline's lock. */
const BASE = 0;
const LINK = DMA_FENCE_SIZE;
const DEADLINE = LINK + LIST_HEAD_SIZE;
const SYNC_PT_SIZE = DEADLINE + 8;

struct_layout("sync_timeline", TIMELINE_SIZE, [
  ["kref", KREF, REFCOUNT_SIZE],
  ["lock", LOCK, 4],
  ["context", CONTEXT, 8],
  ["name", NAME, NAME_SIZE],
  ["pt_list", PT_LIST, LIST_HEAD_SIZE],
  ["value", VALUE, 4],
]);
struct_layout("sync_pt", SYNC_PT_SIZE, [
  ["base", BASE, DMA_FENCE_SIZE],
  ["link", LINK, LIST_HEAD_SIZE],
  ["deadline", DEADLINE, 8],
]);

const SW_SYNC_HAS_DEADLINE = DMA_FENCE_FLAG_USER_BITS;
/** The timeline counts up by so much at once, so that 32-bit distances keep their sign. */
const INT_MAX = 0x7fffffff;

const DRIVER_NAME = kernel_string("sw_sync");

const timeline_fence_ops = kernel_rodata("timeline_fence_ops", [
  kernel_symbol(timeline_fence_get_driver_name),
  kernel_symbol(timeline_fence_get_timeline_name),
  0,
  kernel_symbol(timeline_fence_signaled),
  0,
  kernel_symbol(timeline_fence_release),
  kernel_symbol(timeline_fence_set_deadline),
]);
const sw_sync_fops = kernel_rodata("sw_sync_fops", [
  kernel_symbol(sw_sync_release),
  0,
  0,
  0,
  0,
  0,
  0,
  kernel_symbol(sw_sync_ioctl),
]);

function sync_timeline_create(cpu: Cpu, name: string): SyncTimelinePtr {
  const obj = kzalloc(cpu, TIMELINE_SIZE, GFP_KERNEL) as SyncTimelinePtr;
  if (obj === 0) return obj;
  refcount_set(cpu, obj + KREF, 1);
  cpu.mem.write64(obj + CONTEXT, dma_fence_context_alloc(cpu, 1));
  write_text(cpu, obj + NAME, name, NAME_SIZE - 4);
  INIT_LIST_HEAD(cpu, obj + PT_LIST);
  spin_lock_init(cpu, obj + LOCK, "&obj->lock");
  return obj;
}

function sync_timeline_put(cpu: Cpu, obj: SyncTimelinePtr): void {
  if (refcount_dec_and_test(cpu, obj + KREF)) kfree(cpu, obj);
}

function dma_fence_parent(cpu: Cpu, fence: DmaFencePtr): SyncTimelinePtr {
  return (dma_fence_spinlock(cpu, fence) - LOCK) as SyncTimelinePtr;
}

function timeline_fence_get_driver_name(): number {
  return DRIVER_NAME;
}
function timeline_fence_get_timeline_name(cpu: Cpu, fence: DmaFencePtr): number {
  return dma_fence_parent(cpu, fence) + NAME;
}

/** Has the timeline got there? With or without the lock. */
function timeline_fence_signaled(cpu: Cpu, fence: DmaFencePtr): boolean {
  // Pairs with the storeRelease in sync_timeline_signal: what came before the count is visible.
  const value = cpu.mem.loadAcquire(dma_fence_parent(cpu, fence) + VALUE);
  return !__dma_fence_is_later(cpu, fence, dma_fence_seqno(cpu, fence), value);
}

function timeline_fence_release(cpu: Cpu, fence: DmaFencePtr): void {
  const obj = dma_fence_parent(cpu, fence);
  // Always under the lock: the timeline may be looking at it, though it can no longer get a reference.
  dma_fence_lock_irqsave(cpu, fence);
  if (!list_empty(cpu, fence + LINK)) list_del_init(cpu, fence + LINK);
  dma_fence_unlock_irqrestore(cpu, fence);
  sync_timeline_put(cpu, obj);
  dma_fence_free(cpu, fence);
}

/** Keeps the earliest one. */
function timeline_fence_set_deadline(cpu: Cpu, fence: DmaFencePtr, deadline: number): void {
  dma_fence_lock_irqsave(cpu, fence);
  const flags = cpu.mem.fetchOr(fence + DMA_FENCE_FLAGS, SW_SYNC_HAS_DEADLINE);
  const has = (flags & SW_SYNC_HAS_DEADLINE) !== 0;
  if (!has || deadline < cpu.mem.read64(fence + DEADLINE)) cpu.mem.write64(fence + DEADLINE, deadline);
  dma_fence_unlock_irqrestore(cpu, fence);
}

/** Counts up and signals, in order, the fences it reaches; with an error all there are. */
function sync_timeline_signal(cpu: Cpu, obj: SyncTimelinePtr, inc: number, error: number): void {
  const signalled = stack_push(cpu, LIST_HEAD_SIZE);
  INIT_LIST_HEAD(cpu, signalled);
  spin_lock_irqsave(cpu, obj + LOCK);
  // Pairs with the loadAcquire in timeline_fence_signaled.
  cpu.mem.storeRelease(obj + VALUE, cpu.mem.read(obj + VALUE) + inc);
  let node = list_next(cpu, obj + PT_LIST);
  while (node !== obj + PT_LIST) {
    const next = list_next(cpu, node);
    const fence = (node - LINK) as DmaFencePtr;
    if (error === 0 && !timeline_fence_signaled(cpu, fence)) break;
    // Its last reference may go in a callback, and its release needs the lock: it goes after the unlock. One
    // that is dying already waits for the lock in there, nobody waits for it. (Linux takes a reference all the same.)
    if (dma_fence_get_rcu(cpu, fence) !== 0) {
      list_move_tail(cpu, node, signalled);
      if (error !== 0) dma_fence_set_error(cpu, fence, error);
      dma_fence_signal_locked(cpu, fence);
    } else list_del_init(cpu, node);
    node = next;
  }
  spin_unlock_irqrestore(cpu, obj + LOCK);
  irq_work_tick(cpu);
  // Ours alone now: signaled fences are on no list, and each has a reference of ours.
  while (!list_empty(cpu, signalled)) {
    const pt = list_next(cpu, signalled);
    list_del_init(cpu, pt);
    dma_fence_put(cpu, (pt - LINK) as DmaFencePtr);
  }
  stack_pop(cpu, signalled);
}

/** The fence of number `value` with a reference, a new one or the one that is there; 0 when out of memory. */
function sync_pt_create(cpu: Cpu, obj: SyncTimelinePtr, value: number): DmaFencePtr {
  const pt = kzalloc(cpu, SYNC_PT_SIZE, GFP_KERNEL) as DmaFencePtr;
  if (pt === 0) return pt;
  refcount_inc(cpu, obj + KREF);
  dma_fence_init(cpu, pt, timeline_fence_ops, obj + LOCK, cpu.mem.read64(obj + CONTEXT), value);
  INIT_LIST_HEAD(cpu, pt + LINK);
  spin_lock_irqsave(cpu, obj + LOCK);
  const other = dma_fence_is_signaled_locked(cpu, pt) ? pt : insert(cpu, obj, pt, value);
  spin_unlock_irqrestore(cpu, obj + LOCK);
  if (other === pt) return pt;
  sync_timeline_put(cpu, obj);
  kfree(cpu, pt);
  return other;
}

/** Puts `pt` in its place; or returns the fence that has its number already, with a reference. Lock held. */
function insert(cpu: Cpu, obj: SyncTimelinePtr, pt: DmaFencePtr, value: number): DmaFencePtr {
  let node = list_prev(cpu, obj + PT_LIST);
  for (; node !== obj + PT_LIST; node = list_prev(cpu, node)) {
    const other = (node - LINK) as DmaFencePtr;
    const ahead = (value - dma_fence_seqno(cpu, other)) | 0;
    // A dying one does not count.
    if (ahead === 0 && dma_fence_get_rcu(cpu, other) !== 0) return other;
    if (ahead > 0) break;
  }
  list_add(cpu, pt + LINK, node);
  return pt;
}

/** Opens a timeline of its own: a file with one reference, or 0. */
export function sw_sync_open(cpu: Cpu): FilePtr {
  const obj = sync_timeline_create(cpu, `task/${cpu.id}`);
  if (obj === 0) return 0 as FilePtr;
  const file = anon_inode_getfile(cpu, sw_sync_fops, obj, O_RDWR);
  if (file === 0) sync_timeline_put(cpu, obj);
  return file;
}

function sw_sync_release(cpu: Cpu, file: FilePtr): void {
  const obj = file_private(cpu, file) as SyncTimelinePtr;
  sync_timeline_signal(cpu, obj, 0, -ENOENT);
  sync_timeline_put(cpu, obj);
}

function sw_sync_ioctl(cpu: Cpu, file: FilePtr, cmd: number, arg: number): number {
  const obj = file_private(cpu, file) as SyncTimelinePtr;
  if (cmd === uapi.SW_SYNC_IOC_CREATE_FENCE) return sw_sync_ioctl_create_fence(cpu, obj, arg);
  if (cmd === uapi.SW_SYNC_IOC_INC) return sw_sync_ioctl_inc(cpu, obj, arg);
  if (cmd === uapi.SW_SYNC_GET_DEADLINE) return sw_sync_ioctl_get_deadline(cpu, arg);
  return -ENOTTY;
}

function sw_sync_ioctl_create_fence(cpu: Cpu, obj: SyncTimelinePtr, data: number): number {
  const fd = get_unused_fd_flags(cpu, O_CLOEXEC);
  if (fd < 0) return fd;
  const pt = sync_pt_create(cpu, obj, cpu.mem.read(data + uapi.SW_SYNC_FENCE_VALUE) >>> 0);
  const sync_file = pt === 0 ? 0 : sync_file_create(cpu, pt);
  dma_fence_put(cpu, pt);
  if (sync_file === 0) {
    put_unused_fd(cpu, fd);
    return -ENOMEM;
  }
  cpu.mem.write(data + uapi.SW_SYNC_FENCE_FENCE, fd);
  fd_install(cpu, fd, sync_file_file(cpu, sync_file));
  return 0;
}

function sw_sync_ioctl_inc(cpu: Cpu, obj: SyncTimelinePtr, arg: number): number {
  let left = cpu.mem.read(arg) >>> 0;
  for (; left > INT_MAX; left -= INT_MAX) sync_timeline_signal(cpu, obj, INT_MAX, 0);
  sync_timeline_signal(cpu, obj, left, 0);
  return 0;
}

function sw_sync_ioctl_get_deadline(cpu: Cpu, data: number): number {
  const given = cpu.mem.read64(data + uapi.SW_SYNC_DEADLINE_NS);
  if (given !== 0 || cpu.mem.read(data + uapi.SW_SYNC_DEADLINE_PAD) !== 0) return -EINVAL;
  const fence = sync_file_get_fence(cpu, cpu.mem.read(data + uapi.SW_SYNC_DEADLINE_FENCE_FD));
  if (fence === 0) return -EINVAL;
  let error = -EINVAL;
  if (dma_fence_ops(cpu, fence) === timeline_fence_ops) {
    dma_fence_lock_irqsave(cpu, fence);
    const has = (cpu.mem.readOnce(fence + DMA_FENCE_FLAGS) & SW_SYNC_HAS_DEADLINE) !== 0;
    if (has) cpu.mem.write64(data + uapi.SW_SYNC_DEADLINE_NS, cpu.mem.read64(fence + DEADLINE));
    error = has ? 0 : -ENOENT;
    dma_fence_unlock_irqrestore(cpu, fence);
  }
  dma_fence_put(cpu, fence);
  return error;
}
