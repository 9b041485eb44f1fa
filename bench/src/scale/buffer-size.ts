/**
 * scale-buffer-size: one dma-buf of 4 KiB to 1 GiB (sparse: many addresses over a few pages): what mapping it costs,
 * and an I/O at a random place of it.
 *
 * A map is linear in pages: one page table entry each, one entry each in the driver's list, read once and written
 * once. An I/O finds its page by an index into that list and does not depend on the size, but for the IOTLB's and the
 * caches' misses.
 *
 * Addresses of I/O are one space of 2 GiB, of which a strict IOMMU has what lies above memory, in ranges of a power of
 * two: one range of 1 GiB fits. In passthrough an address is an address.
 */
import type { IommuMode } from "@ringside/core/mm/memory-map";
import type { Machine } from "@ringside/workers/machine";
import type { Bench, Comparison } from "../bench.ts";
import { BenchMachine, runFor, sharedRuns } from "../bench-machine.ts";
import { median } from "../measure.ts";
import { curvePoint } from "./curve.ts";

const KIB = 2 ** 10;
const MIB = 2 ** 20;
const SIZES: readonly number[] = [4 * KIB, 64 * KIB, MIB, 16 * MIB, 256 * MIB, 1024 * MIB];
const IO = { op: "read", bs: 4096, depth: 32, buffer: "sparse" } as const;
/** Lists and tables of 1 GiB, twice: the last map may still be on its way out. */
const RAM = 96 * MIB;

export const scaleBufferSize: Bench = {
  name: "scale-buffer-size",
  what: "a dma-buf of 4 KiB to 1 GiB (sparse): mapping it, and I/O at a random place of it",
  reading:
    "A map is linear in pages: a page table entry and an entry of the driver's list each. An I/O finds its page by " +
    "an index into that list; what grows are misses of the IOTLB and of caches.",
  comparisons: ({ quick }) =>
    Promise.resolve(
      quick
        ? curves("strict", SIZES.slice(0, 2))
        : [...curves("strict", SIZES), ...curves("passthrough", SIZES)],
    ),
};

function curves(iommu: IommuMode, sizes: readonly number[]): Comparison[] {
  const map = { series: `map a dma-buf, ${iommu}`, xName: "KiB", unit: "us" };
  const io = { series: `I/O in a dma-buf, ${iommu}`, xName: "KiB", unit: "ns" };
  return sizes.flatMap((bytes) => {
    const machine = new BenchMachine({ cpus: 1, iommu, ram: RAM, vram: MIB });
    const reader = sharedRuns(async (ms: number, booted: Machine) => {
      const args = { ...IO, bufferBytes: bytes, ms: ms / 2, ioMs: ms / 2 };
      return await runFor(booted, 0, "bench-register", args, ms);
    });
    const mapUs = reader(({ mapMs }) => 1000 * median(mapMs as number[]));
    const ioNs = reader(({ ios, seconds }) => (1e9 * Number(seconds)) / Number(ios));
    return [
      curvePoint(map, bytes / KIB, machine.subject("ringside", mapUs)),
      curvePoint(io, bytes / KIB, machine.subject("ringside", ioNs)),
    ];
  });
}
