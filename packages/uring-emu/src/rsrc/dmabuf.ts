/**
 * Dma-bufs as registered buffers (io_uring/rsrc.c as of "Add dmabuf read/write via io_uring", v3 10/10).
 *
 * A dma-buf is bound to one target file, whose driver makes the mappings; struct io_regbuf_dma holds the
 * token, first, since the token's owner frees the object by the token's address, and the file.
 *
 * Interface: io_register_dmabuf makes the node; io_release_reg_dmabuf runs when the node's last user is gone.
 */
import { EBADF, EINVAL, ENOMEM, EOPNOTSUPP, IS_ERR } from "@ringside/core/debug/errno";
import { kernel_symbol } from "@ringside/core/debug/image";
import { struct_layout } from "@ringside/core/debug/layout";
import { dma_buf_get, dma_buf_put, type DmaBufPtr, dma_buf_size } from "@ringside/core/dma/buf";
import { DMA_BIDIRECTIONAL } from "@ringside/core/dma/mapping";
import {
  IO_DMABUF_TOKEN_SIZE,
  io_dmabuf_token_create,
  io_dmabuf_token_release,
  type IoDmabufTokenPtr,
} from "@ringside/core/dma/token";
import { fget } from "@ringside/core/fs/fdtable";
import { type FilePtr, fput } from "@ringside/core/fs/file";
import { GFP_KERNEL, kfree, kzalloc } from "@ringside/core/mm/slab";
import type { Cpu } from "@ringside/core/sched/cpu";
import type { Ptr } from "atomics-sync";
import {
  REGBUF_DESC_DMABUF_FD,
  REGBUF_DESC_SIZE_FIELD,
  REGBUF_DESC_TARGET_FD,
  REGBUF_DESC_UADDR,
  type RegbufDescPtr,
} from "../abi/register.ts";
import { IORING_SETUP_IOPOLL } from "../abi/setup.ts";
import { CTX_FLAGS, type RingCtxPtr } from "../ring/ctx.ts";
import {
  IMU_DIR,
  IMU_FLAGS,
  IMU_LEN,
  IMU_NR_BVECS,
  IMU_PRIV,
  IMU_RELEASE,
  IMU_UBUF,
  IO_IMU_DEST_SOURCE,
  IO_REGBUF_F_DMABUF,
  io_rsrc_node_alloc,
  io_rsrc_node_discard,
  node_buf,
  type RsrcNodePtr,
} from "./node.ts";

export type IoRegbufDmaPtr = Ptr<"io_regbuf_dma">;

/** First: the token code frees the object by its address. */
const TOKEN = 0;
// Constant:
const TARGET_FILE = IO_DMABUF_TOKEN_SIZE;
const IO_REGBUF_DMA_SIZE = TARGET_FILE + 8;

struct_layout("io_regbuf_dma", IO_REGBUF_DMA_SIZE, [
  ["token", TOKEN, IO_DMABUF_TOKEN_SIZE],
  ["target_file", TARGET_FILE, 4],
]);

/** Largest dma-buf. */
const SZ_1G = 1 << 30;

const IO_RELEASE_REG_DMABUF = kernel_symbol(io_release_reg_dmabuf);

/** The file that may do I/O with the buffer. */
export function regbuf_dma_target_file(cpu: Cpu, priv: number): FilePtr {
  return cpu.mem.read(priv + TARGET_FILE) as FilePtr;
}

export function regbuf_dma_token(priv: number): IoDmabufTokenPtr {
  return (priv + TOKEN) as IoDmabufTokenPtr;
}

/** A node for the dma-buf of `desc`, or -errno. uring_lock held. */
export function io_register_dmabuf(cpu: Cpu, ctx: RingCtxPtr, desc: RegbufDescPtr): number {
  const mem = cpu.mem;
  // Polling has no task-work to drop maps from soon enough; the series leaves it out.
  if ((mem.read(ctx + CTX_FLAGS) & IORING_SETUP_IOPOLL) !== 0) return -EOPNOTSUPP;
  if (mem.read64(desc + REGBUF_DESC_UADDR) !== 0 || mem.read64(desc + REGBUF_DESC_SIZE_FIELD) !== 0) {
    return -EINVAL;
  }
  const node = io_rsrc_node_alloc(cpu);
  if (node === 0) return -ENOMEM;
  const priv = kzalloc(cpu, IO_REGBUF_DMA_SIZE, GFP_KERNEL) as IoRegbufDmaPtr;
  const ret = priv === 0 ? -ENOMEM : io_regbuf_dma_init(cpu, desc, priv, node);
  if (ret === 0) return node;
  kfree(cpu, priv);
  io_rsrc_node_discard(cpu, node);
  return ret;
}

/** Looks up the descriptors; the file's reference stays with `priv`, the dma-buf's with the token. */
function io_regbuf_dma_init(cpu: Cpu, desc: RegbufDescPtr, priv: IoRegbufDmaPtr, node: RsrcNodePtr): number {
  const target_file = fget(cpu, cpu.mem.read(desc + REGBUF_DESC_TARGET_FD));
  if (target_file === 0) return -EBADF;
  const dmabuf = dma_buf_get(cpu, cpu.mem.read(desc + REGBUF_DESC_DMABUF_FD));
  if (IS_ERR(dmabuf)) {
    fput(cpu, target_file);
    return dmabuf;
  }
  const ret = io_regbuf_dma_bind(cpu, priv, target_file, dmabuf, node);
  // The token has a reference of its own by now, or is not.
  dma_buf_put(cpu, dmabuf);
  if (ret !== 0) fput(cpu, target_file);
  return ret;
}

function io_regbuf_dma_bind(
  cpu: Cpu,
  priv: IoRegbufDmaPtr,
  target_file: FilePtr,
  dmabuf: DmaBufPtr,
  node: RsrcNodePtr,
): number {
  const size = dma_buf_size(cpu, dmabuf);
  if (size > SZ_1G) return -EINVAL;
  const ret = io_dmabuf_token_create(cpu, target_file, regbuf_dma_token(priv), dmabuf, DMA_BIDIRECTIONAL);
  if (ret !== 0) return ret;
  cpu.mem.write(priv + TARGET_FILE, target_file);
  const imu = node_buf(cpu, node);
  cpu.mem.write(imu + IMU_UBUF, 0);
  cpu.mem.write(imu + IMU_LEN, size);
  cpu.mem.write(imu + IMU_NR_BVECS, 1);
  cpu.mem.write(imu + IMU_FLAGS, IO_REGBUF_F_DMABUF);
  cpu.mem.write(imu + IMU_DIR, IO_IMU_DEST_SOURCE);
  cpu.mem.write(imu + IMU_RELEASE, IO_RELEASE_REG_DMABUF);
  cpu.mem.write(imu + IMU_PRIV, priv);
  return 0;
}

/** (cpu, priv, imu). The file goes first and the token, which frees `priv`, later and elsewhere, as in v3. */
function io_release_reg_dmabuf(cpu: Cpu, priv: IoRegbufDmaPtr, _imu: number): void {
  fput(cpu, regbuf_dma_target_file(cpu, priv));
  io_dmabuf_token_release(cpu, regbuf_dma_token(priv));
}
