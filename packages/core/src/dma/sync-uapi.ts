/**
 * What a process and the sync files say to each other (include/uapi/linux/sync_file.h, drivers/dma-buf/sw_sync.c):
 * ioctl numbers and the structs they point to. There is one address space, so the kernel reads and fills them in place.
 */
import { struct_layout } from "../debug/layout.ts";
import type { Cpu } from "../sched/cpu.ts";

const IOC_WRITE = 1;
const IOC_READ = 2;

/** The number of an ioctl (include/uapi/asm-generic/ioctl.h). */
function ioc(direction: number, type: string, nr: number, size: number): number {
  return ((direction << 30) | (size << 16) | (type.charCodeAt(0) << 8) | nr) >>> 0;
}

/** Bytes of a name, the 0 at its end included. */
export const SYNC_NAME_SIZE = 32;

/** struct sync_merge_data: merge with FD2 under NAME; FENCE is the new descriptor. FLAGS and PAD must be 0. */
export const SYNC_MERGE_NAME = 0;
export const SYNC_MERGE_FD2 = 32;
export const SYNC_MERGE_FENCE = 36;
export const SYNC_MERGE_FLAGS = 40;
export const SYNC_MERGE_PAD = 44;
export const SYNC_MERGE_DATA_SIZE = 48;

/** struct sync_fence_info: one fence. STATUS 0 active, 1 signaled, or the error. */
export const SYNC_FENCE_OBJ_NAME = 0;
export const SYNC_FENCE_DRIVER_NAME = 32;
export const SYNC_FENCE_STATUS = 64;
export const SYNC_FENCE_FLAGS = 68;
export const SYNC_FENCE_TIMESTAMP_NS = 72;
export const SYNC_FENCE_INFO_SIZE = 80;

/**
 * struct sync_file_info: NUM_FENCES is the room at SYNC_FENCE_INFO, then how many there are; 0 just asks how many.
 * FLAGS and PAD must be 0.
 */
export const SYNC_FILE_NAME = 0;
export const SYNC_FILE_STATUS = 32;
export const SYNC_FILE_FLAGS = 36;
export const SYNC_FILE_NUM_FENCES = 40;
export const SYNC_FILE_PAD = 44;
export const SYNC_FILE_SYNC_FENCE_INFO = 48;
export const SYNC_FILE_INFO_SIZE = 56;

/** struct sync_set_deadline. PAD must be 0. */
export const SYNC_DEADLINE_NS = 0;
export const SYNC_DEADLINE_PAD = 8;
export const SYNC_SET_DEADLINE_SIZE = 16;

/** struct sw_sync_create_fence_data: FENCE is the new descriptor. */
export const SW_SYNC_FENCE_VALUE = 0;
export const SW_SYNC_FENCE_NAME = 4;
export const SW_SYNC_FENCE_FENCE = 36;
export const SW_SYNC_CREATE_FENCE_DATA_SIZE = 40;

/** struct sw_sync_get_deadline: DEADLINE_NS comes back; it and PAD must be 0. */
export const SW_SYNC_DEADLINE_NS = 0;
export const SW_SYNC_DEADLINE_PAD = 8;
export const SW_SYNC_DEADLINE_FENCE_FD = 12;
export const SW_SYNC_GET_DEADLINE_SIZE = 16;

struct_layout("sync_merge_data", SYNC_MERGE_DATA_SIZE, [
  ["name", SYNC_MERGE_NAME, SYNC_NAME_SIZE],
  ["fd2", SYNC_MERGE_FD2, 4],
  ["fence", SYNC_MERGE_FENCE, 4],
  ["flags", SYNC_MERGE_FLAGS, 4],
  ["pad", SYNC_MERGE_PAD, 4],
]);
struct_layout("sync_fence_info", SYNC_FENCE_INFO_SIZE, [
  ["obj_name", SYNC_FENCE_OBJ_NAME, SYNC_NAME_SIZE],
  ["driver_name", SYNC_FENCE_DRIVER_NAME, SYNC_NAME_SIZE],
  ["status", SYNC_FENCE_STATUS, 4],
  ["flags", SYNC_FENCE_FLAGS, 4],
  ["timestamp_ns", SYNC_FENCE_TIMESTAMP_NS, 8],
]);
struct_layout("sync_file_info", SYNC_FILE_INFO_SIZE, [
  ["name", SYNC_FILE_NAME, SYNC_NAME_SIZE],
  ["status", SYNC_FILE_STATUS, 4],
  ["flags", SYNC_FILE_FLAGS, 4],
  ["num_fences", SYNC_FILE_NUM_FENCES, 4],
  ["pad", SYNC_FILE_PAD, 4],
  ["sync_fence_info", SYNC_FILE_SYNC_FENCE_INFO, 8],
]);

export const SYNC_IOC_MERGE: number = ioc(IOC_READ | IOC_WRITE, ">", 3, SYNC_MERGE_DATA_SIZE);
export const SYNC_IOC_FILE_INFO: number = ioc(IOC_READ | IOC_WRITE, ">", 4, SYNC_FILE_INFO_SIZE);
export const SYNC_IOC_SET_DEADLINE: number = ioc(IOC_WRITE, ">", 5, SYNC_SET_DEADLINE_SIZE);
export const SW_SYNC_IOC_CREATE_FENCE: number = ioc(
  IOC_READ | IOC_WRITE,
  "W",
  0,
  SW_SYNC_CREATE_FENCE_DATA_SIZE,
);
export const SW_SYNC_IOC_INC: number = ioc(IOC_WRITE, "W", 1, 4);
export const SW_SYNC_GET_DEADLINE: number = ioc(IOC_READ | IOC_WRITE, "W", 2, SW_SYNC_GET_DEADLINE_SIZE);

/** Stores `text` at `p` as a C string of at most SYNC_NAME_SIZE bytes, cut if need be. */
export function write_name(cpu: Cpu, p: number, text: string): void {
  const length = Math.min(text.length, SYNC_NAME_SIZE - 1);
  for (let i = 0; i < length; i++) cpu.mem.write8(p + i, text.charCodeAt(i) & 0xff);
  cpu.mem.write8(p + length, 0);
}

export function read_name(cpu: Cpu, p: number): string {
  let text = "";
  for (let i = 0; i < SYNC_NAME_SIZE - 1; i++) {
    const byte = cpu.mem.read8(p + i);
    if (byte === 0) break;
    text += String.fromCharCode(byte);
  }
  return text;
}
