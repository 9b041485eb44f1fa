/**
 * `nvme id-ctrl`: Identify Controller data (4096 bytes) as nvme-cli 2.8 prints it, text and JSON.
 */
import { NVME_ID_CTRL_FIELDS, NVME_ID_CTRL_PSD, NVME_PSD_FIELDS, NVME_PSD_SIZE } from "../spec/identify.ts";
import { type Bytes, decimal_at, field_number, hex, number_at, text_at, uuid_at } from "./decode.ts";

/** Fields printed in hexadecimal; all other numbers are decimal. */
const HEXADECIMAL: ReadonlySet<string> = new Set(
  "vid ssvid cmic cntlid ver rtd3r rtd3e oaes ctratt rrls oacs frmw lpa avscc apsta rpmbs hctma sanicap"
    .split(" ")
    .concat("sqes cqes oncs fuses fna vwc ocfs sgls fcatt".split(" ")),
);

const NAME_WIDTH = 9;

export function id_ctrl_text(data: Bytes): string {
  const lines = ["NVME Identify Controller:"];
  for (const [name, offset, bytes, kind] of NVME_ID_CTRL_FIELDS) {
    let value: string;
    if (kind === "ascii") value = text_at(data, offset, bytes);
    else if (name === "fguid") value = uuid_at(data, offset);
    else if (name === "ieee") value = number_at(data, offset, bytes).toString(16).padStart(6, "0");
    else if (HEXADECIMAL.has(name)) value = hex(number_at(data, offset, bytes));
    else value = decimal_at(data, offset, bytes);
    lines.push(`${name.padEnd(NAME_WIDTH)} : ${value}`);
  }
  for (let i = 0; i <= power_states(data); i++) lines.push(...power_state_lines(data, i));
  return `${lines.join("\n")}\n`;
}

export function id_ctrl_json(data: Bytes): Record<string, unknown> {
  const root: Record<string, unknown> = {};
  for (const [name, offset, bytes, kind] of NVME_ID_CTRL_FIELDS) {
    if (kind === "ascii") root[name] = text_at(data, offset, bytes);
    else if (name === "fguid") root[name] = uuid_at(data, offset);
    else root[name] = number_at(data, offset, bytes);
  }
  root["psds"] = Array.from({ length: power_states(data) + 1 }, (_, i) => {
    const base = NVME_ID_CTRL_PSD + i * NVME_PSD_SIZE;
    return Object.fromEntries(
      NVME_PSD_FIELDS.map(([name, at, bytes]) => [name, number_at(data, base + at, bytes)]),
    );
  });
  return root;
}

/** NPSS, zero-based. */
function power_states(data: Bytes): number {
  return field_number(data, NVME_ID_CTRL_FIELDS, "npss");
}

/** Power in units of 0.01 W or, `fine`, of 0.0001 W. */
function watts(value: number, fine: boolean): string {
  const unit = fine ? 10000 : 100;
  return `${Math.floor(value / unit)}.${String(value % unit).padStart(fine ? 4 : 2, "0")}W`;
}

/** Power with the two-bit scale of idle and active power. */
function scaled_watts(value: number, scale: number): string {
  if (scale === 0) return "-";
  return scale === 3 ? "reserved" : watts(value, scale === 1);
}

function power_state_lines(data: Bytes, index: number): string[] {
  const base = NVME_ID_CTRL_PSD + index * NVME_PSD_SIZE;
  const get = (name: string): number => field_number(data, NVME_PSD_FIELDS, name, base);
  const flags = get("flags");
  const power = watts(get("max_power"), (flags & 1) !== 0);
  const kind = (flags & 2) !== 0 ? "non-operational" : "operational";
  const workload = get("active_work_scale") & 7;
  const idle = scaled_watts(get("idle_power"), get("idle_scale") >> 6);
  const active = scaled_watts(get("active_power"), get("active_work_scale") >> 6);
  return [
    `ps   ${String(index).padStart(4)} : mp:${power} ${kind} enlat:${get("entry_lat")} exlat:${get("exit_lat")} ` +
      `rrt:${get("read_tput")} rrl:${get("read_lat")}`,
    `            rwt:${get("write_tput")} rwl:${get("write_lat")} idle_power:${idle} active_power:${active}`,
    `            active_power_workload:${workload === 0 ? "-" : workload}`,
  ];
}

/** Serial number, model and firmware revision without padding, and the name of the subsystem. */
export function id_ctrl_names(data: Bytes): {
  serial: string;
  model: string;
  firmware: string;
  subnqn: string;
} {
  return {
    serial: text_at(data, 4, 20).trim(),
    model: text_at(data, 24, 40).trim(),
    firmware: text_at(data, 64, 8).trim(),
    subnqn: text_at(data, 768, 256),
  };
}
