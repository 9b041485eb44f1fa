/** The tables of the specification are sound: in order, without overlap, of the size they should be. */
import { describe, expect, it } from "vitest";
import { layout_faults, struct_layouts } from "@ringside/core/debug/layout";
import {
  NVME_BAR0_SIZE,
  nvme_cq_doorbell,
  NVME_BAR0,
  NVME_MAX_QUEUES,
  NVME_MSIX_ENTRY_SIZE,
  NVME_MSIX_PBA,
  NVME_MSIX_TABLE,
  NVME_MSIX_VECTORS,
  nvme_sq_doorbell,
} from "./bar.ts";
import { NVME_CQE_SIZE, NVME_SQE_SIZE } from "./entries.ts";
import {
  NVME_ID_CTRL_FIELDS,
  NVME_ID_CTRL_PSD,
  NVME_ID_NS_FIELDS,
  NVME_ID_NS_LBAF,
  NVME_PSD_FIELDS,
  NVME_PSD_SIZE,
} from "./identify.ts";
import { type SpecField, spec_field } from "./layout.ts";
import {
  NVME_ERROR_LOG_ENTRY_SIZE,
  NVME_ERROR_LOG_FIELDS,
  NVME_FW_SLOT_FIELDS,
  NVME_FW_SLOT_LOG_SIZE,
  NVME_SMART_FIELDS,
  NVME_SMART_LOG_SIZE,
} from "./logs.ts";
import { NVME_REG_DBS, NVME_REGISTERS } from "./registers.ts";

const TABLES: readonly [string, readonly SpecField[], number][] = [
  ["identify controller", NVME_ID_CTRL_FIELDS, NVME_ID_CTRL_PSD],
  ["power state", NVME_PSD_FIELDS, NVME_PSD_SIZE],
  ["identify namespace", NVME_ID_NS_FIELDS, NVME_ID_NS_LBAF],
  ["error log entry", NVME_ERROR_LOG_FIELDS, NVME_ERROR_LOG_ENTRY_SIZE],
  ["SMART", NVME_SMART_FIELDS, NVME_SMART_LOG_SIZE],
  ["firmware slot", NVME_FW_SLOT_FIELDS, NVME_FW_SLOT_LOG_SIZE],
];

describe("spec tables", () => {
  it.each(TABLES)("%s: fields ascend, do not overlap, and fit", (_name, table, size) => {
    let end = 0;
    for (const [name, offset, bytes] of table) {
      expect(offset, name).toBeGreaterThanOrEqual(end);
      end = offset + bytes;
    }
    expect(end).toBeLessThanOrEqual(size);
    expect(new Set(table.map(([name]) => name)).size).toBe(table.length);
  });

  it("queue entries have no gaps", () => {
    for (const [name, size] of [
      ["nvme_command", NVME_SQE_SIZE],
      ["nvme_completion", NVME_CQE_SIZE],
    ] as const) {
      const layout = struct_layouts().find((l) => l.name === name);
      expect(layout && layout_faults(layout)).toEqual([]);
      expect(layout?.fields.reduce((sum, [, , bytes]) => sum + bytes, 0)).toBe(size);
    }
  });

  it("well-known offsets are where the specification has them", () => {
    expect(spec_field(NVME_ID_CTRL_FIELDS, "nn")[1]).toBe(516);
    expect(spec_field(NVME_ID_CTRL_FIELDS, "subnqn")[1]).toBe(768);
    expect(spec_field(NVME_ID_NS_FIELDS, "nguid")[1]).toBe(104);
    expect(spec_field(NVME_SMART_FIELDS, "host_write_commands")[1]).toBe(80);
    expect(() => spec_field(NVME_SMART_FIELDS, "nonsense")).toThrow("no field nonsense");
  });
});

describe("BAR0", () => {
  it("registers, MSI-X table, pending bits and doorbells do not overlap", () => {
    const ends = NVME_REGISTERS.filter((r) => r.offset < NVME_MSIX_TABLE).map((r) => r.offset + r.bytes);
    expect(Math.max(...ends)).toBeLessThanOrEqual(NVME_MSIX_TABLE);
    expect(NVME_MSIX_TABLE + NVME_MSIX_VECTORS * NVME_MSIX_ENTRY_SIZE).toBeLessThanOrEqual(NVME_MSIX_PBA);
    expect(NVME_MSIX_PBA + 12).toBeLessThanOrEqual(0xe00);
    expect(nvme_sq_doorbell(0)).toBe(NVME_BAR0 + NVME_REG_DBS);
    expect(nvme_cq_doorbell(NVME_MAX_QUEUES - 1) + 4).toBeLessThanOrEqual(NVME_BAR0 + NVME_BAR0_SIZE);
  });

  it("no two doorbells are closer than 128 bytes", () => {
    expect(nvme_cq_doorbell(0) - nvme_sq_doorbell(0)).toBe(128);
    expect(nvme_sq_doorbell(1) - nvme_cq_doorbell(0)).toBe(128);
  });
});
