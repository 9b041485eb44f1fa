/**
 * The file of a request (io_uring/io_uring.c, io_file_get_normal): looked up when it is issued, held until it
 * completes.
 *
 * Neighbours in a batch usually name the same descriptor. The first lookup takes a reference for every SQE of
 * the batch, and those that nobody needed go back at its end; one atomic operation instead of one an I/O
 * (io_uring did so until 5.16). The file of such a lookup stays the batch's even if another task meanwhile
 * puts another file under the number.
 */
import { fget } from "@ringside/core/fs/fdtable";
import { file_count_word, type FilePtr, fput } from "@ringside/core/fs/file";
import { refcount_add } from "@ringside/core/ref/refcount";
import type { Cpu } from "@ringside/core/sched/cpu";
import { io_put_file_many } from "./complete.ts";
import {
  CTX_FILE,
  CTX_FILE_FD,
  CTX_FILE_REFS,
  CTX_FILE_WANT,
  io_is_uring_fops,
  type RingCtxPtr,
} from "./ctx.ts";
import {
  IO_URING_F_UNLOCKED,
  REQ_CTX,
  REQ_F_FIXED_FILE,
  REQ_F_HAS_FILE,
  REQ_FD,
  REQ_FILE,
  REQ_FLAGS,
  type ReqPtr,
} from "./req.ts";

const FILE = CTX_FILE;
const FILE_FD = CTX_FILE_FD;
const FILE_REFS = CTX_FILE_REFS;
const FILE_WANT = CTX_FILE_WANT;
const OF_CTX = REQ_CTX;
const OF_FD = REQ_FD;
const OF_FILE = REQ_FILE;
const FLAGS = REQ_FLAGS;
const F_HAS_FILE = REQ_F_HAS_FILE;
const F_FIXED_FILE = REQ_F_FIXED_FILE;
const UNLOCKED = IO_URING_F_UNLOCKED;

/** A batch of `nr` SQEs begins. uring_lock held. */
export function io_file_batch_start(cpu: Cpu, ctx: RingCtxPtr, nr: number): void {
  cpu.mem.write(ctx + FILE, 0);
  cpu.mem.write(ctx + FILE_WANT, nr);
}

/** The batch ends: gives back what was taken ahead. uring_lock held. */
export function io_file_batch_end(cpu: Cpu, ctx: RingCtxPtr): void {
  const file = cpu.mem.read(ctx + FILE);
  if (file === 0) return;
  cpu.mem.write(ctx + FILE, 0);
  io_put_file_many(cpu, file as FilePtr, cpu.mem.read(ctx + FILE_REFS));
}

/** Gives the request the file of its descriptor. False when it has none that a request may use. */
export function io_file_get_normal(cpu: Cpu, req: ReqPtr, issue_flags: number): boolean {
  const mem = cpu.mem;
  if (mem.read(req + OF_FILE) !== 0) return true;
  // Registered files are not supported yet: no index names one.
  if ((mem.read(req + FLAGS) & F_FIXED_FILE) !== 0) return false;
  const fd = mem.read(req + OF_FD);
  const batched = (issue_flags & UNLOCKED) === 0;
  const file = batched ? batch_file(cpu, mem.read(req + OF_CTX) as RingCtxPtr, fd) : file_of_fd(cpu, fd);
  if (file === 0) return false;
  mem.write(req + OF_FILE, file);
  mem.write(req + FLAGS, mem.read(req + FLAGS) | F_HAS_FILE);
  return true;
}

/**
 * Rings are refused, unlike in Linux: the last reference to one could be dropped with its own uring_lock
 * held, and here a last fput releases at once.
 */
function file_of_fd(cpu: Cpu, fd: number): FilePtr {
  const file = fget(cpu, fd);
  if (file === 0 || !io_is_uring_fops(cpu, file)) return file;
  fput(cpu, file);
  return 0 as FilePtr;
}

/** One of the references taken ahead. */
function batch_file(cpu: Cpu, ctx: RingCtxPtr, fd: number): FilePtr {
  const mem = cpu.mem;
  let file = mem.read(ctx + FILE) as FilePtr;
  if (file === 0 || mem.read(ctx + FILE_FD) !== fd || mem.read(ctx + FILE_REFS) === 0) {
    file = batch_file_refill(cpu, ctx, fd);
    if (file === 0) return file;
  }
  mem.write(ctx + FILE_REFS, mem.read(ctx + FILE_REFS) - 1);
  return file;
}

function batch_file_refill(cpu: Cpu, ctx: RingCtxPtr, fd: number): FilePtr {
  const mem = cpu.mem;
  // A second file in the batch: from here on nothing is taken ahead, or two would evict each other.
  if (mem.read(ctx + FILE) !== 0) mem.write(ctx + FILE_WANT, 1);
  io_file_batch_end(cpu, ctx);
  const file = file_of_fd(cpu, fd);
  if (file === 0) return file;
  const want = mem.read(ctx + FILE_WANT);
  if (want > 1) refcount_add(cpu, want - 1, file_count_word(file));
  mem.write(ctx + FILE, file);
  mem.write(ctx + FILE_FD, fd);
  mem.write(ctx + FILE_REFS, want);
  return file;
}
