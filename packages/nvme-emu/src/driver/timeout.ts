/**
 * blk_mq_ops.timeout (drivers/nvme/host/pci.c): a command that took too long. First the completion queue is looked
 * at: the interrupt may have been lost. Then one Abort command is sent, and the command gets another time-out. After
 * that Linux resets the controller, which this driver cannot do yet: it says so, and goes on waiting.
 *
 * Also what a reset needs: ending every command that the device has been made to forget (nvme_cancel_tagset).
 *
 * Runs on a kworker, one late request of the disk after the other; it sleeps.
 */
import { HCTX_TYPE_POLL, type RequestQueuePtr } from "@ringside/core/block/queue";
import {
  blk_rq_bytes,
  type HctxPtr,
  hctx_driver_data,
  hctx_type,
  req_op,
  type RequestPtr,
  rq_hctx,
  rq_tag,
} from "@ringside/core/block/request";
import { blk_mq_complete_request } from "@ringside/core/block/complete";
import { blk_mq_rq_state, MQ_RQ_IN_FLIGHT } from "@ringside/core/block/rq-state";
import { blk_mq_tagset_busy_iter, blk_mq_tagset_wait_completed_request } from "@ringside/core/block/tag-iter";
import { BLK_EH_DONE, BLK_EH_RESET_TIMER } from "@ringside/core/block/timeout";
import { LOG_INFO, LOG_WARN, printk } from "@ringside/core/debug/dmesg";
import { kernel_symbol } from "@ringside/core/debug/image";
import { synchronize_rcu } from "@ringside/core/rcu/rcu";
import type { Cpu } from "@ringside/core/sched/cpu";
import { irq_raise } from "@ringside/core/sched/irq";
import { INIT_WORK, queue_work, system_wq } from "@ringside/core/sched/workqueue";
import { nvme_admin_abort_cmd } from "../spec/opcodes.ts";
import { NVME_SC_HOST_ABORTED_CMD } from "../spec/status.ts";
import { nvme_submit_admin } from "./admin-queue.ts";
import { nvme_irq, nvme_poll_queue } from "./complete.ts";
import {
  abort_work_dev,
  dev_abort_cdw10,
  dev_abort_work,
  dev_claim_abort,
  dev_release_abort,
  dev_set_abort_cdw10,
  type NvmeDevPtr,
} from "./dev.ts";
import { iod_cid, iod_mark_aborted, iod_of, iod_set_status } from "./iod.ts";
import { IO_IRQ, nvme_free_io_irq, nvme_queue_vector_cpu, nvme_request_io_irq } from "./irq.ts";
import { nvmeq_dev, nvmeq_qid, type NvmeQueuePtr } from "./queue.ts";

/** nvme_io_timeout: 30 s. */
export const NVME_IO_TIMEOUT = 30_000;

/** By req_op: command opcode and name. */
const OPCODES: readonly string[] = ["0x2 (Read)", "0x1 (Write)", "0x0 (Flush)"];
const OP_NAMES: readonly string[] = ["READ", "WRITE", "FLUSH"];

const ABORT_WORK = kernel_symbol(nvme_abort_work);
const CANCEL_REQUEST = kernel_symbol(nvme_cancel_request);

export function nvme_init_abort(cpu: Cpu, dev: NvmeDevPtr): void {
  INIT_WORK(cpu, dev_abort_work(dev), ABORT_WORK);
}

export function nvme_timeout(cpu: Cpu, rq: RequestPtr): number {
  const hctx = rq_hctx(cpu, rq);
  const nvmeq = hctx_driver_data(cpu, hctx) as NvmeQueuePtr;
  if (hctx_type(cpu, hctx) === HCTX_TYPE_POLL) nvme_poll_queue(cpu, nvmeq);
  else nvme_poll_irqdisable(cpu, nvmeq);
  if (blk_mq_rq_state(cpu, rq) !== MQ_RQ_IN_FLIGHT) {
    warn(cpu, rq, hctx, "completion polled");
    return BLK_EH_DONE;
  }
  const dev = nvmeq_dev(cpu, nvmeq) as NvmeDevPtr;
  // One Abort at a time: ask again later.
  if (!dev_claim_abort(cpu, dev)) return BLK_EH_RESET_TIMER;
  if (!iod_mark_aborted(cpu, iod_of(rq))) {
    dev_release_abort(cpu, dev);
    warn(cpu, rq, hctx, "reset controller: not supported, waiting on");
    return BLK_EH_RESET_TIMER;
  }
  const op = req_op(cpu, rq);
  warn(cpu, rq, hctx, `aborting req_op:${OP_NAMES[op]}(${op}) size:${blk_rq_bytes(cpu, rq)}`);
  dev_set_abort_cdw10(cpu, dev, nvmeq_qid(cpu, nvmeq) | (cid_of(cpu, rq) << 16));
  queue_work(cpu, system_wq(cpu), dev_abort_work(dev));
  return BLK_EH_RESET_TIMER;
}

function cid_of(cpu: Cpu, rq: RequestPtr): number {
  return iod_cid(cpu, iod_of(rq), rq_tag(cpu, rq));
}

function warn(cpu: Cpu, rq: RequestPtr, hctx: HctxPtr, what: string): void {
  const cid = cid_of(cpu, rq).toString(16).padStart(4, "0");
  const qid = nvmeq_qid(cpu, hctx_driver_data(cpu, hctx) as NvmeQueuePtr);
  const op = OPCODES[req_op(cpu, rq)];
  printk(cpu, LOG_WARN, `nvme: I/O tag ${rq_tag(cpu, rq)} (${cid}) opcode ${op} QID ${qid} timeout, ${what}`);
}

/** Looks at a queue whose completions another CPU takes: that one's handler is kept away meanwhile. */
function nvme_poll_irqdisable(cpu: Cpu, nvmeq: NvmeQueuePtr): void {
  const qid = nvmeq_qid(cpu, nvmeq);
  nvme_free_io_irq(cpu, qid);
  // A handler that began before is a read section.
  synchronize_rcu(cpu);
  nvme_irq(cpu, nvmeq);
  nvme_request_io_irq(cpu, nvmeq);
  // For an interrupt that found no handler.
  irq_raise(cpu, nvme_queue_vector_cpu(qid), IO_IRQ);
}

/** Sends the Abort and waits. Whatever comes of it, the aborted command completes by itself, or is late again. */
function nvme_abort_work(cpu: Cpu, work: number): void {
  const dev = abort_work_dev(work);
  const status = nvme_submit_admin(cpu, dev, nvme_admin_abort_cmd, 0, 0, dev_abort_cdw10(cpu, dev), 0);
  printk(cpu, LOG_INFO, `nvme: Abort status: 0x${(status & 0xffff).toString(16)}`);
  dev_release_abort(cpu, dev);
}

/** For a walk over the busy tags: ends a request that the device will not complete any more. */
function nvme_cancel_request(cpu: Cpu, rq: RequestPtr, _data: number): number {
  // Not one that is complete already, or not with the device.
  if (blk_mq_rq_state(cpu, rq) === MQ_RQ_IN_FLIGHT) {
    iod_set_status(cpu, iod_of(rq), NVME_SC_HOST_ABORTED_CMD);
    blk_mq_complete_request(cpu, rq);
  }
  return 1;
}

/** Ends every command in flight with status 371h, which is tried again unless the queue dies. The device is off. */
export function nvme_cancel_tagset(cpu: Cpu, q: RequestQueuePtr): void {
  blk_mq_tagset_busy_iter(cpu, q, CANCEL_REQUEST, 0);
  blk_mq_tagset_wait_completed_request(cpu, q);
}
