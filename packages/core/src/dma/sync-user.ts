/**
 * Sync files and timelines as a program uses them, by descriptors (tools/testing/selftests/sync/sync.c). An error is a
 * negative errno, where a C library would say -1.
 *
 * Interface: sw_sync_timeline_create, sw_sync_fence_create, sw_sync_timeline_inc; sync_wait, sync_merge; close_fd or
 * the destroy verbs.
 */
import { EBADF, EINTR, EMFILE, ENOMEM, ENOTTY } from "../debug/errno.ts";
import { symbol_call } from "../debug/image.ts";
import { close_fd, fd_install, fget, get_unused_fd_flags, put_unused_fd } from "../fs/fdtable.ts";
import { file_op, FOP_UNLOCKED_IOCTL, fput } from "../fs/file.ts";
import { GFP_KERNEL, kcalloc, kfree } from "../mm/slab.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
import { MAX_SCHEDULE_TIMEOUT, schedule_timeout } from "../sched/schedule.ts";
import { signal_pending, TASK_INTERRUPTIBLE } from "../sched/task.ts";
import { finish_wait, prepare_to_wait, wait_entry_push } from "../sched/wait.ts";
import { sw_sync_open } from "./sw-sync.ts";
import { sync_file_fdget, sync_file_file, sync_file_poll, sync_file_wq } from "./sync-file.ts";
import * as uapi from "./sync-uapi.ts";

export const FENCE_STATUS_ERROR = -1;
export const FENCE_STATUS_ACTIVE = 0;
export const FENCE_STATUS_SIGNALED = 1;

/** ioctl(2) on what has FOP_UNLOCKED_IOCTL. */
export function fd_ioctl(cpu: Cpu, fd: number, cmd: number, arg: number): number {
  const file = fget(cpu, fd);
  if (file === 0) return -EBADF;
  const op = file_op(cpu, file, FOP_UNLOCKED_IOCTL);
  const result = op === 0 ? -ENOTTY : symbol_call(cpu, op, file, cmd, arg);
  fput(cpu, file);
  return result;
}

/** A new timeline, at 0. Its descriptor. */
export function sw_sync_timeline_create(cpu: Cpu): number {
  const fd = get_unused_fd_flags(cpu, 0);
  if (fd < 0) return -EMFILE;
  const file = sw_sync_open(cpu);
  if (file === 0) {
    put_unused_fd(cpu, fd);
    return -ENOMEM;
  }
  fd_install(cpu, fd, file);
  return fd;
}

/** Is it a descriptor? (Of whatever, as there.) */
export function sw_sync_timeline_is_valid(cpu: Cpu, fd: number): boolean {
  const file = fget(cpu, fd);
  if (file !== 0) fput(cpu, file);
  return file !== 0;
}
export function sw_sync_fence_is_valid(cpu: Cpu, fd: number): boolean {
  return sw_sync_timeline_is_valid(cpu, fd);
}

/** Counts the timeline up. 0 or -errno. */
export function sw_sync_timeline_inc(cpu: Cpu, fd: number, count: number): number {
  const arg = stack_push(cpu, 4);
  cpu.mem.write(arg, count);
  const result = fd_ioctl(cpu, fd, uapi.SW_SYNC_IOC_INC, arg);
  stack_pop(cpu, arg);
  return result;
}

export function sw_sync_timeline_destroy(cpu: Cpu, fd: number): void {
  if (sw_sync_timeline_is_valid(cpu, fd)) close_fd(cpu, fd);
}
export function sw_sync_fence_destroy(cpu: Cpu, fd: number): void {
  sw_sync_timeline_destroy(cpu, fd);
}

/** A fence that is signaled when the timeline `fd` reaches `value`. Its descriptor. */
export function sw_sync_fence_create(cpu: Cpu, fd: number, name: string, value: number): number {
  const data = stack_push(cpu, uapi.SW_SYNC_CREATE_FENCE_DATA_SIZE);
  cpu.mem.write(data + uapi.SW_SYNC_FENCE_VALUE, value);
  uapi.write_name(cpu, data + uapi.SW_SYNC_FENCE_NAME, name);
  const error = fd_ioctl(cpu, fd, uapi.SW_SYNC_IOC_CREATE_FENCE, data);
  const result = error < 0 ? error : cpu.mem.read(data + uapi.SW_SYNC_FENCE_FENCE);
  stack_pop(cpu, data);
  return result;
}

/** The earliest deadline (ns) set on a timeline's fence, or -ENOENT, -EINVAL. */
export function sw_sync_get_deadline(cpu: Cpu, fd: number, fence_fd: number): number {
  const data = stack_push(cpu, uapi.SW_SYNC_GET_DEADLINE_SIZE);
  cpu.mem.write(data + uapi.SW_SYNC_DEADLINE_FENCE_FD, fence_fd);
  const error = fd_ioctl(cpu, fd, uapi.SW_SYNC_GET_DEADLINE, data);
  const result = error < 0 ? error : cpu.mem.read64(data + uapi.SW_SYNC_DEADLINE_NS);
  stack_pop(cpu, data);
  return result;
}

export function sync_set_deadline(cpu: Cpu, fd: number, deadline: number): number {
  const data = stack_push(cpu, uapi.SYNC_SET_DEADLINE_SIZE);
  cpu.mem.write64(data + uapi.SYNC_DEADLINE_NS, deadline);
  const error = fd_ioctl(cpu, fd, uapi.SYNC_IOC_SET_DEADLINE, data);
  stack_pop(cpu, data);
  return error;
}

/** A file for both fences as one. Its descriptor. */
export function sync_merge(cpu: Cpu, name: string, fd1: number, fd2: number): number {
  const data = stack_push(cpu, uapi.SYNC_MERGE_DATA_SIZE);
  uapi.write_name(cpu, data + uapi.SYNC_MERGE_NAME, name);
  cpu.mem.write(data + uapi.SYNC_MERGE_FD2, fd2);
  const error = fd_ioctl(cpu, fd1, uapi.SYNC_IOC_MERGE, data);
  const result = error < 0 ? error : cpu.mem.read(data + uapi.SYNC_MERGE_FENCE);
  stack_pop(cpu, data);
  return result;
}

/**
 * poll(2) for reading, of one sync file: 1 when it is signaled, 0 when time ran out, -EINTR. Another kind of file is
 * ready at once, and so is what is no file (POLLNVAL). A time-out below 0 is none.
 */
export function sync_wait(cpu: Cpu, fd: number, timeout: number): number {
  const sync_file = sync_file_fdget(cpu, fd);
  if (sync_file === 0) return 1;
  const file = sync_file_file(cpu, sync_file);
  const wq = sync_file_wq(sync_file);
  const entry = wait_entry_push(cpu);
  let left = timeout < 0 ? MAX_SCHEDULE_TIMEOUT : timeout;
  let result = -EINTR;
  for (;;) {
    // Queued before the look: a fence that is signaled after it wakes us.
    prepare_to_wait(cpu, wq, entry, TASK_INTERRUPTIBLE);
    if (sync_file_poll(cpu, file) !== 0) result = 1;
    else if (left === 0) result = 0;
    if (result >= 0 || signal_pending(cpu)) break;
    left = schedule_timeout(cpu, left);
  }
  finish_wait(cpu, wq, entry);
  fput(cpu, file);
  return result;
}

/** What SYNC_IOC_FILE_INFO tells of one fence. */
export interface SyncFenceInfo {
  readonly obj_name: string;
  readonly driver_name: string;
  readonly status: number;
  readonly timestamp_ns: number;
}
export interface SyncFileInfo {
  readonly name: string;
  /** 1 signaled, 0 active, or the first error. */
  readonly status: number;
  readonly fences: readonly SyncFenceInfo[];
}

/** SYNC_IOC_FILE_INFO, asked twice: how many, then all. undefined when that fails. */
export function sync_file_info(cpu: Cpu, fd: number): SyncFileInfo | undefined {
  const info = stack_push(cpu, uapi.SYNC_FILE_INFO_SIZE);
  const num = ask_info(cpu, fd, info);
  const table = num < 0 ? 0 : kcalloc(cpu, num, uapi.SYNC_FENCE_INFO_SIZE, GFP_KERNEL);
  let result: SyncFileInfo | undefined;
  if (table !== 0) {
    cpu.mem.write(info + uapi.SYNC_FILE_NUM_FENCES, num);
    cpu.mem.write64(info + uapi.SYNC_FILE_SYNC_FENCE_INFO, table);
    if (fd_ioctl(cpu, fd, uapi.SYNC_IOC_FILE_INFO, info) === 0) result = read_info(cpu, info, table);
    kfree(cpu, table);
  }
  stack_pop(cpu, info);
  return result;
}

function ask_info(cpu: Cpu, fd: number, info: number): number {
  const error = fd_ioctl(cpu, fd, uapi.SYNC_IOC_FILE_INFO, info);
  return error < 0 ? error : cpu.mem.read(info + uapi.SYNC_FILE_NUM_FENCES);
}

function read_info(cpu: Cpu, info: number, table: number): SyncFileInfo {
  const fences: SyncFenceInfo[] = [];
  const num = cpu.mem.read(info + uapi.SYNC_FILE_NUM_FENCES);
  for (let i = 0; i < num; i++) {
    const p = table + i * uapi.SYNC_FENCE_INFO_SIZE;
    fences.push({
      obj_name: uapi.read_name(cpu, p + uapi.SYNC_FENCE_OBJ_NAME),
      driver_name: uapi.read_name(cpu, p + uapi.SYNC_FENCE_DRIVER_NAME),
      status: cpu.mem.read(p + uapi.SYNC_FENCE_STATUS),
      timestamp_ns: cpu.mem.read64(p + uapi.SYNC_FENCE_TIMESTAMP_NS),
    });
  }
  const name = uapi.read_name(cpu, info + uapi.SYNC_FILE_NAME);
  return { name, status: cpu.mem.read(info + uapi.SYNC_FILE_STATUS), fences };
}

/** How many plain fences it stands for; 0 when it cannot be asked. */
export function sync_fence_size(cpu: Cpu, fd: number): number {
  return sync_file_info(cpu, fd)?.fences.length ?? 0;
}

/** How many of them have this status; -1 when it cannot be asked. */
export function sync_fence_count_with_status(cpu: Cpu, fd: number, status: number): number {
  const info = sync_file_info(cpu, fd);
  if (info === undefined) return -1;
  let count = 0;
  for (const fence of info.fences) if (fence.status === status) count++;
  return count;
}
