/**
 * blk_mq_ops.queue_rq and its like (drivers/nvme/host/pci.c): a request becomes a command in the ring.
 *
 * Preparation (mapping, PRPs) needs no lock; writing the command and the doorbell is under the queue's
 * SQ_LOCK, once for a whole list. Entries are built in place: an I/O ring only ever holds read, write and
 * flush, so the words these leave alone are zero from the ring's birth.
 */
import { LOG_WARN, printk } from "@ringside/core/debug/dmesg";
import {
  blk_rq_bytes,
  blk_rq_pos,
  type HctxPtr,
  hctx_driver_data,
  type RequestPtr,
  req_op,
  rq_cmd_flags,
  rq_hctx,
  rq_is_dmabuf_map,
  rq_next,
  rq_queue,
  rq_set_next,
  rq_tag,
} from "@ringside/core/block/request";
import { BLK_STS_NOTSUPP, BLK_STS_OK } from "@ringside/core/block/status";
import {
  blk_mq_batch_deadline,
  blk_mq_start_batched,
  blk_mq_start_request,
} from "@ringside/core/block/timeout";
import { spin_lock, spin_unlock } from "@ringside/core/lock/spinlock";
import type { Cpu } from "@ringside/core/sched/cpu";
import { nvme_ring_device } from "../spec/bar.ts";
import { NVME_DEVICE } from "../spec/device.ts";
import { iod_begin, iod_cid, iod_of, iod_prp1, iod_prp2 } from "./iod.ts";
import { nvme_setup_bvec_prps, nvme_setup_dmabuf_prps } from "./prp.ts";
import {
  nvme_sq_advance,
  nvme_sq_slot,
  nvme_write_sq_db,
  nvmeq_depth,
  nvmeq_lba_sector_shift,
  nvmeq_nsid,
  nvmeq_prp_pools,
  type NvmeQueuePtr,
  nvmeq_set_sq_tail,
  nvmeq_sq_cmds,
  nvmeq_sq_lock,
  nvmeq_sq_tail,
} from "./queue.ts";

// Hot: local copies, since a read of an imported constant costs several times as much.
const STS_OK = BLK_STS_OK;
const DEVICE = NVME_DEVICE;

const OP_MASK = 0xff;
const OP_READ = 0;
const OP_WRITE = 1;
const OP_FLUSH = 2;
const REQ_FUA = 1 << 17;
const SECTOR_SHIFT = 9;

const CMD_FLUSH = 0;
const CMD_WRITE = 1;
const CMD_READ = 2;
/** Command Dword 12: Force Unit Access. */
const RW_FUA = 1 << 30;

const SQE_SHIFT = 6;
const SQE_NSID = 4;
const SQE_PRP1 = 24;
const SQE_PRP2 = 32;
const SQE_SLBA = 40;
const SQE_CDW12 = 48;
const CID_SHIFT = 16;

/** nvme_prep_rq: maps the data. Afterwards the request can only succeed or fail on the device. */
function nvme_prep_rq(cpu: Cpu, nvmeq: NvmeQueuePtr, rq: RequestPtr): number {
  const op = req_op(cpu, rq);
  iod_begin(cpu, iod_of(rq));
  if (op === OP_FLUSH) return STS_OK;
  if (op !== OP_READ && op !== OP_WRITE) {
    printk(cpu, LOG_WARN, `nvme: unsupported request operation ${op}`);
    return BLK_STS_NOTSUPP;
  }
  const pools = nvmeq_prp_pools(nvmeq);
  if (rq_is_dmabuf_map(cpu, rq)) return nvme_setup_dmabuf_prps(cpu, pools, rq);
  return nvme_setup_bvec_prps(cpu, DEVICE, pools, rq);
}

/** Writes the command of a prepared request into the slot at `sqe`. SQ_LOCK held. */
function nvme_write_cmd(cpu: Cpu, sqe: number, rq: RequestPtr, nsid: number, shift: number): void {
  const mem = cpu.mem;
  const iod = iod_of(rq);
  const cid = iod_cid(cpu, iod, rq_tag(cpu, rq)) << CID_SHIFT;
  const flags = rq_cmd_flags(cpu, rq);
  const op = flags & OP_MASK;
  mem.write(sqe + SQE_NSID, nsid);
  if (op === OP_FLUSH) mem.write(sqe, cid | CMD_FLUSH);
  else {
    const fua = (flags & REQ_FUA) !== 0 ? RW_FUA : 0;
    mem.write(sqe, cid | (op === OP_WRITE ? CMD_WRITE : CMD_READ));
    mem.write(sqe + SQE_PRP1, iod_prp1(cpu, iod));
    mem.write(sqe + SQE_PRP2, iod_prp2(cpu, iod));
    mem.write(sqe + SQE_SLBA, blk_rq_pos(cpu, rq) >> shift);
    mem.write(sqe + SQE_CDW12, ((blk_rq_bytes(cpu, rq) >> (SECTOR_SHIFT + shift)) - 1) | fua);
  }
}

/** blk_mq_ops.queue_rq. */
export function nvme_queue_rq(cpu: Cpu, hctx: HctxPtr, rq: RequestPtr, last: number): number {
  const nvmeq = hctx_driver_data(cpu, hctx) as NvmeQueuePtr;
  const status = nvme_prep_rq(cpu, nvmeq, rq);
  if (status !== STS_OK) return status;
  blk_mq_start_request(cpu, rq);
  spin_lock(cpu, nvmeq_sq_lock(nvmeq));
  nvme_write_cmd(
    cpu,
    nvme_sq_slot(cpu, nvmeq),
    rq,
    nvmeq_nsid(cpu, nvmeq),
    nvmeq_lba_sector_shift(cpu, nvmeq),
  );
  nvme_sq_advance(cpu, nvmeq);
  const rung = nvme_write_sq_db(cpu, nvmeq, last !== 0);
  spin_unlock(cpu, nvmeq_sq_lock(nvmeq));
  if (rung) nvme_ring_device(cpu);
  return STS_OK;
}

/** blk_mq_ops.commit_rqs: the doorbell that "last" would have rung. */
export function nvme_commit_rqs(cpu: Cpu, hctx: HctxPtr): void {
  const nvmeq = hctx_driver_data(cpu, hctx) as NvmeQueuePtr;
  spin_lock(cpu, nvmeq_sq_lock(nvmeq));
  const rung = nvme_write_sq_db(cpu, nvmeq, true);
  spin_unlock(cpu, nvmeq_sq_lock(nvmeq));
  if (rung) nvme_ring_device(cpu);
}

/**
 * blk_mq_ops.queue_rqs: a list, a lock and a doorbell for each queue in it. Returns what could not be prepared. As a
 * rule that is nothing, and the links of the list stay as they are.
 */
export function nvme_queue_rqs(cpu: Cpu, list: RequestPtr): RequestPtr {
  let left = 0 as RequestPtr;
  let left_tail = 0 as RequestPtr;
  let batch = 0 as RequestPtr;
  let tail = 0 as RequestPtr;
  /** The tail's link leads to a request that was left out. */
  let gap = false;
  let hctx = rq_hctx(cpu, list);
  let nvmeq = hctx_driver_data(cpu, hctx) as NvmeQueuePtr;
  const q = rq_queue(cpu, list);
  const deadline = blk_mq_batch_deadline(cpu, q);
  for (let rq = list; rq !== 0; ) {
    const next = rq_next(cpu, rq);
    if (rq_hctx(cpu, rq) !== hctx) {
      if (tail !== 0) rq_set_next(cpu, tail, 0);
      nvme_submit_cmds(cpu, nvmeq, batch);
      batch = 0 as RequestPtr;
      tail = 0 as RequestPtr;
      gap = false;
      hctx = rq_hctx(cpu, rq);
      nvmeq = hctx_driver_data(cpu, hctx) as NvmeQueuePtr;
    }
    if (nvme_prep_rq(cpu, nvmeq, rq) === STS_OK) {
      blk_mq_start_batched(cpu, q, rq, deadline);
      if (batch === 0) batch = rq;
      else if (gap) rq_set_next(cpu, tail, rq);
      tail = rq;
      gap = false;
    } else {
      rq_set_next(cpu, rq, 0);
      if (left === 0) left = rq;
      else rq_set_next(cpu, left_tail, rq);
      left_tail = rq;
      gap = true;
    }
    rq = next;
  }
  if (gap && tail !== 0) rq_set_next(cpu, tail, 0);
  nvme_submit_cmds(cpu, nvmeq, batch);
  return left;
}

/** nvme_submit_cmds: all of one queue. Once the doorbell is rung, requests may complete and be reused. */
function nvme_submit_cmds(cpu: Cpu, nvmeq: NvmeQueuePtr, batch: RequestPtr): void {
  if (batch === 0) return;
  const nsid = nvmeq_nsid(cpu, nvmeq);
  const shift = nvmeq_lba_sector_shift(cpu, nvmeq);
  const depth = nvmeq_depth(cpu, nvmeq);
  const cmds = nvmeq_sq_cmds(cpu, nvmeq);
  spin_lock(cpu, nvmeq_sq_lock(nvmeq));
  let tail = nvmeq_sq_tail(cpu, nvmeq);
  for (let rq = batch; rq !== 0; rq = rq_next(cpu, rq)) {
    nvme_write_cmd(cpu, cmds + (tail << SQE_SHIFT), rq, nsid, shift);
    if (++tail === depth) tail = 0;
  }
  nvmeq_set_sq_tail(cpu, nvmeq, tail);
  const rung = nvme_write_sq_db(cpu, nvmeq, true);
  spin_unlock(cpu, nvmeq_sq_lock(nvmeq));
  if (rung) nvme_ring_device(cpu);
}
