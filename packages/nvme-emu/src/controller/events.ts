/**
 * The error information log and asynchronous events ([B] 5.1.2, 5.1.12.1.2).
 *
 * An event is reported by completing an asynchronous event request the host has left with us. After that,
 * events of the same type wait until the host reads the log page that explains them.
 */
import { NVME_AER_ERROR, NVME_AER_INFO_SHIFT, NVME_AER_LOG_SHIFT, NVME_LOG_ERROR } from "../spec/opcodes.ts";
import { NVME_ELPE, type NvmeCtrl } from "./state.ts";

/** Unreported events of one kind are one event. */
const EVENTS_MAX = 8;
/** sqid and cmdid of an error that belongs to no command. */
const NO_COMMAND = 0xffff;

/** Adds an entry to the error log. */
export function nvme_log_error(
  n: NvmeCtrl,
  sqid: number,
  cid: number,
  status: number,
  lba: number,
  nsid: number,
): void {
  const entry = n.errors[n.error_count % (NVME_ELPE + 1)];
  n.error_count++;
  if (entry === undefined) return;
  entry.error_count = n.error_count;
  entry.sqid = sqid;
  entry.cmdid = cid;
  entry.status_field = status << 1;
  entry.lba = lba;
  entry.nsid = nsid;
}

/** An error event: an invalid doorbell. `info` says which kind. */
export function nvme_error_event(n: NvmeCtrl, info: number): void {
  nvme_log_error(n, NO_COMMAND, NO_COMMAND, 0, 0, 0);
  const event = NVME_AER_ERROR | (info << NVME_AER_INFO_SHIFT) | (NVME_LOG_ERROR << NVME_AER_LOG_SHIFT);
  if (n.events.length < EVENTS_MAX && !n.events.includes(event)) n.events.push(event);
}

/** Index of the first event that may be reported now; -1 when there is none, or no request to report it. */
export function nvme_event_ready(n: NvmeCtrl): number {
  if (n.aer_cids.length === 0) return -1;
  for (let i = 0; i < n.events.length; i++) {
    const type = (n.events[i] as number) & 7;
    if ((n.events_masked & (1 << type)) === 0) return i;
  }
  return -1;
}
