/**
 * struct nvme_queue (drivers/nvme/host/pci.c): a submission queue with its completion queue.
 *
 * Submission: SQ_LOCK guards the tail; entries are written into the ring in place; the doorbell is written
 * for the last one of a batch, or when the tail would reach the doorbell's last value, so that the device's
 * view is never ambiguous. There is always a slot: the tags are one fewer than the entries.
 *
 * Completion: the head and the phase belong to the interrupt's CPU, or, if polled, to the holder of CQ_LOCK.
 */
import { path_count, PATH_CQ_DOORBELLS, PATH_DOORBELLS } from "@ringside/core/debug/path-counters";
import type { Ptr } from "atomics-sync";
import { ENOMEM } from "@ringside/core/debug/errno";
import { struct_layout } from "@ringside/core/debug/layout";
import { dma_alloc_coherent, dma_free_coherent, type Iova } from "@ringside/core/dma/mapping";
import { spin_lock_init } from "@ringside/core/lock/spinlock";
import { GFP_KERNEL } from "@ringside/core/mm/slab";
import { type Cpu, stack_pop, stack_push } from "@ringside/core/sched/cpu";
import { nvme_cq_doorbell, nvme_sq_doorbell } from "../spec/bar.ts";
import { NVME_DEVICE } from "../spec/device.ts";
import { NVME_CQE_SIZE, NVME_SQE_SIZE } from "../spec/entries.ts";
import { PRP_POOLS_SIZE, prp_pools_destroy, prp_pools_init } from "./prp-pool.ts";

export type NvmeQueuePtr = Ptr<"nvme_queue">;

// Constant after nvme_alloc_queue and nvme_init_queue:
const DEV = 0;
const QID = 4;
const Q_DEPTH = 8;
const SQ_CMDS = 12;
const SQ_DMA = 16;
const CQES = 20;
const CQ_DMA = 24;
const SQ_DB = 28;
const CQ_DB = 32;
const HCTX = 36;
const NSID = 40;
/** 512-byte sectors of a logical block, as a shift. */
const LBA_SECTOR_SHIFT = 44;
// Guarded by SQ_LOCK:
const SQ_LOCK = 128;
const SQ_TAIL = 132;
/** The doorbell's last value. */
const LAST_SQ_TAIL = 136;
// Guarded by CQ_LOCK, or owned by the CPU the interrupt goes to:
const CQ_LOCK = 256;
const CQ_HEAD = 260;
const CQ_PHASE = 264;
const PRP_POOLS = 384;
export const NVME_QUEUE_SIZE: number = 512;

struct_layout("nvme_queue", NVME_QUEUE_SIZE, [
  ["dev", DEV, 4],
  ["qid", QID, 4],
  ["q_depth", Q_DEPTH, 4],
  ["sq_cmds", SQ_CMDS, 4],
  ["sq_dma_addr", SQ_DMA, 4],
  ["cqes", CQES, 4],
  ["cq_dma_addr", CQ_DMA, 4],
  ["q_db", SQ_DB, 4],
  ["cq_db", CQ_DB, 4],
  ["hctx", HCTX, 4],
  ["nsid", NSID, 4],
  ["lba_sector_shift", LBA_SECTOR_SHIFT, 4],
  ["sq_lock", SQ_LOCK, 4],
  ["sq_tail", SQ_TAIL, 4],
  ["last_sq_tail", LAST_SQ_TAIL, 4],
  ["cq_poll_lock", CQ_LOCK, 4],
  ["cq_head", CQ_HEAD, 4],
  ["cq_phase", CQ_PHASE, 4],
  ["prp_pools", PRP_POOLS, PRP_POOLS_SIZE],
]);

const DOORBELLS = PATH_DOORBELLS;
const CQ_DOORBELLS = PATH_CQ_DOORBELLS;
const SQE_SHIFT = 6;
const CQE_SHIFT = 4;
const CQE_DW3 = 12;
const PHASE_SHIFT = 16;

/** Allocates the rings, and for I/O the PRP pools. 0 or -ENOMEM; nvme_free_queue frees either way. */
export function nvme_alloc_queue(
  cpu: Cpu,
  nvmeq: NvmeQueuePtr,
  dev: number,
  qid: number,
  depth: number,
): number {
  const mem = cpu.mem;
  mem.memset(nvmeq, 0, NVME_QUEUE_SIZE);
  mem.write(nvmeq + DEV, dev);
  mem.write(nvmeq + QID, qid);
  mem.write(nvmeq + Q_DEPTH, depth);
  mem.write(nvmeq + SQ_DB, nvme_sq_doorbell(qid));
  mem.write(nvmeq + CQ_DB, nvme_cq_doorbell(qid));
  spin_lock_init(cpu, nvmeq + SQ_LOCK, "&nvmeq->sq_lock");
  spin_lock_init(cpu, nvmeq + CQ_LOCK, "&nvmeq->cq_poll_lock");
  const handle = stack_push(cpu, 4);
  mem.write(nvmeq + SQ_CMDS, dma_alloc_coherent(cpu, NVME_DEVICE, depth * NVME_SQE_SIZE, handle, GFP_KERNEL));
  mem.write(nvmeq + SQ_DMA, mem.read(handle));
  mem.write(nvmeq + CQES, dma_alloc_coherent(cpu, NVME_DEVICE, depth * NVME_CQE_SIZE, handle, GFP_KERNEL));
  mem.write(nvmeq + CQ_DMA, mem.read(handle));
  stack_pop(cpu, handle);
  if (mem.read(nvmeq + SQ_CMDS) === 0 || mem.read(nvmeq + CQES) === 0) return -ENOMEM;
  nvme_init_queue(cpu, nvmeq);
  return qid === 0 ? 0 : prp_pools_init(cpu, NVME_DEVICE, nvmeq + PRP_POOLS);
}

/** Both rings empty, the phase as after power-on. The device does not use them. */
function nvme_init_queue(cpu: Cpu, nvmeq: NvmeQueuePtr): void {
  cpu.mem.write(nvmeq + SQ_TAIL, 0);
  cpu.mem.write(nvmeq + LAST_SQ_TAIL, 0);
  cpu.mem.write(nvmeq + CQ_HEAD, 0);
  cpu.mem.write(nvmeq + CQ_PHASE, 1);
}

/** The device does not use the queue any more. */
export function nvme_free_queue(cpu: Cpu, nvmeq: NvmeQueuePtr): void {
  const mem = cpu.mem;
  const depth = mem.read(nvmeq + Q_DEPTH);
  const sq = mem.read(nvmeq + SQ_CMDS);
  const cq = mem.read(nvmeq + CQES);
  if (sq !== 0) {
    dma_free_coherent(cpu, NVME_DEVICE, depth * NVME_SQE_SIZE, sq, mem.read(nvmeq + SQ_DMA) as Iova);
  }
  if (cq !== 0) {
    dma_free_coherent(cpu, NVME_DEVICE, depth * NVME_CQE_SIZE, cq, mem.read(nvmeq + CQ_DMA) as Iova);
  }
  prp_pools_destroy(cpu, NVME_DEVICE, nvmeq + PRP_POOLS);
  mem.memset(nvmeq, 0, NVME_QUEUE_SIZE);
}

/** Ties the queue to its hardware context and namespace. */
export function nvme_queue_attach(
  cpu: Cpu,
  nvmeq: NvmeQueuePtr,
  hctx: number,
  nsid: number,
  shift: number,
): void {
  cpu.mem.write(nvmeq + HCTX, hctx);
  cpu.mem.write(nvmeq + NSID, nsid);
  cpu.mem.write(nvmeq + LBA_SECTOR_SHIFT, shift);
}

export function nvmeq_dev(cpu: Cpu, nvmeq: NvmeQueuePtr): number {
  return cpu.mem.read(nvmeq + DEV);
}
export function nvmeq_qid(cpu: Cpu, nvmeq: NvmeQueuePtr): number {
  return cpu.mem.read(nvmeq + QID);
}
export function nvmeq_depth(cpu: Cpu, nvmeq: NvmeQueuePtr): number {
  return cpu.mem.read(nvmeq + Q_DEPTH);
}
export function nvmeq_sq_dma(cpu: Cpu, nvmeq: NvmeQueuePtr): number {
  return cpu.mem.read(nvmeq + SQ_DMA);
}
export function nvmeq_cq_dma(cpu: Cpu, nvmeq: NvmeQueuePtr): number {
  return cpu.mem.read(nvmeq + CQ_DMA);
}
export function nvmeq_hctx(cpu: Cpu, nvmeq: NvmeQueuePtr): number {
  return cpu.mem.read(nvmeq + HCTX);
}
export function nvmeq_nsid(cpu: Cpu, nvmeq: NvmeQueuePtr): number {
  return cpu.mem.read(nvmeq + NSID);
}
export function nvmeq_lba_sector_shift(cpu: Cpu, nvmeq: NvmeQueuePtr): number {
  return cpu.mem.read(nvmeq + LBA_SECTOR_SHIFT);
}
/** Address of slot 0 of the submission queue. */
export function nvmeq_sq_cmds(cpu: Cpu, nvmeq: NvmeQueuePtr): number {
  return cpu.mem.read(nvmeq + SQ_CMDS);
}
/** The next slot to fill; SQ_LOCK held, for both. */
export function nvmeq_sq_tail(cpu: Cpu, nvmeq: NvmeQueuePtr): number {
  return cpu.mem.read(nvmeq + SQ_TAIL);
}
export function nvmeq_set_sq_tail(cpu: Cpu, nvmeq: NvmeQueuePtr, tail: number): void {
  cpu.mem.write(nvmeq + SQ_TAIL, tail);
}
export function nvmeq_sq_lock(nvmeq: NvmeQueuePtr): number {
  return nvmeq + SQ_LOCK;
}
export function nvmeq_cq_lock(nvmeq: NvmeQueuePtr): number {
  return nvmeq + CQ_LOCK;
}
export function nvmeq_prp_pools(nvmeq: NvmeQueuePtr): number {
  return nvmeq + PRP_POOLS;
}

/** The slot for the next command. SQ_LOCK held; nvme_sq_advance says that it is filled. */
export function nvme_sq_slot(cpu: Cpu, nvmeq: NvmeQueuePtr): number {
  return cpu.mem.read(nvmeq + SQ_CMDS) + (cpu.mem.read(nvmeq + SQ_TAIL) << SQE_SHIFT);
}
export function nvme_sq_advance(cpu: Cpu, nvmeq: NvmeQueuePtr): void {
  const tail = cpu.mem.read(nvmeq + SQ_TAIL) + 1;
  cpu.mem.write(nvmeq + SQ_TAIL, tail === cpu.mem.read(nvmeq + Q_DEPTH) ? 0 : tail);
}

/** nvme_write_sq_db: rings if asked to, or if it must. True when it did; SQ_LOCK held. */
export function nvme_write_sq_db(cpu: Cpu, nvmeq: NvmeQueuePtr, write_sq: boolean): boolean {
  const tail = cpu.mem.read(nvmeq + SQ_TAIL);
  const last = cpu.mem.read(nvmeq + LAST_SQ_TAIL);
  if (!write_sq) {
    const next = tail + 1 === cpu.mem.read(nvmeq + Q_DEPTH) ? 0 : tail + 1;
    if (next !== last) return false;
  } else if (tail === last) return false;
  // Pairs with the device's loadAcquire of the doorbell: it sees every entry and PRP list up to the tail.
  cpu.mem.storeRelease(cpu.mem.read(nvmeq + SQ_DB), tail);
  cpu.mem.write(nvmeq + LAST_SQ_TAIL, tail);
  path_count(cpu, DOORBELLS, 1);
  return true;
}

/** Whether the entry at the completion head is new. */
export function nvme_cqe_pending(cpu: Cpu, nvmeq: NvmeQueuePtr): boolean {
  const cqe = cpu.mem.read(nvmeq + CQES) + (cpu.mem.read(nvmeq + CQ_HEAD) << CQE_SHIFT);
  return ((cpu.mem.loadAcquire(cqe + CQE_DW3) >> PHASE_SHIFT) & 1) === cpu.mem.read(nvmeq + CQ_PHASE);
}

/** Where the completion queue is in memory, its next entry, and the phase that makes that entry new. */
export function nvmeq_cqes(cpu: Cpu, nvmeq: NvmeQueuePtr): number {
  return cpu.mem.read(nvmeq + CQES);
}
export function nvmeq_cq_head(cpu: Cpu, nvmeq: NvmeQueuePtr): number {
  return cpu.mem.read(nvmeq + CQ_HEAD);
}
export function nvmeq_cq_phase(cpu: Cpu, nvmeq: NvmeQueuePtr): number {
  return cpu.mem.read(nvmeq + CQ_PHASE);
}

/** nvme_ring_cq_doorbell: takes over the walker's copies; the entries before `head` are the device's again. */
export function nvme_write_cq_db(cpu: Cpu, nvmeq: NvmeQueuePtr, head: number, phase: number): void {
  cpu.mem.write(nvmeq + CQ_HEAD, head);
  cpu.mem.write(nvmeq + CQ_PHASE, phase);
  // Pairs with the device's loadAcquire of the head: it overwrites an entry only after we have read it.
  cpu.mem.storeRelease(cpu.mem.read(nvmeq + CQ_DB), head);
  path_count(cpu, CQ_DOORBELLS, 1);
}
