/**
 * Set Features and Get Features ([B] 5.1.25, 5.1.11). Values are kept and given back; Number of Queues,
 * Interrupt Coalescing and Interrupt Vector Configuration are acted upon. Nothing is saved across resets.
 */
import type { Cpu } from "@ringside/core/sched/cpu";
import { NVME_MAX_IO_QUEUES, NVME_MSIX_VECTORS } from "../spec/bar.ts";
import { SQE_CDW10, SQE_CDW11 } from "../spec/entries.ts";
import {
  NVME_FEAT_ARBITRATION,
  NVME_FEAT_ASYNC_EVENT,
  NVME_FEAT_CAP_CHANGEABLE,
  NVME_FEAT_ERR_RECOVERY,
  NVME_FEAT_HOST_BEHAVIOR,
  NVME_FEAT_IRQ_COALESCE,
  NVME_FEAT_IRQ_CONFIG,
  NVME_FEAT_KATO,
  NVME_FEAT_NUM_QUEUES,
  NVME_FEAT_POWER_MGMT,
  NVME_FEAT_SAVE,
  NVME_FEAT_SEL_SHIFT,
  NVME_FEAT_SEL_SUPPORTED,
  NVME_FEAT_TEMP_THRESH,
  NVME_FEAT_VOLATILE_WC,
  NVME_FEAT_WRITE_ATOMIC,
} from "../spec/opcodes.ts";
import {
  NVME_SC_CMD_SEQ_ERROR,
  NVME_SC_FEATURE_NOT_SAVEABLE,
  NVME_SC_INVALID_FIELD,
  NVME_SC_SUCCESS,
  NVME_STATUS_DNR,
} from "../spec/status.ts";
import { nvme_dma } from "./dma.ts";
import type { NvmeCtrl } from "./state.ts";

const DNR = NVME_STATUS_DNR;
const FEATURES = 32;
const HOST_BEHAVIOR_BYTES = 512;
/** 70 degrees Celsius, in kelvin. */
const TEMP_THRESHOLD = 343;
/** Feature 09h bit 16: this vector is not coalesced. */
const COALESCING_DISABLE = 1 << 16;

/** Identifier and default value of each feature. */
const DEFAULTS: readonly (readonly [id: number, value: number])[] = [
  [NVME_FEAT_ARBITRATION, 0x07], // burst: no limit
  [NVME_FEAT_POWER_MGMT, 0],
  [NVME_FEAT_TEMP_THRESH, TEMP_THRESHOLD],
  [NVME_FEAT_ERR_RECOVERY, 0],
  [NVME_FEAT_VOLATILE_WC, 1],
  [NVME_FEAT_NUM_QUEUES, (NVME_MAX_IO_QUEUES - 1) | ((NVME_MAX_IO_QUEUES - 1) << 16)],
  [NVME_FEAT_IRQ_COALESCE, 0],
  [NVME_FEAT_IRQ_CONFIG, 0],
  [NVME_FEAT_WRITE_ATOMIC, 0],
  [NVME_FEAT_ASYNC_EVENT, 0],
  [NVME_FEAT_KATO, 0],
  [NVME_FEAT_HOST_BEHAVIOR, 0],
];

function feature_default(fid: number): number | undefined {
  return DEFAULTS.find(([id]) => id === fid)?.[1];
}

export function nvme_features_reset(n: NvmeCtrl): void {
  for (let fid = 0; fid < FEATURES; fid++) n.features[fid] = feature_default(fid) ?? 0;
  n.coalescing_disabled.length = 0;
  n.queues_granted = NVME_MAX_IO_QUEUES - 1;
}

export function nvme_set_features(cpu: Cpu, n: NvmeCtrl, sqe: number): number {
  const dw10 = cpu.mem.read(sqe + SQE_CDW10);
  const dw11 = cpu.mem.read(sqe + SQE_CDW11);
  const fid = dw10 & 0xff;
  if (feature_default(fid) === undefined) return NVME_SC_INVALID_FIELD | DNR;
  if ((dw10 & NVME_FEAT_SAVE) !== 0) return NVME_SC_FEATURE_NOT_SAVEABLE | DNR;
  switch (fid) {
    case NVME_FEAT_NUM_QUEUES:
      return set_number_of_queues(n, dw11);
    case NVME_FEAT_IRQ_CONFIG: {
      const vector = dw11 & 0xffff;
      if (vector >= NVME_MSIX_VECTORS) return NVME_SC_INVALID_FIELD | DNR;
      n.coalescing_disabled[vector] = (dw11 & COALESCING_DISABLE) !== 0;
      return NVME_SC_SUCCESS;
    }
    case NVME_FEAT_HOST_BEHAVIOR:
      // Nothing in the structure changes what we do; it has to be readable all the same.
      return nvme_dma(cpu, n, sqe, n.scratch, HOST_BEHAVIOR_BYTES, false);
    case NVME_FEAT_POWER_MGMT:
      if ((dw11 & 0x1f) !== 0) return NVME_SC_INVALID_FIELD | DNR;
      break;
    default:
      break;
  }
  n.features[fid] = dw11;
  return NVME_SC_SUCCESS;
}

/** [B] 5.1.25.1.5: once, before any I/O queue exists; both counts zero-based. */
function set_number_of_queues(n: NvmeCtrl, dw11: number): number {
  const submission = dw11 & 0xffff;
  const completion = dw11 >>> 16;
  if (submission === 0xffff || completion === 0xffff) return NVME_SC_INVALID_FIELD | DNR;
  for (let qid = 1; qid < n.cqs.length; qid++) {
    if (n.cqs[qid] !== undefined || n.sqs[qid] !== undefined) return NVME_SC_CMD_SEQ_ERROR | DNR;
  }
  n.queues_granted = Math.min(Math.max(submission, completion), NVME_MAX_IO_QUEUES - 1);
  n.result = n.queues_granted | (n.queues_granted << 16);
  n.features[NVME_FEAT_NUM_QUEUES] = n.result;
  return NVME_SC_SUCCESS;
}

export function nvme_get_features(cpu: Cpu, n: NvmeCtrl, sqe: number): number {
  const dw10 = cpu.mem.read(sqe + SQE_CDW10);
  const fid = dw10 & 0xff;
  const select = (dw10 >>> NVME_FEAT_SEL_SHIFT) & 7;
  const initial = feature_default(fid);
  if (initial === undefined || select > NVME_FEAT_SEL_SUPPORTED) return NVME_SC_INVALID_FIELD | DNR;
  if (select === NVME_FEAT_SEL_SUPPORTED) {
    n.result = NVME_FEAT_CAP_CHANGEABLE;
    return NVME_SC_SUCCESS;
  }
  n.result = select === 0 ? (n.features[fid] as number) : initial;
  if (fid === NVME_FEAT_IRQ_CONFIG) {
    const vector = cpu.mem.read(sqe + SQE_CDW11) & 0xffff;
    if (vector >= NVME_MSIX_VECTORS) return NVME_SC_INVALID_FIELD | DNR;
    n.result = vector | (n.coalescing_disabled[vector] === true ? COALESCING_DISABLE : 0);
  }
  if (fid === NVME_FEAT_HOST_BEHAVIOR) {
    cpu.mem.memset(n.scratch, 0, HOST_BEHAVIOR_BYTES);
    return nvme_dma(cpu, n, sqe, n.scratch, HOST_BEHAVIOR_BYTES, true);
  }
  return NVME_SC_SUCCESS;
}
