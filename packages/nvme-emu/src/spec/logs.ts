/**
 * Log pages, as tables in the order nvme-cli prints them.
 *
 * Specs:
 *   [B]  NVM Express Base Specification 2.1
 */
import type { SpecField } from "./layout.ts";

/** [B] 5.1.12.1.2 Error Information: entries of 64 bytes, the newest first. */
export const NVME_ERROR_LOG_ENTRY_SIZE = 64;
export const NVME_ERROR_LOG_FIELDS: readonly SpecField[] = [
  ["error_count", 0, 8, "u"],
  ["sqid", 8, 2, "u"],
  ["cmdid", 10, 2, "u"],
  ["status_field", 12, 2, "u"],
  ["parm_error_location", 14, 2, "u"],
  ["lba", 16, 8, "u"],
  ["nsid", 24, 4, "u"],
  ["vs", 28, 1, "u"],
  ["trtype", 29, 1, "u"],
  ["cs", 32, 8, "u"],
  ["trtype_spec_info", 40, 2, "u"],
];

/** [B] 5.1.12.1.3 SMART / Health Information. */
export const NVME_SMART_LOG_SIZE = 512;
export const NVME_SMART_FIELDS: readonly SpecField[] = [
  ["critical_warning", 0, 1, "u"],
  ["temperature", 1, 2, "u"],
  ["avail_spare", 3, 1, "u"],
  ["spare_thresh", 4, 1, "u"],
  ["percent_used", 5, 1, "u"],
  ["endurance_grp_critical_warning_summary", 6, 1, "u"],
  ["data_units_read", 32, 16, "u"],
  ["data_units_written", 48, 16, "u"],
  ["host_read_commands", 64, 16, "u"],
  ["host_write_commands", 80, 16, "u"],
  ["controller_busy_time", 96, 16, "u"],
  ["power_cycles", 112, 16, "u"],
  ["power_on_hours", 128, 16, "u"],
  ["unsafe_shutdowns", 144, 16, "u"],
  ["media_errors", 160, 16, "u"],
  ["num_err_log_entries", 176, 16, "u"],
  ["warning_temp_time", 192, 4, "u"],
  ["critical_comp_time", 196, 4, "u"],
  ["temperature_sensor_1", 200, 2, "u"],
  ["temperature_sensor_2", 202, 2, "u"],
  ["temperature_sensor_3", 204, 2, "u"],
  ["temperature_sensor_4", 206, 2, "u"],
  ["temperature_sensor_5", 208, 2, "u"],
  ["temperature_sensor_6", 210, 2, "u"],
  ["temperature_sensor_7", 212, 2, "u"],
  ["temperature_sensor_8", 214, 2, "u"],
  ["thm_temp1_trans_count", 216, 4, "u"],
  ["thm_temp2_trans_count", 220, 4, "u"],
  ["thm_temp1_total_time", 224, 4, "u"],
  ["thm_temp2_total_time", 228, 4, "u"],
];
/** One data unit is 1000 blocks of 512 bytes; counts are rounded up. */
export const NVME_SMART_DATA_UNIT_BLOCKS = 1000;

/** [B] 5.1.12.1.4 Firmware Slot Information. */
export const NVME_FW_SLOT_LOG_SIZE = 512;
export const NVME_FW_SLOT_FIELDS: readonly SpecField[] = [
  ["afi", 0, 1, "u"],
  ["frs1", 8, 8, "ascii"],
];
