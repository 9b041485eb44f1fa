/**
 * `nvme id-ns`: Identify Namespace data (4096 bytes) as nvme-cli 2.8 prints it, text and JSON.
 */
import {
  NVME_FLBAS_INDEX_MASK,
  NVME_ID_NS_FIELDS,
  NVME_ID_NS_LBAF,
  NVME_LBAF_FIELDS,
  NVME_LBAF_SIZE,
} from "../spec/identify.ts";
import { type Bytes, decimal_at, field_number, hex, hex_at, number_at } from "./decode.ts";

const HEXADECIMAL: ReadonlySet<string> = new Set(
  "nsze ncap nuse nsfeat flbas mc dpc dps nmic rescap fpi".split(" "),
);
/** Optimal I/O sizes: reported only if NSFEAT bit 4 says they are. */
const OPTPERF: ReadonlySet<string> = new Set("npwg npwa npdg npda nows".split(" "));
const NAME_WIDTH = 8;

function shown(data: Bytes, name: string): boolean {
  return !OPTPERF.has(name) || (field_number(data, NVME_ID_NS_FIELDS, "nsfeat") & 0x10) !== 0;
}

export function id_ns_text(data: Bytes, nsid: number): string {
  const lines = [`NVME Identify Namespace ${nsid}:`];
  for (const [name, offset, bytes, kind] of NVME_ID_NS_FIELDS) {
    if (!shown(data, name)) continue;
    let value = decimal_at(data, offset, bytes);
    if (kind === "bytes") value = hex_at(data, offset, bytes);
    else if (HEXADECIMAL.has(name)) value = hex(number_at(data, offset, bytes));
    // One label of the original is set with a tab.
    lines.push(name === "nsattr" ? `${name}\t: ${value}` : `${name.padEnd(NAME_WIDTH)}: ${value}`);
  }
  const used = field_number(data, NVME_ID_NS_FIELDS, "flbas") & NVME_FLBAS_INDEX_MASK;
  lba_formats(data).forEach((lbaf, i) => {
    const ms = String(lbaf.ms).padEnd(3);
    const ds = String(lbaf.ds).padEnd(2);
    const index = String(i).padStart(2);
    lines.push(`lbaf ${index} : ms:${ms} lbads:${ds} rp:${hex(lbaf.rp)} ${i === used ? "(in use)" : ""}`);
  });
  return `${lines.join("\n")}\n`;
}

export function id_ns_json(data: Bytes): Record<string, unknown> {
  const root: Record<string, unknown> = {};
  for (const [name, offset, bytes, kind] of NVME_ID_NS_FIELDS) {
    if (!shown(data, name)) continue;
    root[name] = kind === "bytes" ? hex_at(data, offset, bytes) : number_at(data, offset, bytes);
  }
  root["lbafs"] = lba_formats(data);
  return root;
}

interface LbaFormat {
  readonly ms: number;
  readonly ds: number;
  readonly rp: number;
}

function lba_formats(data: Bytes): LbaFormat[] {
  const count = field_number(data, NVME_ID_NS_FIELDS, "nlbaf") + 1;
  return Array.from({ length: count }, (_, i) => {
    const base = NVME_ID_NS_LBAF + i * NVME_LBAF_SIZE;
    const get = (name: string): number => field_number(data, NVME_LBAF_FIELDS, name, base);
    return { ms: get("ms"), ds: get("ds"), rp: get("rp") & 3 };
  });
}

/** Block size and metadata bytes of the format in use. */
export function id_ns_format(data: Bytes): { block: number; metadata: number } {
  const used = field_number(data, NVME_ID_NS_FIELDS, "flbas") & NVME_FLBAS_INDEX_MASK;
  const format = lba_formats(data)[used];
  return { block: 2 ** (format?.ds ?? 9), metadata: format?.ms ?? 0 };
}
