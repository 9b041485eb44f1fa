/**
 * Creating and deleting I/O queues ([B] 5.2.1 ... 5.2.4).
 *
 * A submission queue holds on to its completion queue: that one cannot be deleted before it. Where public
 * conformance suites disagree on a completion queue id of 0, Invalid Queue Identifier is our answer.
 */
import type { Cpu } from "@ringside/core/sched/cpu";
import { NVME_MAX_QUEUE_ENTRIES, NVME_MSIX_VECTORS } from "../spec/bar.ts";
import { SQE_CDW10, SQE_CDW11, SQE_CID, SQE_PRP1 } from "../spec/entries.ts";
import { NVME_CQ_IRQ_ENABLED, NVME_QUEUE_PHYS_CONTIG } from "../spec/opcodes.ts";
import {
  NVME_SC_ABORT_QUEUE,
  NVME_SC_CQ_INVALID,
  NVME_SC_INVALID_FIELD,
  NVME_SC_INVALID_QUEUE,
  NVME_SC_INVALID_VECTOR,
  NVME_SC_PRP_INVALID_OFFSET,
  NVME_SC_QID_INVALID,
  NVME_SC_QUEUE_SIZE,
  NVME_SC_SUCCESS,
  NVME_STATUS_DNR,
} from "../spec/status.ts";
import { nvme_cq_room, nvme_post_cqe } from "./completion.ts";
import { nvme_translate } from "./dma.ts";
import { nvme_sq_tail } from "./doorbells.ts";
import { nvme_irq_batch } from "./irq.ts";
import { NvmeCq, NvmeSq, type NvmeCtrl } from "./state.ts";

const DNR = NVME_STATUS_DNR;
const PAGE = 4096;
const SQE_SHIFT = 6;

function queue_id_valid(n: NvmeCtrl, qid: number): boolean {
  return qid > 0 && qid <= n.queues_granted + 1;
}

/** What creating either kind of queue checks alike: size, contiguity, base address. */
function check_queue_memory(cpu: Cpu, sqe: number): number {
  const size = cpu.mem.read(sqe + SQE_CDW10) >>> 16;
  if (size === 0 || size >= NVME_MAX_QUEUE_ENTRIES) return NVME_SC_QUEUE_SIZE | DNR;
  if ((cpu.mem.read(sqe + SQE_CDW11) & NVME_QUEUE_PHYS_CONTIG) === 0) return NVME_SC_INVALID_FIELD | DNR;
  const prp1 = cpu.mem.read64(sqe + SQE_PRP1);
  if ((prp1 & (PAGE - 1)) !== 0) return NVME_SC_PRP_INVALID_OFFSET | DNR;
  return prp1 === 0 ? NVME_SC_INVALID_FIELD | DNR : NVME_SC_SUCCESS;
}

export function nvme_create_cq(cpu: Cpu, n: NvmeCtrl, sqe: number): number {
  const dw10 = cpu.mem.read(sqe + SQE_CDW10);
  const dw11 = cpu.mem.read(sqe + SQE_CDW11);
  const qid = dw10 & 0xffff;
  const vector = dw11 >>> 16;
  if (!queue_id_valid(n, qid) || n.cqs[qid] !== undefined) return NVME_SC_QID_INVALID | DNR;
  const status = check_queue_memory(cpu, sqe);
  if (status !== NVME_SC_SUCCESS) return status;
  if (vector >= NVME_MSIX_VECTORS) return NVME_SC_INVALID_VECTOR | DNR;
  const irq_enabled = (dw11 & NVME_CQ_IRQ_ENABLED) !== 0;
  const cq = new NvmeCq(qid, cpu.mem.read64(sqe + SQE_PRP1), (dw10 >>> 16) + 1, vector, irq_enabled);
  cpu.mem.storeRelease(cq.doorbell, 0);
  n.cqs[qid] = cq;
  return NVME_SC_SUCCESS;
}

export function nvme_create_sq(cpu: Cpu, n: NvmeCtrl, sqe: number): number {
  const dw10 = cpu.mem.read(sqe + SQE_CDW10);
  const qid = dw10 & 0xffff;
  const cqid = cpu.mem.read(sqe + SQE_CDW11) >>> 16;
  if (!queue_id_valid(n, cqid)) return NVME_SC_QID_INVALID | DNR;
  const cq = n.cqs[cqid];
  if (cq === undefined) return NVME_SC_CQ_INVALID | DNR;
  if (!queue_id_valid(n, qid) || n.sqs[qid] !== undefined) return NVME_SC_QID_INVALID | DNR;
  const status = check_queue_memory(cpu, sqe);
  if (status !== NVME_SC_SUCCESS) return status;
  const sq = new NvmeSq(qid, cpu.mem.read64(sqe + SQE_PRP1), (dw10 >>> 16) + 1, cq);
  cpu.mem.storeRelease(sq.doorbell, 0);
  cq.users++;
  n.sqs[qid] = sq;
  n.active.push(sq);
  return NVME_SC_SUCCESS;
}

export function nvme_delete_cq(cpu: Cpu, n: NvmeCtrl, sqe: number): number {
  const qid = cpu.mem.read(sqe + SQE_CDW10) & 0xffff;
  const cq = qid === 0 ? undefined : n.cqs[qid];
  if (cq === undefined) return NVME_SC_QID_INVALID | DNR;
  if (cq.users !== 0) return NVME_SC_INVALID_QUEUE | DNR;
  n.cqs[qid] = undefined;
  cpu.mem.storeRelease(cq.doorbell, 0);
  return NVME_SC_SUCCESS;
}

/** Commands submitted and not fetched complete first, as aborted, while their completion queue has room. */
export function nvme_delete_sq(cpu: Cpu, n: NvmeCtrl, sqe: number): number {
  const qid = cpu.mem.read(sqe + SQE_CDW10) & 0xffff;
  const sq = qid === 0 ? undefined : n.sqs[qid];
  if (sq === undefined) return NVME_SC_QID_INVALID | DNR;
  const tail = cpu.mem.loadAcquire(sq.doorbell);
  if (tail !== sq.seen) nvme_sq_tail(cpu, n, sq, tail);
  abort_unfetched(cpu, n, sq);
  nvme_irq_batch(cpu, n, sq.cq);
  n.sqs[qid] = undefined;
  sq.cq.users--;
  n.active = n.active.filter((other) => other !== sq);
  n.turn = 0;
  cpu.mem.storeRelease(sq.doorbell, 0);
  return NVME_SC_SUCCESS;
}

function abort_unfetched(cpu: Cpu, n: NvmeCtrl, sq: NvmeSq): void {
  while (sq.head !== sq.tail && nvme_cq_room(cpu, n, sq.cq, 1) > 0) {
    const entry = nvme_translate(cpu, n, sq.base + (sq.head << SQE_SHIFT), 1 << SQE_SHIFT, false);
    if (entry === 0) return;
    const cid = cpu.mem.read16(entry + SQE_CID);
    sq.head = sq.head + 1 === sq.entries ? 0 : sq.head + 1;
    nvme_post_cqe(cpu, n, sq.cq, sq.head, sq.qid, cid, NVME_SC_ABORT_QUEUE | DNR, 0);
  }
}
