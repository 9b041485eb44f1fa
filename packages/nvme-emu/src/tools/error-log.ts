/**
 * `nvme error-log`: the error information log (64 bytes an entry) as nvme-cli 2.8 prints it, text and JSON.
 * The name behind a status is ours (spec/status.ts).
 */
import { NVME_ERROR_LOG_ENTRY_SIZE, NVME_ERROR_LOG_FIELDS } from "../spec/logs.ts";
import { nvme_status_text } from "../spec/status.ts";
import { type Bytes, decimal_at, field_number, hex } from "./decode.ts";

const RULE = ".................";
const CSI = 30;
const OPCODE = 31;
const LOG_PAGE_VERSION = 63;

function entries(data: Bytes): number {
  return Math.floor(data.length / NVME_ERROR_LOG_ENTRY_SIZE);
}

export function error_log_text(data: Bytes, device: string): string {
  const lines = [`Error Log Entries for device:${device} entries:${entries(data)}`, RULE];
  for (let i = 0; i < entries(data); i++) {
    const base = i * NVME_ERROR_LOG_ENTRY_SIZE;
    const get = (name: string): number => field_number(data, NVME_ERROR_LOG_FIELDS, name, base);
    const status = get("status_field") >> 1;
    lines.push(
      ` Entry[${String(i).padStart(2)}]   `,
      RULE,
      `error_count\t: ${decimal_at(data, base, 8)}`,
      `sqid\t\t: ${get("sqid")}`,
      `cmdid\t\t: ${hex(get("cmdid"))}`,
      `status_field\t: ${hex(status)}(${nvme_status_text(status)})`,
      `phase_tag\t: ${hex(get("status_field") & 1)}`,
      `parm_err_loc\t: ${hex(get("parm_error_location"))}`,
      `lba\t\t: ${hex(get("lba"))}`,
      `nsid\t\t: ${hex(get("nsid"))}`,
      `vs\t\t: ${get("vs")}`,
      `trtype\t\t: ${transport(get("trtype"))}`,
      `csi\t\t: ${data[base + CSI] ?? 0}`,
      `opcode\t\t: ${hex(data[base + OPCODE] ?? 0)}`,
      `cs\t\t: ${hex(get("cs"))}`,
      `trtype_spec_info: ${hex(get("trtype_spec_info"))}`,
      `log_page_version: ${data[base + LOG_PAGE_VERSION] ?? 0}`,
      RULE,
    );
  }
  return `${lines.join("\n")}\n`;
}

function transport(trtype: number): string {
  if (trtype !== 0) return String(trtype);
  return "The transport type is not indicated or the error is not transport related.";
}

export function error_log_json(data: Bytes): { errors: Record<string, number>[] } {
  const errors: Record<string, number>[] = [];
  for (let i = 0; i < entries(data); i++) {
    const error: Record<string, number> = {};
    for (const [name] of NVME_ERROR_LOG_FIELDS) {
      const value = field_number(data, NVME_ERROR_LOG_FIELDS, name, i * NVME_ERROR_LOG_ENTRY_SIZE);
      if (name === "status_field") {
        error[name] = value >> 1;
        error["phase_tag"] = value & 1;
      } else error[name] = value;
    }
    errors.push(error);
  }
  return { errors };
}
