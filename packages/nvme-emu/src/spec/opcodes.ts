/**
 * Command opcodes and the constants of their fields.
 *
 * Specs:
 *   [B]  NVM Express Base Specification 2.1
 *   [N]  NVM Express NVM Command Set Specification 1.1
 */

/** [B] 5.1: admin commands (and 5.2 for those of the PCIe transport). */
export const nvme_admin_delete_sq = 0x00;
export const nvme_admin_create_sq = 0x01;
export const nvme_admin_get_log_page = 0x02;
export const nvme_admin_delete_cq = 0x04;
export const nvme_admin_create_cq = 0x05;
export const nvme_admin_identify = 0x06;
export const nvme_admin_abort_cmd = 0x08;
export const nvme_admin_set_features = 0x09;
export const nvme_admin_get_features = 0x0a;
export const nvme_admin_async_event = 0x0c;
/** Refused on PCIe; the compliance tests send it. */
export const nvme_fabrics_command = 0x7f;

/** [N] 3.3: I/O commands. */
export const nvme_cmd_flush = 0x00;
export const nvme_cmd_write = 0x01;
export const nvme_cmd_read = 0x02;

/** NSID that addresses all namespaces, [B] 3.2.1.2. */
export const NVME_NSID_ALL = 0xffffffff;

/** [B] 5.2.1 Create I/O Completion Queue, DW11; [B] 5.2.2 Create I/O Submission Queue, DW11. */
export const NVME_QUEUE_PHYS_CONTIG: number = 1 << 0;
export const NVME_CQ_IRQ_ENABLED: number = 1 << 1;
export const NVME_CQ_IV_SHIFT = 16;
export const NVME_SQ_CQID_SHIFT = 16;

/** [B] 5.1.13 Identify: CNS values, DW10 bits 7:0. */
export const NVME_ID_CNS_NS = 0x00;
export const NVME_ID_CNS_CTRL = 0x01;
export const NVME_ID_CNS_NS_ACTIVE_LIST = 0x02;
export const NVME_IDENTIFY_DATA_SIZE = 4096;

/** [B] 5.1.12 Get Log Page: LID, DW10 bits 7:0. */
export const NVME_LOG_ERROR = 0x01;
export const NVME_LOG_SMART = 0x02;
export const NVME_LOG_FW_SLOT = 0x03;
/** DW10: retain asynchronous event, and the low half of the zero-based dword count. */
export const NVME_LOG_RAE: number = 1 << 15;
export const NVME_LOG_NUMDL_SHIFT = 16;

/** [B] 5.1.25 Set Features, 5.1.11 Get Features: FID, DW10 bits 7:0. */
export const NVME_FEAT_ARBITRATION = 0x01;
export const NVME_FEAT_POWER_MGMT = 0x02;
export const NVME_FEAT_TEMP_THRESH = 0x04;
export const NVME_FEAT_ERR_RECOVERY = 0x05;
export const NVME_FEAT_VOLATILE_WC = 0x06;
export const NVME_FEAT_NUM_QUEUES = 0x07;
export const NVME_FEAT_IRQ_COALESCE = 0x08;
export const NVME_FEAT_IRQ_CONFIG = 0x09;
export const NVME_FEAT_WRITE_ATOMIC = 0x0a;
export const NVME_FEAT_ASYNC_EVENT = 0x0b;
export const NVME_FEAT_KATO = 0x0f;
export const NVME_FEAT_HOST_BEHAVIOR = 0x16;
/** Set Features DW10: save; Get Features DW10 bits 10:8: select. */
export const NVME_FEAT_SAVE: number = 1 << 31;
export const NVME_FEAT_SEL_SHIFT = 8;
export const NVME_FEAT_SEL_SUPPORTED = 3;
/** Get Features with select 3: the feature may be changed, [B]. */
export const NVME_FEAT_CAP_CHANGEABLE: number = 1 << 2;

/** [B] 5.1.2 Asynchronous Event Request, completion DW0: type 2:0, information 15:8, log page 23:16. */
export const NVME_AER_ERROR = 0;
export const NVME_AER_ERROR_INVALID_DB_REG = 0x00;
export const NVME_AER_ERROR_INVALID_DB_VALUE = 0x01;
export const NVME_AER_INFO_SHIFT = 8;
export const NVME_AER_LOG_SHIFT = 16;

/** [N] 3.3.4 Read, 3.3.6 Write, DW12: zero-based block count in bits 15:0. */
export const NVME_RW_LENGTH_MASK = 0xffff;
