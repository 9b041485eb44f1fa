/**
 * io_uring_register(2) (io_uring/register.c): the opcodes for registered buffers. All others are -EINVAL.
 */
import { EBADF, EEXIST, EFAULT, EINVAL, EOPNOTSUPP } from "@ringside/core/debug/errno";
import { fget } from "@ringside/core/fs/fdtable";
import { file_private, fput } from "@ringside/core/fs/file";
import { mutex_lock, mutex_unlock } from "@ringside/core/lock/mutex";
import type { Cpu } from "@ringside/core/sched/cpu";
import { current_task } from "@ringside/core/sched/task";
import {
  IORING_REGISTER_BUFFERS,
  IORING_REGISTER_BUFFERS2,
  IORING_REGISTER_BUFFERS_UPDATE,
  IORING_RSRC_REGISTER_SPARSE,
  IORING_UNREGISTER_BUFFERS,
  RSRC_REGISTER_DATA,
  RSRC_REGISTER_FLAGS,
  RSRC_REGISTER_NR,
  RSRC_REGISTER_RESV2,
  RSRC_REGISTER_SIZE,
  RSRC_REGISTER_TAGS,
  RSRC_UPDATE2_DATA,
  RSRC_UPDATE2_FLAGS,
  RSRC_UPDATE2_NR,
  RSRC_UPDATE2_OFFSET,
  RSRC_UPDATE2_RESV2,
  RSRC_UPDATE2_SIZE,
  RSRC_UPDATE2_TAGS,
} from "../abi/register.ts";
import { CTX_SUBMITTER_TASK, CTX_URING_LOCK, io_is_uring_fops, type RingCtxPtr } from "../ring/ctx.ts";
import { access_ok } from "../ring/user.ts";
import { io_sqe_buffers_register, io_sqe_buffers_unregister, io_sqe_buffers_update } from "./buffers.ts";

export function io_uring_register(
  cpu: Cpu,
  fd: number,
  opcode: number,
  arg: number,
  nr_args: number,
): number {
  if (!opcode_exists(opcode)) return -EINVAL;
  const file = fget(cpu, fd);
  if (file === 0) return -EBADF;
  let ret = -EOPNOTSUPP;
  if (io_is_uring_fops(cpu, file)) {
    const ctx = file_private(cpu, file) as RingCtxPtr;
    mutex_lock(cpu, ctx + CTX_URING_LOCK);
    ret = __io_uring_register(cpu, ctx, opcode, arg, nr_args);
    mutex_unlock(cpu, ctx + CTX_URING_LOCK);
  }
  fput(cpu, file);
  return ret;
}

function opcode_exists(opcode: number): boolean {
  return (
    opcode === IORING_REGISTER_BUFFERS ||
    opcode === IORING_UNREGISTER_BUFFERS ||
    opcode === IORING_REGISTER_BUFFERS2 ||
    opcode === IORING_REGISTER_BUFFERS_UPDATE
  );
}

function __io_uring_register(
  cpu: Cpu,
  ctx: RingCtxPtr,
  opcode: number,
  arg: number,
  nr_args: number,
): number {
  const submitter = cpu.mem.read(ctx + CTX_SUBMITTER_TASK);
  if (submitter !== 0 && submitter !== current_task(cpu)) return -EEXIST;
  switch (opcode) {
    case IORING_REGISTER_BUFFERS:
      return arg === 0 ? -EFAULT : io_sqe_buffers_register(cpu, ctx, arg, nr_args, 0);
    case IORING_UNREGISTER_BUFFERS:
      return arg !== 0 || nr_args !== 0 ? -EINVAL : io_sqe_buffers_unregister(cpu, ctx);
    case IORING_REGISTER_BUFFERS2:
      return io_register_rsrc(cpu, ctx, arg, nr_args);
    default:
      return io_register_rsrc_update(cpu, ctx, arg, nr_args);
  }
}

/** `arg` is a struct io_uring_rsrc_register of `size` bytes. */
function io_register_rsrc(cpu: Cpu, ctx: RingCtxPtr, arg: number, size: number): number {
  const mem = cpu.mem;
  if (size !== RSRC_REGISTER_SIZE) return -EINVAL;
  if (!access_ok(cpu, arg, RSRC_REGISTER_SIZE, 8)) return -EFAULT;
  const nr = mem.read(arg + RSRC_REGISTER_NR) >>> 0;
  const flags = mem.read(arg + RSRC_REGISTER_FLAGS);
  if (nr === 0 || mem.read64(arg + RSRC_REGISTER_RESV2) !== 0) return -EINVAL;
  if ((flags & ~IORING_RSRC_REGISTER_SPARSE) !== 0) return -EINVAL;
  const data = mem.read64(arg + RSRC_REGISTER_DATA);
  if ((flags & IORING_RSRC_REGISTER_SPARSE) !== 0 && data !== 0) return -EINVAL;
  return io_sqe_buffers_register(cpu, ctx, data, nr, mem.read64(arg + RSRC_REGISTER_TAGS));
}

/** `arg` is a struct io_uring_rsrc_update2 of `size` bytes. */
function io_register_rsrc_update(cpu: Cpu, ctx: RingCtxPtr, arg: number, size: number): number {
  const mem = cpu.mem;
  if (size !== RSRC_UPDATE2_SIZE) return -EINVAL;
  if (!access_ok(cpu, arg, RSRC_UPDATE2_SIZE, 8)) return -EFAULT;
  const nr = mem.read(arg + RSRC_UPDATE2_NR) >>> 0;
  if (nr === 0 || mem.read(arg + RSRC_UPDATE2_RESV2) !== 0) return -EINVAL;
  return io_sqe_buffers_update(
    cpu,
    ctx,
    mem.read(arg + RSRC_UPDATE2_OFFSET) >>> 0,
    nr,
    mem.read64(arg + RSRC_UPDATE2_DATA),
    mem.read64(arg + RSRC_UPDATE2_TAGS),
    mem.read(arg + RSRC_UPDATE2_FLAGS),
  );
}
