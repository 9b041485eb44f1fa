/**
 * Resource nodes and tables (io_uring/rsrc.c): a node is one registered buffer with its tag; the table holds
 * one reference to it and each request that resolved its index holds another. The count is a plain word:
 * uring_lock must be held for all of this file.
 *
 * A replaced buffer dies when its own last request does, in any order; nothing waits. The last put posts the
 * tag's CQE first, then releases the buffer.
 */
import { symbol_call } from "@ringside/core/debug/image";
import { struct_layout } from "@ringside/core/debug/layout";
import { GFP_KERNEL, kfree, kzalloc } from "@ringside/core/mm/slab";
import { BIO_VEC_SIZE } from "@ringside/core/fs/bvec";
import type { Cpu } from "@ringside/core/sched/cpu";
import type { Ptr } from "atomics-sync";
import { io_post_aux_cqe } from "../ring/cq.ts";
import type { RingCtxPtr } from "../ring/ctx.ts";

export type RsrcNodePtr = Ptr<"io_rsrc_node">;
export type MappedUbufPtr = Ptr<"io_mapped_ubuf">;

/** enum: what a node is. Registered files will be the other one. */
const IORING_RSRC_BUFFER = 1;

// struct io_rsrc_node; all guarded by uring_lock.
const NODE_TYPE = 0;
const NODE_REFS = 4;
/** u64, then a CQE's res and flags that stay 0: io_post_aux_cqe reads them as one. */
const NODE_TAG = 8;
const NODE_BUF = 24;
export const RSRC_NODE_SIZE = 32;

// struct io_mapped_ubuf; constant once the node is in a table.
/** First user address; 0 for a dma-buf, whose addresses are offsets. */
export const IMU_UBUF = 0;
export const IMU_LEN = 4;
export const IMU_NR_BVECS = 8;
/** IO_REGBUF_F_*. */
export const IMU_FLAGS = 12;
/** Bit ITER_DEST and bit ITER_SOURCE: what it may be used for. */
export const IMU_DIR = 16;
/** (cpu, priv): lets go of what the buffer stands on. */
export const IMU_RELEASE = 20;
export const IMU_PRIV = 24;
/** One bio_vec: addresses are physical here, so every user buffer is one run. */
export const IMU_BVEC = 28;
export const IMU_SIZE: number = IMU_BVEC + BIO_VEC_SIZE;

export const IO_REGBUF_F_DMABUF = 1 << 1;
/** IMU_DIR of a buffer for both directions. */
export const IO_IMU_DEST_SOURCE = 3;

struct_layout("io_rsrc_node", RSRC_NODE_SIZE, [
  ["type", NODE_TYPE, 4],
  ["refs", NODE_REFS, 4],
  ["tag", NODE_TAG, 8],
  ["tag_cqe", NODE_TAG + 8, 8],
  ["buf", NODE_BUF, 4],
]);
struct_layout("io_mapped_ubuf", IMU_SIZE, [
  ["ubuf", IMU_UBUF, 4],
  ["len", IMU_LEN, 4],
  ["nr_bvecs", IMU_NR_BVECS, 4],
  ["flags", IMU_FLAGS, 4],
  ["dir", IMU_DIR, 4],
  ["release", IMU_RELEASE, 4],
  ["priv", IMU_PRIV, 4],
  ["bvec", IMU_BVEC, BIO_VEC_SIZE],
]);

/** A node with one reference and an empty io_mapped_ubuf; 0 when out of memory. */
export function io_rsrc_node_alloc(cpu: Cpu): RsrcNodePtr {
  const node = kzalloc(cpu, RSRC_NODE_SIZE, GFP_KERNEL);
  if (node === 0) return 0 as RsrcNodePtr;
  const imu = kzalloc(cpu, IMU_SIZE, GFP_KERNEL);
  if (imu === 0) {
    kfree(cpu, node);
    return 0 as RsrcNodePtr;
  }
  cpu.mem.write(node + NODE_TYPE, IORING_RSRC_BUFFER);
  cpu.mem.write(node + NODE_REFS, 1);
  cpu.mem.write(node + NODE_BUF, imu);
  return node as RsrcNodePtr;
}

/** Frees a node that never got a release function. */
export function io_rsrc_node_discard(cpu: Cpu, node: RsrcNodePtr): void {
  kfree(cpu, cpu.mem.read(node + NODE_BUF));
  kfree(cpu, node);
}

export function node_buf(cpu: Cpu, node: RsrcNodePtr): MappedUbufPtr {
  return cpu.mem.read(node + NODE_BUF) as MappedUbufPtr;
}

/** The tag is the u64 at `from`. */
export function node_set_tag(cpu: Cpu, node: RsrcNodePtr, from: number): void {
  cpu.mem.write(node + NODE_TAG, cpu.mem.read(from));
  cpu.mem.write(node + NODE_TAG + 4, cpu.mem.read(from + 4));
}

/** No CQE will tell that it is gone. */
export function node_clear_tag(cpu: Cpu, node: RsrcNodePtr): void {
  cpu.mem.write64(node + NODE_TAG, 0);
}

export function io_get_rsrc_node(cpu: Cpu, node: RsrcNodePtr): void {
  cpu.mem.write(node + NODE_REFS, cpu.mem.read(node + NODE_REFS) + 1);
}

/** Drops a reference; the last one frees the node. */
export function io_put_rsrc_node(cpu: Cpu, ctx: RingCtxPtr, node: RsrcNodePtr): void {
  const refs = cpu.mem.read(node + NODE_REFS) - 1;
  cpu.mem.write(node + NODE_REFS, refs);
  if (refs === 0) io_free_rsrc_node(cpu, ctx, node);
}

function io_free_rsrc_node(cpu: Cpu, ctx: RingCtxPtr, node: RsrcNodePtr): void {
  const tagged = cpu.mem.read(node + NODE_TAG) !== 0 || cpu.mem.read(node + NODE_TAG + 4) !== 0;
  if (tagged) io_post_aux_cqe(cpu, ctx, node + NODE_TAG);
  const imu = cpu.mem.read(node + NODE_BUF);
  symbol_call(cpu, cpu.mem.read(imu + IMU_RELEASE), cpu.mem.read(imu + IMU_PRIV), imu);
  kfree(cpu, imu);
  kfree(cpu, node);
}
