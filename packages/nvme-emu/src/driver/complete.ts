/**
 * Completions (drivers/nvme/host/pci.c and core.c): the interrupt handler and the poll function walk the
 * completion queue, end what succeeded as a batch, and decide about what failed: try again or report.
 *
 * The head doorbell is written once per walk. A completion whose generation is not that of the tag's current
 * use is reported and ignored.
 */
import {
  blk_mq_add_to_batch,
  blk_mq_batch_first,
  blk_mq_complete_request,
  blk_mq_end_request,
  blk_mq_end_request_batch,
  blk_should_fake_timeout,
  IO_COMP_BATCH_SIZE,
  type IoCompBatchPtr,
} from "@ringside/core/block/complete";
import { blk_mq_requeue_request } from "@ringside/core/block/issue";
import { blk_queue_dying } from "@ringside/core/block/queue";
import {
  blk_mq_tag_to_rq,
  blk_rq_bytes,
  type HctxPtr,
  hctx_driver_data,
  type RequestPtr,
  rq_hctx,
  rq_is_dmabuf_map,
  rq_next,
  rq_queue,
} from "@ringside/core/block/request";
import { blk_mq_mark_complete } from "@ringside/core/block/rq-state";
import {
  BLK_STS_IOERR,
  BLK_STS_MEDIUM,
  BLK_STS_NOSPC,
  BLK_STS_NOTSUPP,
  BLK_STS_OK,
  BLK_STS_PROTECTION,
  BLK_STS_TARGET,
  BLK_STS_TRANSPORT,
} from "@ringside/core/block/status";
import { LOG_WARN, printk } from "@ringside/core/debug/dmesg";
import { FAULT_IO_TIMEOUT, fault_armed } from "@ringside/core/debug/fault-inject";
import { kernel_symbol } from "@ringside/core/debug/image";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "@ringside/core/lock/spinlock";
import { type Cpu, stack_pop, stack_push } from "@ringside/core/sched/cpu";
import { nvme_ring_cq_head } from "../spec/bar.ts";
import { NVME_DEVICE } from "../spec/device.ts";
import * as SC from "../spec/status.ts";
import { nvme_admin_handle_cqe } from "./admin-queue.ts";
import {
  cid_genctr,
  cid_tag,
  iod_genctr,
  iod_nr_descriptors,
  iod_of,
  iod_retries,
  iod_set_retries,
  iod_set_status,
  iod_status,
} from "./iod.ts";
import { nvme_free_descriptors, nvme_unmap_bvec_prps } from "./prp.ts";
import {
  nvme_cqe_pending,
  nvme_write_cq_db,
  nvmeq_cq_head,
  nvmeq_cq_lock,
  nvmeq_cq_phase,
  nvmeq_cqes,
  nvmeq_depth,
  nvmeq_dev,
  nvmeq_hctx,
  nvmeq_prp_pools,
  nvmeq_qid,
  type NvmeQueuePtr,
} from "./queue.ts";

// Hot: local copies, since a read of an imported constant costs several times as much.
const BATCH_SIZE = IO_COMP_BATCH_SIZE;
const IO_TIMEOUT = FAULT_IO_TIMEOUT;
const DEVICE = NVME_DEVICE;

/** nvme_max_retries. */
const MAX_RETRIES = 5;
const DNR = 0x4000;
const CQE_DW3 = 12;
const CQE_SHIFT = 4;
const PHASE_SHIFT = 16;
const STATUS_SHIFT = 17;

/**
 * Handler of an I/O queue's interrupt: (cpu, nvmeq). Only its CPU runs it, so it needs no lock; who else wants to
 * takes the interrupt away first (timeout.ts).
 */
export const NVME_IRQ: number = kernel_symbol(nvme_irq);
export function nvme_irq(cpu: Cpu, nvmeq: NvmeQueuePtr): number {
  const iob = stack_push(cpu, BATCH_SIZE) as IoCompBatchPtr;
  const found = nvme_poll_cq(cpu, nvmeq, iob);
  nvme_pci_complete_batch(cpu, nvmeq, iob);
  stack_pop(cpu, iob);
  return found;
}

/** Handler of the admin queue's interrupt; waiters poll that queue too. */
export const NVME_ADMIN_IRQ: number = kernel_symbol(nvme_poll_queue);

/** blk_mq_ops.poll. Returns how many completions it found. */
export function nvme_poll(cpu: Cpu, hctx: HctxPtr): number {
  return nvme_poll_queue(cpu, hctx_driver_data(cpu, hctx) as NvmeQueuePtr);
}

/** Walks a queue that anybody may poll; what it found is ended without the lock. */
export function nvme_poll_queue(cpu: Cpu, nvmeq: NvmeQueuePtr): number {
  // A look without the lock: whoever misses an entry here looks again.
  if (!nvme_cqe_pending(cpu, nvmeq)) return 0;
  const iob = stack_push(cpu, BATCH_SIZE) as IoCompBatchPtr;
  // The interrupt handler of the admin queue takes it too.
  spin_lock_irqsave(cpu, nvmeq_cq_lock(nvmeq));
  const found = nvme_poll_cq(cpu, nvmeq, iob);
  spin_unlock_irqrestore(cpu, nvmeq_cq_lock(nvmeq));
  nvme_pci_complete_batch(cpu, nvmeq, iob);
  stack_pop(cpu, iob);
  return found;
}

/** Takes what is there, a ring's worth at most: the device may be faster than we are. */
function nvme_poll_cq(cpu: Cpu, nvmeq: NvmeQueuePtr, iob: IoCompBatchPtr): number {
  const admin = nvmeq_qid(cpu, nvmeq) === 0;
  const depth = nvmeq_depth(cpu, nvmeq);
  const cqes = nvmeq_cqes(cpu, nvmeq);
  const hctx = nvmeq_hctx(cpu, nvmeq) as HctxPtr;
  let head = nvmeq_cq_head(cpu, nvmeq);
  let phase = nvmeq_cq_phase(cpu, nvmeq);
  const may_fake = fault_armed(cpu, IO_TIMEOUT);
  let found = 0;
  for (; found < depth; found++) {
    const cqe = cqes + (head << CQE_SHIFT);
    // Pairs with the device's storeRelease of this word: with the new phase come the rest of the entry, and
    // the data. Without it we could hand out a buffer before its bytes have arrived.
    const dw3 = cpu.mem.loadAcquire(cqe + CQE_DW3);
    if (((dw3 >> PHASE_SHIFT) & 1) !== phase) break;
    if (admin) nvme_admin_handle_cqe(cpu, nvmeq_dev(cpu, nvmeq), cqe);
    else nvme_handle_cqe(cpu, nvmeq, hctx, depth, iob, dw3, may_fake);
    if (++head === depth) {
      head = 0;
      phase ^= 1;
    }
  }
  if (found !== 0) {
    nvme_write_cq_db(cpu, nvmeq, head, phase);
    nvme_ring_cq_head(cpu);
  }
  return found;
}

function nvme_handle_cqe(
  cpu: Cpu,
  nvmeq: NvmeQueuePtr,
  hctx: HctxPtr,
  depth: number,
  iob: IoCompBatchPtr,
  dw3: number,
  may_fake: boolean,
): void {
  const cid = dw3 & 0xffff;
  const status = dw3 >>> STATUS_SHIFT;
  const rq = nvme_find_rq(cpu, nvmeq, hctx, depth, cid);
  if (rq === 0 || (may_fake && blk_should_fake_timeout(cpu, rq_queue(cpu, rq)))) return;
  if (status === 0) {
    if (blk_mq_mark_complete(cpu, rq)) blk_mq_add_to_batch(cpu, rq, iob);
    else report_invalid_cid(cpu, nvmeq, cid);
    return;
  }
  iod_set_status(cpu, iod_of(rq), status);
  if (!blk_mq_complete_request(cpu, rq)) report_invalid_cid(cpu, nvmeq, cid);
}

/** The request a command id means, or 0. */
function nvme_find_rq(cpu: Cpu, nvmeq: NvmeQueuePtr, hctx: HctxPtr, depth: number, cid: number): RequestPtr {
  const tag = cid_tag(cid);
  if (tag >= depth - 1) {
    report_invalid_cid(cpu, nvmeq, cid);
    return 0 as RequestPtr;
  }
  const rq = blk_mq_tag_to_rq(cpu, hctx, tag);
  if (cid_genctr(cid) === iod_genctr(cpu, iod_of(rq))) return rq;
  report_stale_cid(cpu, rq, cid);
  return 0 as RequestPtr;
}

/** The completion belongs to an earlier use of the tag. */
function report_stale_cid(cpu: Cpu, rq: RequestPtr, cid: number): void {
  const hex = (n: number): string => `0x${n.toString(16)}`;
  const now = hex(iod_genctr(cpu, iod_of(rq)));
  printk(
    cpu,
    LOG_WARN,
    `nvme: request ${hex(cid_tag(cid))} genctr mismatch (got ${hex(cid_genctr(cid))} expected ${now})`,
  );
}

function report_invalid_cid(cpu: Cpu, nvmeq: NvmeQueuePtr, cid: number): void {
  printk(cpu, LOG_WARN, `nvme: invalid id ${cid} completed on queue ${nvmeq_qid(cpu, nvmeq)}`);
}

/** nvme_pci_complete_batch: all of one queue, all successful. */
function nvme_pci_complete_batch(cpu: Cpu, nvmeq: NvmeQueuePtr, iob: IoCompBatchPtr): void {
  for (let rq = blk_mq_batch_first(cpu, iob); rq !== 0; rq = rq_next(cpu, rq)) {
    nvme_unmap_data(cpu, nvmeq, rq);
    iod_set_retries(cpu, iod_of(rq), 0);
  }
  blk_mq_end_request_batch(cpu, iob);
}

/** nvme_unmap_data: a dma-buf request keeps its mapping, an ordinary one ends it. */
function nvme_unmap_data(cpu: Cpu, nvmeq: NvmeQueuePtr, rq: RequestPtr): void {
  // A flush has no data, and nothing is mapped.
  if (!rq_is_dmabuf_map(cpu, rq)) nvme_unmap_bvec_prps(cpu, DEVICE, rq, blk_rq_bytes(cpu, rq));
  if (iod_nr_descriptors(cpu, iod_of(rq)) !== 0)
    nvme_free_descriptors(cpu, nvmeq_prp_pools(nvmeq), iod_of(rq));
}

/** blk_mq_ops.complete: one request, usually a failed one. */
export function nvme_pci_complete_rq(cpu: Cpu, rq: RequestPtr): void {
  const iod = iod_of(rq);
  const status = iod_status(cpu, iod);
  nvme_unmap_data(cpu, hctx_driver_data(cpu, rq_hctx(cpu, rq)) as NvmeQueuePtr, rq);
  if (nvme_wants_retry(cpu, rq, status)) {
    iod_set_retries(cpu, iod, iod_retries(cpu, iod) + 1);
    blk_mq_requeue_request(cpu, rq, true);
    return;
  }
  iod_set_retries(cpu, iod, 0);
  blk_mq_end_request(cpu, rq, nvme_error_status(status));
}

/** nvme_decide_disposition. */
function nvme_wants_retry(cpu: Cpu, rq: RequestPtr, status: number): boolean {
  if (status === 0 || (status & DNR) !== 0 || iod_retries(cpu, iod_of(rq)) >= MAX_RETRIES) return false;
  return !blk_queue_dying(cpu, rq_queue(cpu, rq));
}

/** nvme_error_status: what the block layer calls it. */
export function nvme_error_status(status: number): number {
  switch (status & SC.NVME_SCT_SC_MASK) {
    case SC.NVME_SC_SUCCESS:
      return BLK_STS_OK;
    case SC.NVME_SC_CAP_EXCEEDED:
      return BLK_STS_NOSPC;
    case SC.NVME_SC_LBA_RANGE:
    case SC.NVME_SC_NS_NOT_READY:
      return BLK_STS_TARGET;
    case SC.NVME_SC_INVALID_OPCODE:
    case SC.NVME_SC_INVALID_FIELD:
    case SC.NVME_SC_INVALID_NS:
      return BLK_STS_NOTSUPP;
    case SC.NVME_SC_WRITE_FAULT:
    case SC.NVME_SC_READ_ERROR:
    case SC.NVME_SC_UNWRITTEN_BLOCK:
    case SC.NVME_SC_ACCESS_DENIED:
    case SC.NVME_SC_COMPARE_FAILED:
    case SC.NVME_SC_READ_ONLY:
      return BLK_STS_MEDIUM;
    case SC.NVME_SC_GUARD_CHECK:
    case SC.NVME_SC_APPTAG_CHECK:
    case SC.NVME_SC_REFTAG_CHECK:
    case SC.NVME_SC_INVALID_PI:
      return BLK_STS_PROTECTION;
    case SC.NVME_SC_HOST_PATH_ERROR:
      return BLK_STS_TRANSPORT;
    default:
      return BLK_STS_IOERR;
  }
}
