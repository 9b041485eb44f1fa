/**
 * Admin commands ([B] 5): dispatch, Abort and Asynchronous Event Request.
 *
 * Interface: nvme_admin_command(cpu, n, sqe) executes the entry at `sqe`; it returns a status, and leaves
 * DW0 of the completion in n.result. NVME_NO_COMPLETION: the command is held and completes later.
 */
import type { Cpu } from "@ringside/core/sched/cpu";
import {
  NVME_CMD_FUSE_MASK,
  NVME_CMD_PSDT_MASK,
  SQE_CDW10,
  SQE_CID,
  SQE_FLAGS,
  SQE_OPCODE,
} from "../spec/entries.ts";
import {
  nvme_admin_abort_cmd,
  nvme_admin_async_event,
  nvme_admin_create_cq,
  nvme_admin_create_sq,
  nvme_admin_delete_cq,
  nvme_admin_delete_sq,
  nvme_admin_get_features,
  nvme_admin_get_log_page,
  nvme_admin_identify,
  nvme_admin_set_features,
} from "../spec/opcodes.ts";
import {
  NVME_SC_ABORT_REQ,
  NVME_SC_ASYNC_LIMIT,
  NVME_SC_INVALID_FIELD,
  NVME_SC_INVALID_OPCODE,
  NVME_SC_SUCCESS,
  NVME_STATUS_DNR,
} from "../spec/status.ts";
import { nvme_create_cq, nvme_create_sq, nvme_delete_cq, nvme_delete_sq } from "./admin-queues.ts";
import { nvme_cq_room, nvme_post_cqe } from "./completion.ts";
import { nvme_event_ready } from "./events.ts";
import { nvme_get_features, nvme_set_features } from "./features.ts";
import { nvme_identify } from "./identify.ts";
import { nvme_irq_batch } from "./irq.ts";
import { nvme_get_log_page } from "./log-page.ts";
import { NVME_AERL, type NvmeCtrl } from "./state.ts";

/** Not a status: the command stays outstanding. */
export const NVME_NO_COMPLETION = -1;
const DNR = NVME_STATUS_DNR;

export function nvme_admin_command(cpu: Cpu, n: NvmeCtrl, sqe: number): number {
  n.result = 0;
  const flags = cpu.mem.read8(sqe + SQE_FLAGS);
  if ((flags & (NVME_CMD_FUSE_MASK | NVME_CMD_PSDT_MASK)) !== 0) return NVME_SC_INVALID_FIELD | DNR;
  switch (cpu.mem.read8(sqe + SQE_OPCODE)) {
    case nvme_admin_delete_sq:
      return nvme_delete_sq(cpu, n, sqe);
    case nvme_admin_create_sq:
      return nvme_create_sq(cpu, n, sqe);
    case nvme_admin_get_log_page:
      return nvme_get_log_page(cpu, n, sqe);
    case nvme_admin_delete_cq:
      return nvme_delete_cq(cpu, n, sqe);
    case nvme_admin_create_cq:
      return nvme_create_cq(cpu, n, sqe);
    case nvme_admin_identify:
      return nvme_identify(cpu, n, sqe);
    case nvme_admin_abort_cmd:
      return nvme_abort(cpu, n, sqe);
    case nvme_admin_set_features:
      return nvme_set_features(cpu, n, sqe);
    case nvme_admin_get_features:
      return nvme_get_features(cpu, n, sqe);
    case nvme_admin_async_event:
      if (n.aer_cids.length > NVME_AERL) return NVME_SC_ASYNC_LIMIT | DNR;
      n.aer_cids.push(cpu.mem.read16(sqe + SQE_CID));
      return NVME_NO_COMPLETION;
    default:
      return NVME_SC_INVALID_OPCODE | DNR;
  }
}

/**
 * [B] 5.1.1. Commands execute when fetched, so only a held event request can still be aborted; for any other
 * the answer is "not aborted", bit 0 of DW0.
 */
function nvme_abort(cpu: Cpu, n: NvmeCtrl, sqe: number): number {
  const dw10 = cpu.mem.read(sqe + SQE_CDW10);
  const sqid = dw10 & 0xffff;
  if (n.sqs[sqid] === undefined) return NVME_SC_INVALID_FIELD | DNR;
  const held = sqid === 0 ? n.aer_cids.indexOf(dw10 >>> 16) : -1;
  const sq = n.admin;
  // Two completions: the aborted request's and the caller's.
  if (held < 0 || sq === undefined || nvme_cq_room(cpu, n, sq.cq, 2) < 2) {
    n.result = 1;
    return NVME_SC_SUCCESS;
  }
  n.aer_cids.splice(held, 1);
  nvme_post_cqe(cpu, n, sq.cq, sq.head, 0, dw10 >>> 16, NVME_SC_ABORT_REQ | DNR, 0);
  return NVME_SC_SUCCESS;
}

/** Reports events while requests and room last. True when one was reported. */
export function nvme_report_events(cpu: Cpu, n: NvmeCtrl): boolean {
  const sq = n.admin;
  if (sq === undefined) return false;
  let reported = false;
  for (let i = nvme_event_ready(n); i >= 0; i = nvme_event_ready(n)) {
    if (nvme_cq_room(cpu, n, sq.cq, 1) < 1) break;
    const event = n.events[i] as number;
    n.events.splice(i, 1);
    n.events_masked |= 1 << (event & 7);
    nvme_post_cqe(cpu, n, sq.cq, sq.head, 0, n.aer_cids.shift() as number, NVME_SC_SUCCESS, event);
    reported = true;
  }
  if (reported) nvme_irq_batch(cpu, n, sq.cq);
  return reported;
}
