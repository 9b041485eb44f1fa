/**
 * Registering buffers (liburing, src/register.c), and what the series "Add dmabuf read/write via io_uring"
 * adds: updates by descriptor.
 *
 * iovecs, tags and descriptors are arrays in memory, made with the fill functions at the end.
 */
import { type Cpu, stack_pop, stack_push } from "@ringside/core/sched/cpu";
import {
  IO_REGBUF_TYPE_DMABUF,
  IO_REGBUF_TYPE_EMPTY,
  IO_REGBUF_TYPE_UADDR,
  IORING_REGISTER_BUFFERS,
  IORING_REGISTER_BUFFERS2,
  IORING_REGISTER_BUFFERS_UPDATE,
  IORING_RSRC_REGISTER_SPARSE,
  IORING_RSRC_UPDATE_EXTENDED,
  IORING_UNREGISTER_BUFFERS,
  IOVEC_BASE,
  IOVEC_LEN,
  REGBUF_DESC_DMABUF_FD,
  REGBUF_DESC_SIZE,
  REGBUF_DESC_SIZE_FIELD,
  REGBUF_DESC_TARGET_FD,
  REGBUF_DESC_TYPE,
  REGBUF_DESC_UADDR,
  type RegbufDescPtr,
  RSRC_REGISTER_DATA,
  RSRC_REGISTER_FLAGS,
  RSRC_REGISTER_NR,
  RSRC_REGISTER_SIZE,
  RSRC_REGISTER_TAGS,
  RSRC_UPDATE2_DATA,
  RSRC_UPDATE2_FLAGS,
  RSRC_UPDATE2_NR,
  RSRC_UPDATE2_OFFSET,
  RSRC_UPDATE2_SIZE,
  RSRC_UPDATE2_TAGS,
} from "../abi/register.ts";
import { io_uring_register } from "../rsrc/register.ts";
import type { IoUring } from "./ring.ts";

/** 0 or -errno. */
export function io_uring_register_buffers(cpu: Cpu, ring: IoUring, iovecs: number, nr: number): number {
  return io_uring_register(cpu, ring.ring_fd, IORING_REGISTER_BUFFERS, iovecs, nr);
}

/** A table of `nr` empty slots. */
export function io_uring_register_buffers_sparse(cpu: Cpu, ring: IoUring, nr: number): number {
  return register_rsrc(cpu, ring, nr, IORING_RSRC_REGISTER_SPARSE, 0, 0);
}

/** As register_buffers; slot i posts a CQE with the u64 tags[i] when its buffer is gone, if that is not 0. */
export function io_uring_register_buffers_tags(
  cpu: Cpu,
  ring: IoUring,
  iovecs: number,
  tags: number,
  nr: number,
): number {
  return register_rsrc(cpu, ring, nr, 0, iovecs, tags);
}

function register_rsrc(
  cpu: Cpu,
  ring: IoUring,
  nr: number,
  flags: number,
  data: number,
  tags: number,
): number {
  const arg = stack_push(cpu, RSRC_REGISTER_SIZE);
  cpu.mem.write(arg + RSRC_REGISTER_NR, nr);
  cpu.mem.write(arg + RSRC_REGISTER_FLAGS, flags);
  cpu.mem.write64(arg + RSRC_REGISTER_DATA, data);
  cpu.mem.write64(arg + RSRC_REGISTER_TAGS, tags);
  const ret = io_uring_register(cpu, ring.ring_fd, IORING_REGISTER_BUFFERS2, arg, RSRC_REGISTER_SIZE);
  stack_pop(cpu, arg);
  return ret;
}

/** Replaces `nr` slots from `off` on by iovecs. Number done, or -errno. `tags` may be 0. */
export function io_uring_register_buffers_update_tag(
  cpu: Cpu,
  ring: IoUring,
  off: number,
  iovecs: number,
  tags: number,
  nr: number,
): number {
  return register_update(cpu, ring, off, 0, iovecs, tags, nr);
}

/** Replaces `nr` slots from `off` on by descriptors. Number done, or -errno. `tags` may be 0. */
export function io_uring_register_buffers_update_desc(
  cpu: Cpu,
  ring: IoUring,
  off: number,
  descs: RegbufDescPtr,
  tags: number,
  nr: number,
): number {
  return register_update(cpu, ring, off, IORING_RSRC_UPDATE_EXTENDED, descs, tags, nr);
}

function register_update(
  cpu: Cpu,
  ring: IoUring,
  off: number,
  flags: number,
  data: number,
  tags: number,
  nr: number,
): number {
  const arg = stack_push(cpu, RSRC_UPDATE2_SIZE);
  cpu.mem.write(arg + RSRC_UPDATE2_OFFSET, off);
  cpu.mem.write(arg + RSRC_UPDATE2_FLAGS, flags);
  cpu.mem.write64(arg + RSRC_UPDATE2_DATA, data);
  cpu.mem.write64(arg + RSRC_UPDATE2_TAGS, tags);
  cpu.mem.write(arg + RSRC_UPDATE2_NR, nr);
  const ret = io_uring_register(cpu, ring.ring_fd, IORING_REGISTER_BUFFERS_UPDATE, arg, RSRC_UPDATE2_SIZE);
  stack_pop(cpu, arg);
  return ret;
}

/** Puts the dma-buf `dmabuf_fd`, for I/O on `target_fd`, into slot `index`. 1 or -errno. */
export function io_uring_register_dmabuf(
  cpu: Cpu,
  ring: IoUring,
  index: number,
  dmabuf_fd: number,
  target_fd: number,
): number {
  const desc = stack_push(cpu, REGBUF_DESC_SIZE) as RegbufDescPtr;
  regbuf_desc_dmabuf(cpu, desc, dmabuf_fd, target_fd);
  const ret = io_uring_register_buffers_update_desc(cpu, ring, index, desc, 0, 1);
  stack_pop(cpu, desc);
  return ret;
}

/** 0 or -ENXIO. */
export function io_uring_unregister_buffers(cpu: Cpu, ring: IoUring): number {
  return io_uring_register(cpu, ring.ring_fd, IORING_UNREGISTER_BUFFERS, 0, 0);
}

export function iovec_fill(cpu: Cpu, iov: number, base: number, len: number): void {
  cpu.mem.write64(iov + IOVEC_BASE, base);
  cpu.mem.write64(iov + IOVEC_LEN, len);
}

/** Empties the slot. */
export function regbuf_desc_empty(cpu: Cpu, desc: RegbufDescPtr): void {
  cpu.mem.memset(desc, 0, REGBUF_DESC_SIZE);
  cpu.mem.write(desc + REGBUF_DESC_TYPE, IO_REGBUF_TYPE_EMPTY);
}

export function regbuf_desc_uaddr(cpu: Cpu, desc: RegbufDescPtr, uaddr: number, size: number): void {
  cpu.mem.memset(desc, 0, REGBUF_DESC_SIZE);
  cpu.mem.write(desc + REGBUF_DESC_TYPE, IO_REGBUF_TYPE_UADDR);
  cpu.mem.write64(desc + REGBUF_DESC_UADDR, uaddr);
  cpu.mem.write64(desc + REGBUF_DESC_SIZE_FIELD, size);
}

export function regbuf_desc_dmabuf(
  cpu: Cpu,
  desc: RegbufDescPtr,
  dmabuf_fd: number,
  target_fd: number,
): void {
  cpu.mem.memset(desc, 0, REGBUF_DESC_SIZE);
  cpu.mem.write(desc + REGBUF_DESC_TYPE, IO_REGBUF_TYPE_DMABUF);
  cpu.mem.write(desc + REGBUF_DESC_DMABUF_FD, dmabuf_fd);
  cpu.mem.write(desc + REGBUF_DESC_TARGET_FD, target_fd);
}
