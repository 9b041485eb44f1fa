/**
 * sync_file (include/linux/sync_file.h, drivers/dma-buf/sync_file.c): a fence as a file, so that processes can pass
 * it on.
 *
 * Invariants: the file owns a reference on its fence, which never changes. FLAGS has POLL_ENABLED once CB was offered
 * to the fence; the callback wakes WQ.
 *
 * Interface: sync_file_create, then fd_install its file (sync_file_file) or fput it; sync_file_get_fence for drivers.
 * What a process does with it: sync-user.ts.
 */
import type { Ptr } from "atomics-sync";
import { EINVAL, ENOENT, ENOMEM, ENOTTY } from "../debug/errno.ts";
import { kernel_rodata, kernel_symbol } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { fd_install, fget, get_unused_fd_flags, put_unused_fd } from "../fs/fdtable.ts";
import { anon_inode_getfile, file_fop, file_private, type FilePtr, fput, O_CLOEXEC } from "../fs/file.ts";
import { GFP_KERNEL, kfree, kzalloc } from "../mm/slab.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
import { init_waitqueue_head, WAIT_QUEUE_HEAD_SIZE, wake_up_all } from "../sched/wait.ts";
import {
  dma_fence_add_callback,
  DMA_FENCE_CB_SIZE,
  dma_fence_context,
  dma_fence_driver_name,
  dma_fence_get,
  dma_fence_get_status,
  dma_fence_is_signaled,
  dma_fence_put,
  dma_fence_remove_callback,
  dma_fence_seqno,
  dma_fence_set_deadline,
  dma_fence_timeline_name,
  dma_fence_timestamp,
  type DmaFenceCbPtr,
  type DmaFencePtr,
} from "./fence.ts";
import {
  DMA_FENCE_UNWRAP_SIZE,
  dma_fence_unwrap_first,
  dma_fence_unwrap_merge,
  dma_fence_unwrap_next,
  type DmaFenceUnwrapPtr,
} from "./fence-unwrap.ts";
import * as uapi from "./sync-uapi.ts";

export type SyncFilePtr = Ptr<"sync_file">;

// Constant after sync_file_create or sync_file_merge:
const FILE = 0;
const USER_NAME = 4;
/** Wait queue of pollers, woken by CB. */
const WQ = USER_NAME + uapi.SYNC_NAME_SIZE;
/** Atomic. */
const FLAGS = WQ + WAIT_QUEUE_HEAD_SIZE;
/** Constant after sync_file_create or sync_file_merge. */
const FENCE = FLAGS + 4;
/** Offered to the fence by who sets POLL_ENABLED. */
const CB = FENCE + 4;
const SYNC_FILE_SIZE = CB + DMA_FENCE_CB_SIZE;

const POLL_ENABLED = 1;

struct_layout("sync_file", SYNC_FILE_SIZE, [
  ["file", FILE, 4],
  ["user_name", USER_NAME, uapi.SYNC_NAME_SIZE],
  ["wq", WQ, WAIT_QUEUE_HEAD_SIZE],
  ["flags", FLAGS, 4],
  ["fence", FENCE, 4],
  ["cb", CB, DMA_FENCE_CB_SIZE],
]);

/** There is something to read: the fence is signaled. */
export const EPOLLIN = 1;

const CHECK_CB = kernel_symbol(fence_check_cb_func);

const sync_file_fops = kernel_rodata("sync_file_fops", [
  kernel_symbol(sync_file_release),
  0,
  0,
  0,
  0,
  0,
  kernel_symbol(sync_file_poll),
  kernel_symbol(sync_file_ioctl),
]);

/** A sync_file that takes over the reference on `fence`, or 0. */
function sync_file_alloc(cpu: Cpu, fence: DmaFencePtr): SyncFilePtr {
  const sync_file = kzalloc(cpu, SYNC_FILE_SIZE, GFP_KERNEL) as SyncFilePtr;
  if (sync_file === 0) return sync_file;
  const file = anon_inode_getfile(cpu, sync_file_fops, sync_file, 0);
  if (file === 0) {
    kfree(cpu, sync_file);
    return 0 as SyncFilePtr;
  }
  cpu.mem.write(sync_file + FILE, file);
  init_waitqueue_head(cpu, sync_file + WQ);
  cpu.mem.write(sync_file + FENCE, fence);
  return sync_file;
}

/** A new file for `fence`, with a reference of its own on it; 0 when out of memory. fput(sync_file_file) ends it. */
export function sync_file_create(cpu: Cpu, fence: DmaFencePtr): SyncFilePtr {
  const sync_file = sync_file_alloc(cpu, dma_fence_get(cpu, fence));
  if (sync_file === 0) dma_fence_put(cpu, fence);
  return sync_file;
}

export function sync_file_file(cpu: Cpu, sync_file: SyncFilePtr): FilePtr {
  return cpu.mem.read(sync_file + FILE) as FilePtr;
}
function sync_file_fence(cpu: Cpu, sync_file: SyncFilePtr): DmaFencePtr {
  return cpu.mem.read(sync_file + FENCE) as DmaFencePtr;
}
/** Where pollers wait. */
export function sync_file_wq(sync_file: SyncFilePtr): number {
  return sync_file + WQ;
}

/** The sync_file behind `fd`, with a reference on its file; 0 when it is another kind of file, or none. */
export function sync_file_fdget(cpu: Cpu, fd: number): SyncFilePtr {
  const file = fget(cpu, fd);
  if (file === 0) return 0 as SyncFilePtr;
  if (file_fop(cpu, file) === sync_file_fops) return file_private(cpu, file) as SyncFilePtr;
  fput(cpu, file);
  return 0 as SyncFilePtr;
}

/** The fence behind `fd` with a reference, or 0. */
export function sync_file_get_fence(cpu: Cpu, fd: number): DmaFencePtr {
  const sync_file = sync_file_fdget(cpu, fd);
  if (sync_file === 0) return 0 as DmaFencePtr;
  const fence = dma_fence_get(cpu, sync_file_fence(cpu, sync_file));
  fput(cpu, sync_file_file(cpu, sync_file));
  return fence;
}

/** The name given at merging; else one made of the fence's. */
export function sync_file_get_name(cpu: Cpu, sync_file: SyncFilePtr): string {
  const name = uapi.read_name(cpu, sync_file + USER_NAME);
  if (name !== "") return name;
  const fence = sync_file_fence(cpu, sync_file);
  const timeline = `${dma_fence_driver_name(cpu, fence)}-${dma_fence_timeline_name(cpu, fence)}`;
  return `${timeline}${dma_fence_context(cpu, fence)}-${dma_fence_seqno(cpu, fence)}`;
}

/** A new file for both fences as one; 0 when out of memory. `a` and `b` stay as they are. */
function sync_file_merge(cpu: Cpu, name: number, a: SyncFilePtr, b: SyncFilePtr): SyncFilePtr {
  const fence = dma_fence_unwrap_merge(cpu, sync_file_fence(cpu, a), sync_file_fence(cpu, b));
  if (fence === 0) return 0 as SyncFilePtr;
  const merged = sync_file_alloc(cpu, fence);
  if (merged === 0) dma_fence_put(cpu, fence);
  else uapi.write_name(cpu, merged + USER_NAME, uapi.read_name(cpu, name));
  return merged;
}

function sync_file_release(cpu: Cpu, file: FilePtr): void {
  const sync_file = file_private(cpu, file) as SyncFilePtr;
  const fence = sync_file_fence(cpu, sync_file);
  // When this returns the callback is not running either: it runs under the fence's lock.
  if ((cpu.mem.readOnce(sync_file + FLAGS) & POLL_ENABLED) !== 0) {
    dma_fence_remove_callback(cpu, fence, (sync_file + CB) as DmaFenceCbPtr);
  }
  dma_fence_put(cpu, fence);
  kfree(cpu, sync_file);
}

function fence_check_cb_func(cpu: Cpu, _fence: DmaFencePtr, cb: number): void {
  wake_up_all(cpu, cb - CB + WQ);
}

/** EPOLLIN when the fence is signaled. The first call asks the fence to wake WQ. */
export function sync_file_poll(cpu: Cpu, file: FilePtr): number {
  const sync_file = file_private(cpu, file) as SyncFilePtr;
  const fence = sync_file_fence(cpu, sync_file);
  if ((cpu.mem.fetchOr(sync_file + FLAGS, POLL_ENABLED) & POLL_ENABLED) === 0) {
    const error = dma_fence_add_callback(cpu, fence, (sync_file + CB) as DmaFenceCbPtr, CHECK_CB);
    if (error < 0) wake_up_all(cpu, sync_file + WQ);
  }
  return dma_fence_is_signaled(cpu, fence) ? EPOLLIN : 0;
}

function sync_file_ioctl(cpu: Cpu, file: FilePtr, cmd: number, arg: number): number {
  const sync_file = file_private(cpu, file) as SyncFilePtr;
  if (cmd === uapi.SYNC_IOC_MERGE) return sync_file_ioctl_merge(cpu, sync_file, arg);
  if (cmd === uapi.SYNC_IOC_FILE_INFO) return sync_file_ioctl_fence_info(cpu, sync_file, arg);
  if (cmd === uapi.SYNC_IOC_SET_DEADLINE) return sync_file_ioctl_set_deadline(cpu, sync_file, arg);
  return -ENOTTY;
}

function sync_file_ioctl_merge(cpu: Cpu, sync_file: SyncFilePtr, data: number): number {
  const fd = get_unused_fd_flags(cpu, O_CLOEXEC);
  if (fd < 0) return fd;
  const error = merge_into_fd(cpu, sync_file, data, fd);
  if (error !== 0) put_unused_fd(cpu, fd);
  return error;
}

function merge_into_fd(cpu: Cpu, sync_file: SyncFilePtr, data: number, fd: number): number {
  const reserved = cpu.mem.read(data + uapi.SYNC_MERGE_FLAGS) | cpu.mem.read(data + uapi.SYNC_MERGE_PAD);
  if (reserved !== 0) return -EINVAL;
  const other = sync_file_fdget(cpu, cpu.mem.read(data + uapi.SYNC_MERGE_FD2));
  if (other === 0) return -ENOENT;
  const merged = sync_file_merge(cpu, data + uapi.SYNC_MERGE_NAME, sync_file, other);
  fput(cpu, sync_file_file(cpu, other));
  if (merged === 0) return -ENOMEM;
  cpu.mem.write(data + uapi.SYNC_MERGE_FENCE, fd);
  fd_install(cpu, fd, sync_file_file(cpu, merged));
  return 0;
}

function sync_file_ioctl_fence_info(cpu: Cpu, sync_file: SyncFilePtr, info: number): number {
  const reserved = cpu.mem.read(info + uapi.SYNC_FILE_FLAGS) | cpu.mem.read(info + uapi.SYNC_FILE_PAD);
  if (reserved !== 0) return -EINVAL;
  const fence = sync_file_fence(cpu, sync_file);
  const room = cpu.mem.read(info + uapi.SYNC_FILE_NUM_FENCES) >>> 0;
  const table = cpu.mem.read64(info + uapi.SYNC_FILE_SYNC_FENCE_INFO);
  const num = fill_fence_infos(cpu, fence, 0, 0);
  if (room !== 0 && room < num) return -EINVAL;
  if (room === 0) cpu.mem.write(info + uapi.SYNC_FILE_STATUS, dma_fence_get_status(cpu, fence));
  else {
    // A chain may have lost links since: the rest stays empty.
    cpu.mem.memset(table, 0, num * uapi.SYNC_FENCE_INFO_SIZE);
    fill_fence_infos(cpu, fence, table, num);
    cpu.mem.write(info + uapi.SYNC_FILE_STATUS, overall_status(cpu, table, num));
  }
  uapi.write_name(cpu, info + uapi.SYNC_FILE_NAME, sync_file_get_name(cpu, sync_file));
  cpu.mem.write(info + uapi.SYNC_FILE_NUM_FENCES, num);
  return 0;
}

/** Counts the plain fences of `head`, and describes up to `room` of them at `table`. */
function fill_fence_infos(cpu: Cpu, head: DmaFencePtr, table: number, room: number): number {
  const cursor = stack_push(cpu, DMA_FENCE_UNWRAP_SIZE) as DmaFenceUnwrapPtr;
  let num = 0;
  let fence = dma_fence_unwrap_first(cpu, head, cursor);
  for (; fence !== 0; fence = dma_fence_unwrap_next(cpu, cursor)) {
    if (num < room) sync_fill_fence_info(cpu, fence, table + num * uapi.SYNC_FENCE_INFO_SIZE);
    num++;
  }
  stack_pop(cpu, cursor);
  return num;
}

function sync_fill_fence_info(cpu: Cpu, fence: DmaFencePtr, info: number): void {
  uapi.write_name(cpu, info + uapi.SYNC_FENCE_OBJ_NAME, dma_fence_timeline_name(cpu, fence));
  uapi.write_name(cpu, info + uapi.SYNC_FENCE_DRIVER_NAME, dma_fence_driver_name(cpu, fence));
  const status = dma_fence_get_status(cpu, fence);
  const timestamp = dma_fence_is_signaled(cpu, fence) ? dma_fence_timestamp(cpu, fence) : 0;
  cpu.mem.write(info + uapi.SYNC_FENCE_STATUS, status);
  cpu.mem.write64(info + uapi.SYNC_FENCE_TIMESTAMP_NS, timestamp);
}

/** 1 when all are signaled; else the status of the first that is not, or that failed. */
function overall_status(cpu: Cpu, table: number, num: number): number {
  for (let i = 0; i < num; i++) {
    const status = cpu.mem.read(table + i * uapi.SYNC_FENCE_INFO_SIZE + uapi.SYNC_FENCE_STATUS);
    if (status <= 0) return status;
  }
  return 1;
}

function sync_file_ioctl_set_deadline(cpu: Cpu, sync_file: SyncFilePtr, data: number): number {
  if (cpu.mem.read64(data + uapi.SYNC_DEADLINE_PAD) !== 0) return -EINVAL;
  const deadline = cpu.mem.read64(data + uapi.SYNC_DEADLINE_NS);
  dma_fence_set_deadline(cpu, sync_file_fence(cpu, sync_file), deadline);
  return 0;
}
