/**
 * `nvme smart-log`: the SMART page (512 bytes) as nvme-cli 2.8 prints it, text and JSON.
 */
import { NVME_SMART_DATA_UNIT_BLOCKS, NVME_SMART_FIELDS } from "../spec/logs.ts";
import { type Bytes, decimal_at, field_number, hex, number_at, si_suffix } from "./decode.ts";
import { spec_field } from "../spec/layout.ts";

const UNIT_BYTES: number = NVME_SMART_DATA_UNIT_BLOCKS * 512;
const ZERO_CELSIUS = 273;
const COLUMN = 40;
const TAB = 8;

/** The label, then tabs up to the column of the colon. */
function line(label: string, value: string): string {
  return `${label}${"\t".repeat(Math.ceil((COLUMN - label.length) / TAB))}: ${value}`;
}

function celsius(kelvin: number): string {
  return `${kelvin - ZERO_CELSIUS} °C (${kelvin} K)`;
}

/** "12 (6.14 MB)" */
function data_units(data: Bytes, name: string): string {
  const [value, suffix] = si_suffix(field_number(data, NVME_SMART_FIELDS, name) * UNIT_BYTES);
  return `${decimal(data, name)} (${value.toFixed(2)} ${suffix}B)`;
}

function decimal(data: Bytes, name: string): string {
  const [, offset, bytes] = spec_field(NVME_SMART_FIELDS, name);
  return decimal_at(data, offset, bytes);
}

export function smart_log_text(data: Bytes, device: string, nsid: number = 0xffffffff): string {
  const get = (name: string): number => field_number(data, NVME_SMART_FIELDS, name);
  const count = (name: string): string => line(name, decimal(data, name));
  const lines = [
    `Smart Log for NVME device:${device} namespace-id:${nsid.toString(16)}`,
    line("critical_warning", hex(get("critical_warning"))),
    line("temperature", celsius(get("temperature"))),
    line("available_spare", `${get("avail_spare")}%`),
    line("available_spare_threshold", `${get("spare_thresh")}%`),
    line("percentage_used", `${get("percent_used")}%`),
    line("endurance group critical warning summary", hex(get("endurance_grp_critical_warning_summary"))),
    line("Data Units Read", data_units(data, "data_units_read")),
    line("Data Units Written", data_units(data, "data_units_written")),
    count("host_read_commands"),
    count("host_write_commands"),
    count("controller_busy_time"),
    count("power_cycles"),
    count("power_on_hours"),
    count("unsafe_shutdowns"),
    count("media_errors"),
    count("num_err_log_entries"),
    line("Warning Temperature Time", decimal(data, "warning_temp_time")),
    line("Critical Composite Temperature Time", decimal(data, "critical_comp_time")),
  ];
  for (let sensor = 1; sensor <= 8; sensor++) {
    const kelvin = get(`temperature_sensor_${sensor}`);
    if (kelvin !== 0) lines.push(`Temperature Sensor ${sensor}           : ${celsius(kelvin)}`);
  }
  for (const n of [1, 2]) {
    lines.push(line(`Thermal Management T${n} Trans Count`, decimal(data, `thm_temp${n}_trans_count`)));
  }
  for (const n of [1, 2]) {
    lines.push(line(`Thermal Management T${n} Total Time`, decimal(data, `thm_temp${n}_total_time`)));
  }
  return `${lines.join("\n")}\n`;
}

/** Sensors that report 0 are left out. */
export function smart_log_json(data: Bytes): Record<string, number> {
  const root: Record<string, number> = {};
  for (const [name, offset, bytes] of NVME_SMART_FIELDS) {
    const value = number_at(data, offset, bytes);
    if (value !== 0 || !name.startsWith("temperature_sensor_")) root[name] = value;
  }
  return root;
}
