/**
 * iommu: the series' own table. 4 KiB random reads at depth 64 through registered pages, which each I/O maps for the
 * device and unmaps, and through a dma-buf, mapped once; under the three modes of the IOMMU. Nothing is made slow on
 * purpose: strict pays for page table writes, I/O addresses and a flush that the device acknowledges, per I/O; lazy
 * for the same without waiting for each flush.
 *
 * The series' own figures (cover letter) stand beside ours; the notes are what explains ours, per I/O.
 */
import type { IommuMode } from "@ringside/core/mm/memory-map";
import type { Bench, Comparison, Target } from "../bench.ts";
import { figureText } from "../figures.ts";
import { BenchMachine } from "../bench-machine.ts";
import { runIo } from "./io-run.ts";

const BEFORE = "registered pages, mapped per I/O";
const IO = { op: "read", bs: 4096, depth: 64 } as const;

interface Mode {
  readonly iommu: IommuMode;
  /** IOPS that the series reports. */
  readonly seriesBefore: number;
  readonly seriesAfter: number;
  readonly target: Omit<Target, "of">;
}

const MODES: readonly Mode[] = [
  { iommu: "strict", seriesBefore: 570e3, seriesAfter: 5.01e6, target: { atLeast: 3 } },
  { iommu: "lazy", seriesBefore: 1.93e6, seriesAfter: 5.01e6, target: { atLeast: 1.3 } },
  { iommu: "passthrough", seriesBefore: 5.01e6, seriesAfter: 5.01e6, target: { atLeast: 0.9, atMost: 1.1 } },
];

export const iommu: Bench = {
  name: "iommu",
  what: "dma-buf mapped once beside pages mapped per I/O, under a strict, lazy and passthrough IOMMU",
  comparisons: ({ quick }) => Promise.resolve((quick ? MODES.slice(0, 1) : MODES).map(compare)),
};

function compare({ iommu: mode, seriesBefore, seriesAfter, target }: Mode): Comparison {
  const machine = new BenchMachine({ cpus: 1, iommu: mode, ram: 32 << 20, vram: 1 << 20 });
  const found: Record<string, number> = {};
  const side = (name: string, buffer: "dmabuf" | "registered", prefix: string) =>
    machine.subject(name, async (ms, booted) => {
      const { iops, notes } = await runIo(booted, 0, { ...IO, buffer }, ms);
      found[`${prefix}IotlbFlushes`] = notes["iotlbFlushes"] as number;
      found[`${prefix}PagesMapped`] = notes["pagesMapped"] as number;
      found[`${prefix}Notifies`] = notes["notifies"] as number;
      return iops;
    });
  return {
    name: `IOMMU ${mode}: random read 4 KiB, depth 64`,
    unit: "IOPS",
    better: "higher",
    ours: side("dma-buf, mapped once", "dmabuf", "after"),
    peers: [side(BEFORE, "registered", "before")],
    targets: [{ of: BEFORE, ...target }],
    published: {
      name: `the series, Optane drive: ${figureText(seriesBefore, "IOPS")} to ${figureText(seriesAfter, "IOPS")}`,
      ratio: seriesAfter / seriesBefore,
    },
    notes: () => found,
  };
}
