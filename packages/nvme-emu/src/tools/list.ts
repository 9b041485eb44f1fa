/**
 * `nvme list`: one row a namespace, as nvme-cli 2.8 prints it, text and JSON.
 */
import { NVME_ID_NS_FIELDS } from "../spec/identify.ts";
import { type Bytes, field_number, hex, si_suffix } from "./decode.ts";
import { id_ctrl_names } from "./id-ctrl.ts";
import { id_ns_format } from "./id-ns.ts";

/** A namespace: where it would be, and what identify said. */
export interface ListedNamespace {
  /** Such as "/dev/nvme0n1". */
  readonly node: string;
  /** Such as "/dev/ng0n1". */
  readonly generic: string;
  readonly nsid: number;
  /** Identify Controller, 4096 bytes. */
  readonly controller: Bytes;
  /** Identify Namespace, 4096 bytes. */
  readonly namespace: Bytes;
}

const WIDTHS = [21, 21, 20, 40, 10, 26, 16, 8];
const TITLES = ["Node", "Generic", "SN", "Model", "Namespace", "Usage", "Format", "FW Rev"];

/** Columns are padded, not cut; titles and rows alike end in blanks, as printf leaves them. */
function row(cells: readonly string[]): string {
  return cells.map((cell, i) => cell.padEnd(WIDTHS[i] ?? 0)).join(" ");
}

interface Sizes {
  readonly used: number;
  readonly size: number;
  readonly blocks: number;
  readonly block: number;
  readonly metadata: number;
}

function sizes(ns: ListedNamespace): Sizes {
  const { block, metadata } = id_ns_format(ns.namespace);
  const blocks = field_number(ns.namespace, NVME_ID_NS_FIELDS, "nsze");
  const used = field_number(ns.namespace, NVME_ID_NS_FIELDS, "nuse") * block;
  return { used, size: blocks * block, blocks, block, metadata };
}

/** "  1.07  GB" */
function amount(bytes: number): string {
  const [value, suffix] = si_suffix(bytes);
  return `${value.toFixed(2).padStart(6)} ${suffix.padStart(2)}B`;
}

/** "512   B +  0 B", "  4 KiB +  0 B" */
function format(block: number, metadata: number): string {
  const [value, suffix] = block >= 1024 ? [block / 1024, "Ki"] : [block, ""];
  return `${value.toFixed(0).padStart(3)} ${suffix.padStart(2)}B + ${String(metadata).padStart(2)} B`;
}

export function list_text(namespaces: readonly ListedNamespace[]): string {
  const lines = [row(TITLES), WIDTHS.map((width) => "-".repeat(width)).join(" ")];
  for (const ns of namespaces) {
    const { serial, model, firmware } = id_ctrl_names(ns.controller);
    const { used, size, block, metadata } = sizes(ns);
    const usage = `${amount(used)} / ${amount(size)}`;
    lines.push(
      row([ns.node, ns.generic, serial, model, hex(ns.nsid), usage, format(block, metadata), firmware]),
    );
  }
  return `${lines.join("\n")}\n`;
}

export function list_json(namespaces: readonly ListedNamespace[]): { Devices: Record<string, unknown>[] } {
  const devices = namespaces.map((ns) => {
    const { serial, model, firmware } = id_ctrl_names(ns.controller);
    const { used, size, blocks, block } = sizes(ns);
    return {
      NameSpace: ns.nsid,
      DevicePath: ns.node,
      GenericPath: ns.generic,
      Firmware: firmware,
      ModelNumber: model,
      SerialNumber: serial,
      UsedBytes: used,
      MaximumLBA: blocks,
      PhysicalSize: size,
      SectorSize: block,
    };
  });
  return { Devices: devices };
}
