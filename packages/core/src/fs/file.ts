/**
 * struct file and its operations (include/linux/fs.h, fs/file_table.c, fs/anon_inodes.c).
 *
 * f_count is the only field written after the file is made. The last fput runs __fput at once, on the
 * caller's stack, unlike Linux, which defers it to task work or a worker: so the last fput may sleep and must
 * not come from an interrupt. The struct itself goes after a grace period, because fget looks files up under
 * RCU.
 *
 * Interface: anon_inode_getfile makes one with one reference; get_file, fput; file_op for the operations.
 */
import type { Ptr } from "atomics-sync";
import { kernel_symbol, symbol_call, type SymbolId } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { GFP_KERNEL, kfree, kzalloc } from "../mm/slab.ts";
import { call_rcu, RCU_HEAD_SIZE, type RcuHeadPtr } from "../rcu/rcu.ts";
import { refcount_dec_and_test, refcount_inc, refcount_read, refcount_set } from "../ref/refcount.ts";
import type { Cpu } from "../sched/cpu.ts";
import { might_sleep } from "../sched/schedule.ts";

export type FilePtr = Ptr<"file">;
export type FileOperationsPtr = Ptr<"file_operations">;

/** struct file_operations: constant words, each a symbol or 0. */
/** (cpu, file): the last reference is gone. */
export const FOP_RELEASE = 0;
/** (cpu, kiocb, iter): bytes, -errno or -EIOCBQUEUED. */
export const FOP_READ_ITER = 4;
export const FOP_WRITE_ITER = 8;
/** (cpu, file, datasync): 0 or -errno. */
export const FOP_FSYNC = 12;
/** (cpu, kiocb): number of completions found. */
export const FOP_IOPOLL = 16;
/** (cpu, file, token): 0 or -errno. */
export const FOP_CREATE_DMABUF_TOKEN = 20;
/** (cpu, file): EPOLL* bits that hold now; from then on a change wakes the file's own wait queue. */
export const FOP_POLL = 24;
/** (cpu, file, cmd, arg): what ioctl(2) returns. */
export const FOP_UNLOCKED_IOCTL = 28;
export const FOP_WORDS = 8;

/** f_flags. */
export const O_ACCMODE = 3;
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_NONBLOCK = 0x800;
export const O_DIRECT = 0x4000;
export const O_CLOEXEC = 0x80000;

/** f_mode. */
export const FMODE_READ = 1;
export const FMODE_WRITE = 2;

/** refcount_t; a line of its own, since every lookup writes it. */
const F_COUNT = 0;
/** rcu_head; RCU's from the last fput on. */
const F_RCUHEAD = 4;
// Constant after init_file:
const F_OP = 128;
const F_FLAGS = 132;
const F_MODE = 136;
const PRIVATE_DATA = 140;
export const FILE_SIZE = 144;

struct_layout("file", FILE_SIZE, [
  ["f_count", F_COUNT, 4],
  ["f_rcuhead", F_RCUHEAD, RCU_HEAD_SIZE],
  ["f_op", F_OP, 4],
  ["f_flags", F_FLAGS, 4],
  ["f_mode", F_MODE, 4],
  ["private_data", PRIVATE_DATA, 4],
]);

const FILE_FREE_RCU = kernel_symbol(file_free_rcu);

/** Fills a file with one reference. */
export function init_file(cpu: Cpu, file: FilePtr, fop: number, priv: number, flags: number): void {
  refcount_set(cpu, file + F_COUNT, 1);
  cpu.mem.write(file + F_OP, fop);
  cpu.mem.write(file + F_FLAGS, flags & ~O_CLOEXEC);
  // OPEN_FMODE: 0, 1, 2 become read, write, both.
  cpu.mem.write(file + F_MODE, (flags + 1) & O_ACCMODE);
  cpu.mem.write(file + PRIVATE_DATA, priv);
}

/** A file without a name: `fop` are its operations, `priv` its private_data. 0 when out of memory. */
export function anon_inode_getfile(cpu: Cpu, fop: number, priv: number, flags: number): FilePtr {
  const file = kzalloc(cpu, FILE_SIZE, GFP_KERNEL) as FilePtr;
  if (file !== 0) init_file(cpu, file, fop, priv, flags);
  return file;
}

/** One more reference; the caller has one. */
export function get_file(cpu: Cpu, file: FilePtr): FilePtr {
  refcount_inc(cpu, file + F_COUNT);
  return file;
}

/** Drops a reference. The last one releases the file here and now: that may sleep. */
export function fput(cpu: Cpu, file: FilePtr): void {
  if (refcount_dec_and_test(cpu, file + F_COUNT)) __fput(cpu, file);
}

function __fput(cpu: Cpu, file: FilePtr): void {
  might_sleep(cpu);
  const release = file_op(cpu, file, FOP_RELEASE);
  if (release !== 0) symbol_call(cpu, release, file);
  // A concurrent fget may still look at f_count, inside its read section.
  call_rcu(cpu, (file + F_RCUHEAD) as RcuHeadPtr, FILE_FREE_RCU);
}

function file_free_rcu(cpu: Cpu, head: number): void {
  kfree(cpu, head - F_RCUHEAD);
}

/** Address of f_count, for the lookup in fdtable.ts. */
export function file_count_word(file: FilePtr): number {
  return file + F_COUNT;
}

export function file_count(cpu: Cpu, file: FilePtr): number {
  return refcount_read(cpu, file + F_COUNT);
}
export function file_fop(cpu: Cpu, file: FilePtr): FileOperationsPtr {
  return cpu.mem.read(file + F_OP) as FileOperationsPtr;
}
export function file_private(cpu: Cpu, file: FilePtr): number {
  return cpu.mem.read(file + PRIVATE_DATA);
}
export function file_flags(cpu: Cpu, file: FilePtr): number {
  return cpu.mem.read(file + F_FLAGS);
}
export function file_mode(cpu: Cpu, file: FilePtr): number {
  return cpu.mem.read(file + F_MODE);
}

/** The operation at offset `op` (FOP_*), 0 when the file has none. */
export function file_op(cpu: Cpu, file: FilePtr, op: number): SymbolId {
  const fop = cpu.mem.read(file + F_OP);
  return fop === 0 ? 0 : cpu.mem.read(fop + op);
}
