/**
 * From a request's buf_index to an iterator (io_uring/rsrc.c, io_import_reg_buf): the node is looked up at
 * issue time, once, and stays with the request; the range is checked against the buffer.
 *
 * A dma-buf needs a map. The published one is taken at once; making one sleeps, so that is left to io-wq: an
 * inline issue returns -EAGAIN and the request is punted.
 */
import { EAGAIN, EBADF, EFAULT, IS_ERR, PTR_ERR } from "@ringside/core/debug/errno";
import { io_dmabuf_create_map, io_dmabuf_get_map, type IoDmabufMapPtr } from "@ringside/core/dma/token";
import type { BioVecPtr } from "@ringside/core/fs/bvec";
import {
  iov_iter_advance,
  iov_iter_bvec,
  iov_iter_dmabuf_map,
  type IovIterPtr,
  MAX_RW_COUNT,
} from "@ringside/core/fs/iov-iter";
import { mutex_lock, mutex_unlock } from "@ringside/core/lock/mutex";
import type { Cpu } from "@ringside/core/sched/cpu";
import { CTX_BUF_NODES, CTX_BUF_NR, CTX_URING_LOCK, type RingCtxPtr } from "../ring/ctx.ts";
import {
  IO_URING_F_UNLOCKED,
  REQ_BUF_INDEX,
  REQ_BUF_NODE,
  REQ_CTX,
  REQ_DMABUF_MAP,
  REQ_F_BUF_NODE,
  REQ_F_DROP_DMABUF,
  REQ_FILE,
  REQ_FLAGS,
  REQ_ITER,
  type ReqPtr,
} from "../ring/req.ts";
import { regbuf_dma_target_file, regbuf_dma_token } from "./dmabuf.ts";
import {
  IMU_BVEC,
  IMU_DIR,
  IMU_FLAGS,
  IMU_LEN,
  IMU_PRIV,
  IMU_UBUF,
  io_get_rsrc_node,
  IO_REGBUF_F_DMABUF,
  type MappedUbufPtr,
  node_buf,
  type RsrcNodePtr,
} from "./node.ts";

/** Import flag: the operation can do I/O on a dma-buf. */
export const IO_REGBUF_IMPORT_ALLOW_DMABUF = 1;

const CTX = REQ_CTX;
const BUF_INDEX = REQ_BUF_INDEX;
const BUF_NODE = REQ_BUF_NODE;
const DMABUF_MAP = REQ_DMABUF_MAP;
const FLAGS = REQ_FLAGS;
const FILE = REQ_FILE;
const ITER = REQ_ITER;
const NR = CTX_BUF_NR;
const NODES = CTX_BUF_NODES;
const UBUF = IMU_UBUF;
const PRIV = IMU_PRIV;
const LEN = IMU_LEN;
const BVEC = IMU_BVEC;
const DIR = IMU_DIR;
const IMUFLAGS = IMU_FLAGS;
const MAX_COUNT = MAX_RW_COUNT;
const UNLOCKED = IO_URING_F_UNLOCKED;
const F_BUF_NODE = REQ_F_BUF_NODE;
const F_DROP_DMABUF = REQ_F_DROP_DMABUF;
const F_DMABUF = IO_REGBUF_F_DMABUF;
const ALLOW_DMABUF = IO_REGBUF_IMPORT_ALLOW_DMABUF;

/** The request's buffer node, with a reference that it keeps until it completes; 0 when there is none. */
export function io_find_buf_node(cpu: Cpu, req: ReqPtr, issue_flags: number): RsrcNodePtr {
  const mem = cpu.mem;
  if ((mem.read(req + FLAGS) & F_BUF_NODE) !== 0) return mem.read(req + BUF_NODE) as RsrcNodePtr;
  const ctx = mem.read(req + CTX) as RingCtxPtr;
  if ((issue_flags & UNLOCKED) !== 0) mutex_lock(cpu, ctx + CTX_URING_LOCK);
  const index = mem.read(req + BUF_INDEX);
  const node = index < mem.read(ctx + NR) ? mem.read(mem.read(ctx + NODES) + index * 4) : 0;
  if (node !== 0) {
    io_get_rsrc_node(cpu, node as RsrcNodePtr);
    mem.write(req + BUF_NODE, node);
    mem.write(req + FLAGS, mem.read(req + FLAGS) | F_BUF_NODE);
  }
  if ((issue_flags & UNLOCKED) !== 0) mutex_unlock(cpu, ctx + CTX_URING_LOCK);
  return node as RsrcNodePtr;
}

/** Points the request's iterator at [addr, addr + len) of its buffer; u31 both, or -1. 0 or -errno. */
export function io_import_reg_buf(
  cpu: Cpu,
  req: ReqPtr,
  addr: number,
  len: number,
  ddir: number,
  issue_flags: number,
  import_flags: number,
): number {
  const node = io_find_buf_node(cpu, req, issue_flags);
  if (node === 0) return -EFAULT;
  const mem = cpu.mem;
  const imu = node_buf(cpu, node);
  const ubuf = mem.read(imu + UBUF);
  const bytes = mem.read(imu + LEN);
  // Lengths with the top bit set are larger than any buffer. No sum here can wrap.
  if (addr < ubuf || len < 0 || len > bytes || addr - ubuf > bytes - len) return -EFAULT;
  if (len > MAX_COUNT) return -EFAULT;
  if ((mem.read(imu + DIR) & (1 << ddir)) === 0) return -EFAULT;
  const offset = addr - ubuf;
  if ((mem.read(imu + IMUFLAGS) & F_DMABUF) !== 0) {
    if ((import_flags & ALLOW_DMABUF) === 0) return -EFAULT;
    return io_import_dmabuf(cpu, req, imu, offset, len, ddir, issue_flags);
  }
  const iter = (req + ITER) as IovIterPtr;
  iov_iter_bvec(cpu, iter, ddir, (imu + BVEC) as BioVecPtr, 1, offset + len);
  if (offset !== 0) iov_iter_advance(cpu, iter, offset);
  return 0;
}

function io_import_dmabuf(
  cpu: Cpu,
  req: ReqPtr,
  imu: MappedUbufPtr,
  offset: number,
  len: number,
  ddir: number,
  issue_flags: number,
): number {
  const mem = cpu.mem;
  if (len === 0) return -EFAULT;
  const priv = mem.read(imu + PRIV);
  if (mem.read(req + FILE) !== regbuf_dma_target_file(cpu, priv)) return -EBADF;
  let map = mem.read(req + DMABUF_MAP);
  // Issued again, from io-wq: the reference of the first attempt still holds its map. v3 took another one
  // here and lost the first, so the map never drained; v4 reuses it, and so does this.
  if ((mem.read(req + FLAGS) & F_DROP_DMABUF) === 0) {
    map = io_get_or_create_map(cpu, priv, issue_flags);
    if (map < 0) return map;
    mem.write(req + DMABUF_MAP, map);
    mem.write(req + FLAGS, mem.read(req + FLAGS) | F_DROP_DMABUF);
  }
  iov_iter_dmabuf_map(cpu, (req + ITER) as IovIterPtr, ddir, map, offset, len);
  return 0;
}

/** The published map, or, where sleeping is allowed, a new one. -EAGAIN asks for a punt. */
function io_get_or_create_map(cpu: Cpu, priv: number, issue_flags: number): number {
  const token = regbuf_dma_token(priv);
  const published = io_dmabuf_get_map(cpu, token);
  if (published !== 0) return published;
  if ((issue_flags & UNLOCKED) === 0) return -EAGAIN;
  const map: IoDmabufMapPtr = io_dmabuf_create_map(cpu, token);
  return IS_ERR(map) ? PTR_ERR(map) : map;
}
