/**
 * Status codes: status code type in bits 10:8, status code in bits 7:0, as Linux writes them; in a completion
 * the value stands left of the phase tag.
 *
 * Specs:
 *   [B]  NVM Express Base Specification 2.1, 4.2.3
 *   [N]  NVM Express NVM Command Set Specification 1.1
 */

/** [B] 4.2.3.1 generic command status, SCT 0. */
export const NVME_SC_SUCCESS = 0x000;
export const NVME_SC_INVALID_OPCODE = 0x001;
export const NVME_SC_INVALID_FIELD = 0x002;
export const NVME_SC_CMDID_CONFLICT = 0x003;
export const NVME_SC_DATA_XFER_ERROR = 0x004;
export const NVME_SC_POWER_LOSS = 0x005;
export const NVME_SC_INTERNAL = 0x006;
export const NVME_SC_ABORT_REQ = 0x007;
export const NVME_SC_ABORT_QUEUE = 0x008;
export const NVME_SC_INVALID_NS = 0x00b;
export const NVME_SC_CMD_SEQ_ERROR = 0x00c;
export const NVME_SC_PRP_INVALID_OFFSET = 0x013;
export const NVME_SC_LBA_RANGE = 0x080;
export const NVME_SC_CAP_EXCEEDED = 0x081;
export const NVME_SC_NS_NOT_READY = 0x082;

/** [B] 4.2.3.2 command specific status, SCT 1. */
export const NVME_SC_CQ_INVALID = 0x100;
export const NVME_SC_QID_INVALID = 0x101;
export const NVME_SC_QUEUE_SIZE = 0x102;
export const NVME_SC_ABORT_LIMIT = 0x103;
export const NVME_SC_ASYNC_LIMIT = 0x105;
export const NVME_SC_INVALID_VECTOR = 0x108;
export const NVME_SC_INVALID_LOG_PAGE = 0x109;
/** Invalid Queue Deletion. */
export const NVME_SC_INVALID_QUEUE = 0x10c;
export const NVME_SC_FEATURE_NOT_SAVEABLE = 0x10d;
export const NVME_SC_FEATURE_NOT_CHANGEABLE = 0x10e;
/** [N] the write touches read-only blocks or protection is wrong. */
export const NVME_SC_INVALID_PI = 0x181;
export const NVME_SC_READ_ONLY = 0x182;

/** [B] 4.2.3.3 media and data integrity errors, SCT 2. */
export const NVME_SC_WRITE_FAULT = 0x280;
export const NVME_SC_READ_ERROR = 0x281;
export const NVME_SC_GUARD_CHECK = 0x282;
export const NVME_SC_APPTAG_CHECK = 0x283;
export const NVME_SC_REFTAG_CHECK = 0x284;
export const NVME_SC_COMPARE_FAILED = 0x285;
export const NVME_SC_ACCESS_DENIED = 0x286;
export const NVME_SC_UNWRITTEN_BLOCK = 0x287;

/** [B] 4.2.3.4 path related status, SCT 3. */
export const NVME_SC_HOST_PATH_ERROR = 0x370;
export const NVME_SC_HOST_ABORTED_CMD = 0x371;

/** Do Not Retry and More, in the 15-bit field; [B] 4.2.1. */
export const NVME_STATUS_DNR = 0x4000;
export const NVME_STATUS_MORE = 0x2000;
export const NVME_SCT_SC_MASK = 0x7ff;

const NAMES: Readonly<Record<number, string>> = {
  [NVME_SC_SUCCESS]: "SUCCESS",
  [NVME_SC_INVALID_OPCODE]: "INVALID_OPCODE",
  [NVME_SC_INVALID_FIELD]: "INVALID_FIELD",
  [NVME_SC_CMDID_CONFLICT]: "CMDID_CONFLICT",
  [NVME_SC_DATA_XFER_ERROR]: "DATA_XFER_ERROR",
  [NVME_SC_INTERNAL]: "INTERNAL",
  [NVME_SC_ABORT_REQ]: "ABORT_REQ",
  [NVME_SC_ABORT_QUEUE]: "ABORT_QUEUE",
  [NVME_SC_INVALID_NS]: "INVALID_NS",
  [NVME_SC_CMD_SEQ_ERROR]: "CMD_SEQ_ERROR",
  [NVME_SC_PRP_INVALID_OFFSET]: "PRP_INVALID_OFFSET",
  [NVME_SC_LBA_RANGE]: "LBA_RANGE",
  [NVME_SC_CQ_INVALID]: "CQ_INVALID",
  [NVME_SC_QID_INVALID]: "QID_INVALID",
  [NVME_SC_QUEUE_SIZE]: "QUEUE_SIZE",
  [NVME_SC_ABORT_LIMIT]: "ABORT_LIMIT",
  [NVME_SC_ASYNC_LIMIT]: "ASYNC_LIMIT",
  [NVME_SC_INVALID_VECTOR]: "INVALID_VECTOR",
  [NVME_SC_INVALID_LOG_PAGE]: "INVALID_LOG_PAGE",
  [NVME_SC_INVALID_QUEUE]: "INVALID_QUEUE",
  [NVME_SC_FEATURE_NOT_SAVEABLE]: "FEATURE_NOT_SAVEABLE",
  [NVME_SC_FEATURE_NOT_CHANGEABLE]: "FEATURE_NOT_CHANGEABLE",
};

/** "0/02h INVALID_FIELD" for reports and tests. */
export function nvme_status_text(status: number): string {
  const sc = (status & 0xff).toString(16).padStart(2, "0");
  const name = NAMES[status & NVME_SCT_SC_MASK];
  return `${(status >> 8) & 7}/${sc}h${name === undefined ? "" : ` ${name}`}`;
}
