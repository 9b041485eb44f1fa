/**
 * End-to-end IOPS: one CPU and the controller, depth 64, random reads through a dma-buf buffer.
 *
 *   node bench/e2e.ts [--ms 2000] [--runs 5]
 *
 * Prints the median and the spread of the runs.
 */
import { parseArgs } from "node:util";
import { Machine } from "@ringside/workers/machine";

const { values } = parseArgs({
  options: {
    ms: { type: "string", default: "2000" },
    runs: { type: "string", default: "5" },
  },
});
const ms = Number(values.ms);
const runs = Number(values.runs);

interface Case {
  readonly name: string;
  readonly op: string;
  readonly bs: number;
  readonly depth: number;
  readonly buffer: string;
  readonly iommu: "strict" | "lazy" | "passthrough";
  readonly completion: "irq" | "poll";
}

const base = {
  op: "read",
  bs: 512,
  depth: 64,
  buffer: "dmabuf",
  iommu: "strict",
  completion: "irq",
} as const;
const CASES: readonly Case[] = [
  { ...base, name: "NOP, depth 32", op: "nop", depth: 32 },
  { ...base, name: "512 B read, depth 64, interrupts" },
  { ...base, name: "4 KiB read, depth 64, interrupts", bs: 4096 },
  {
    ...base,
    name: "4 KiB read, registered, strict, polled",
    bs: 4096,
    buffer: "registered",
    completion: "poll",
  },
  { ...base, name: "4 KiB read, registered buffer, strict", bs: 4096, buffer: "registered" },
  { ...base, name: "4 KiB read, registered buffer, lazy", bs: 4096, buffer: "registered", iommu: "lazy" },
  {
    ...base,
    name: "4 KiB read, registered, passthrough",
    bs: 4096,
    buffer: "registered",
    iommu: "passthrough",
  },
];

async function once(c: Case): Promise<number> {
  const { iommu, completion, name: _, ...args } = c;
  const machine = await Machine.boot({ cpus: 1, iommu, completion });
  try {
    const result = await machine.run(0, "bench-io", { ...args, ms, warmupMs: 500 }, 10 * ms + 10_000);
    return Number(result["ios"]) / Number(result["seconds"]);
  } finally {
    await machine.shutdown();
  }
}

function format(iops: number): string {
  return iops >= 1e6 ? `${(iops / 1e6).toFixed(2)} M` : `${(iops / 1e3).toFixed(0)} K`;
}

for (const c of CASES) {
  const found: number[] = [];
  for (let i = 0; i < runs; i++) found.push(await once(c));
  found.sort((a, b) => a - b);
  const median = found[found.length >> 1] as number;
  console.log(`${c.name.padEnd(40)} ${format(median).padStart(8)} IOPS   (${found.map(format).join(", ")})`);
}
