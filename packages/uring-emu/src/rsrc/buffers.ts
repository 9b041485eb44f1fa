/**
 * The table of registered buffers (io_uring/rsrc.c): registering, updating and unregistering it. uring_lock
 * must be held for all of this file; user pointers were checked by nobody yet.
 *
 * Rules: a failed registration leaves no table and posts no tag. An update builds the new node before it
 * drops the old one, so a slot survives a failed entry; it returns how many entries it did, or the error of
 * the first.
 */
import { EBUSY, EFAULT, EINVAL, ENOMEM, ENXIO, EOVERFLOW } from "@ringside/core/debug/errno";
import { GFP_KERNEL, kcalloc, kfree } from "@ringside/core/mm/slab";
import type { Cpu } from "@ringside/core/sched/cpu";
import {
  IO_REGBUF_TYPE_DMABUF,
  IO_REGBUF_TYPE_EMPTY,
  IO_REGBUF_TYPE_MAX,
  IORING_MAX_REG_BUFFERS,
  IORING_RSRC_UPDATE_EXTENDED,
  IOVEC_BASE,
  IOVEC_LEN,
  IOVEC_SIZE,
  REGBUF_DESC_DMABUF_FD,
  REGBUF_DESC_RESV,
  REGBUF_DESC_SIZE,
  REGBUF_DESC_SIZE_FIELD,
  REGBUF_DESC_TARGET_FD,
  REGBUF_DESC_TYPE,
  REGBUF_DESC_UADDR,
  type RegbufDescPtr,
} from "../abi/register.ts";
import { CTX_BUF_NODES, CTX_BUF_NR, type RingCtxPtr } from "../ring/ctx.ts";
import { access_ok } from "../ring/user.ts";
import { io_register_dmabuf } from "./dmabuf.ts";
import { io_put_rsrc_node, node_clear_tag, node_set_tag, type RsrcNodePtr } from "./node.ts";
import { io_buffer_validate, io_sqe_buffer_register } from "./ubuf.ts";

/** A table of `nr` slots from the iovecs at `arg` (0: all empty) and the tags at `tags` (0: none). */
export function io_sqe_buffers_register(
  cpu: Cpu,
  ctx: RingCtxPtr,
  arg: number,
  nr: number,
  tags: number,
): number {
  const mem = cpu.mem;
  if (mem.read(ctx + CTX_BUF_NR) !== 0) return -EBUSY;
  if (nr <= 0 || nr > IORING_MAX_REG_BUFFERS) return -EINVAL;
  const nodes = kcalloc(cpu, nr, 4, GFP_KERNEL);
  if (nodes === 0) return -ENOMEM;
  mem.write(ctx + CTX_BUF_NODES, nodes);
  mem.write(ctx + CTX_BUF_NR, nr);
  for (let i = 0; i < nr; i++) {
    const node = arg === 0 ? 0 : io_node_from_iovec(cpu, arg + i * IOVEC_SIZE);
    const ret = node < 0 ? node : io_node_tag(cpu, ctx, node, tags, i);
    if (ret < 0) {
      io_clear_table_tags(cpu, ctx);
      io_sqe_buffers_unregister(cpu, ctx);
      return ret;
    }
    mem.write(nodes + i * 4, node);
  }
  return 0;
}

/** Empties every slot and frees the table; requests in flight keep their nodes. -ENXIO without a table. */
export function io_sqe_buffers_unregister(cpu: Cpu, ctx: RingCtxPtr): number {
  const nr = cpu.mem.read(ctx + CTX_BUF_NR);
  if (nr === 0) return -ENXIO;
  for (let i = 0; i < nr; i++) io_reset_rsrc_node(cpu, ctx, i);
  kfree(cpu, cpu.mem.read(ctx + CTX_BUF_NODES));
  cpu.mem.write(ctx + CTX_BUF_NODES, 0);
  cpu.mem.write(ctx + CTX_BUF_NR, 0);
  return 0;
}

function io_reset_rsrc_node(cpu: Cpu, ctx: RingCtxPtr, index: number): void {
  const slot = cpu.mem.read(ctx + CTX_BUF_NODES) + index * 4;
  const node = cpu.mem.read(slot);
  cpu.mem.write(slot, 0);
  if (node !== 0) io_put_rsrc_node(cpu, ctx, node as RsrcNodePtr);
}

/** So that tearing down a half-made table is silent. */
function io_clear_table_tags(cpu: Cpu, ctx: RingCtxPtr): void {
  const nodes = cpu.mem.read(ctx + CTX_BUF_NODES);
  for (let i = 0; i < cpu.mem.read(ctx + CTX_BUF_NR); i++) {
    const node = cpu.mem.read(nodes + i * 4);
    if (node !== 0) node_clear_tag(cpu, node as RsrcNodePtr);
  }
}

/** Gives `node` its tag; drops it when that is an error. An empty slot has no tag to give back. */
function io_node_tag(cpu: Cpu, ctx: RingCtxPtr, node: number, tags: number, index: number): number {
  if (tags === 0) return 0;
  const tag = tags + index * 8;
  let ret = 0;
  if (!access_ok(cpu, tag, 8, 8)) ret = -EFAULT;
  else if (node !== 0) node_set_tag(cpu, node as RsrcNodePtr, tag);
  else if (cpu.mem.read(tag) !== 0 || cpu.mem.read(tag + 4) !== 0) ret = -EINVAL;
  if (ret < 0 && node !== 0) io_put_rsrc_node(cpu, ctx, node as RsrcNodePtr);
  return ret;
}

/** A node, 0 for an empty slot, or -errno. */
function io_node_from_iovec(cpu: Cpu, iov: number): number {
  if (!access_ok(cpu, iov, IOVEC_SIZE, 8)) return -EFAULT;
  return io_node_from_range(cpu, cpu.mem.read64(iov + IOVEC_BASE), cpu.mem.read64(iov + IOVEC_LEN));
}

function io_node_from_range(cpu: Cpu, base: number, len: number): number {
  const ret = io_buffer_validate(base, len);
  return ret < 0 ? ret : io_sqe_buffer_register(cpu, base, len);
}

/** As io_node_from_iovec, from an extended descriptor. v3 does not look at its flags. */
function io_node_from_desc(cpu: Cpu, ctx: RingCtxPtr, desc: RegbufDescPtr): number {
  const mem = cpu.mem;
  if (!access_ok(cpu, desc, REGBUF_DESC_SIZE, 8)) return -EFAULT;
  const type = mem.read(desc + REGBUF_DESC_TYPE) >>> 0;
  if (type >= IO_REGBUF_TYPE_MAX) return -EINVAL;
  for (let i = REGBUF_DESC_RESV; i < REGBUF_DESC_SIZE; i += 4) if (mem.read(desc + i) !== 0) return -EINVAL;
  if (type === IO_REGBUF_TYPE_DMABUF) return io_register_dmabuf(cpu, ctx, desc);
  // So descriptor 0 cannot be told from no descriptor.
  if (mem.read(desc + REGBUF_DESC_DMABUF_FD) !== 0 || mem.read(desc + REGBUF_DESC_TARGET_FD) !== 0) {
    return -EINVAL;
  }
  const uaddr = mem.read64(desc + REGBUF_DESC_UADDR);
  const size = mem.read64(desc + REGBUF_DESC_SIZE_FIELD);
  if (type === IO_REGBUF_TYPE_EMPTY) return uaddr !== 0 || size !== 0 ? -EFAULT : 0;
  return io_node_from_range(cpu, uaddr, size);
}

/** Replaces `nr` slots from `offset` on. Number done, or the error of the first. */
export function io_sqe_buffers_update(
  cpu: Cpu,
  ctx: RingCtxPtr,
  offset: number,
  nr: number,
  data: number,
  tags: number,
  flags: number,
): number {
  const mem = cpu.mem;
  if (offset + nr > 0xffffffff) return -EOVERFLOW;
  if (mem.read(ctx + CTX_BUF_NR) === 0) return -ENXIO;
  if ((flags & ~IORING_RSRC_UPDATE_EXTENDED) !== 0) return -EINVAL;
  if (offset + nr > mem.read(ctx + CTX_BUF_NR)) return -EINVAL;
  const extended = (flags & IORING_RSRC_UPDATE_EXTENDED) !== 0;
  for (let done = 0; done < nr; done++) {
    const node = extended
      ? io_node_from_desc(cpu, ctx, (data + done * REGBUF_DESC_SIZE) as RegbufDescPtr)
      : io_node_from_iovec(cpu, data + done * IOVEC_SIZE);
    const ret = node < 0 ? node : io_node_tag(cpu, ctx, node, tags, done);
    if (ret < 0) return done === 0 ? ret : done;
    io_reset_rsrc_node(cpu, ctx, offset + done);
    mem.write(mem.read(ctx + CTX_BUF_NODES) + (offset + done) * 4, node);
  }
  return nr;
}
