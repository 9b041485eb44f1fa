// First: the root of the kernel image.
import "@ringside/workers/machine";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { Bench } from "../bench.ts";
import { measureBenches, type Result } from "../measure.ts";
import { jainIndex } from "./fairness.ts";
import { iommu } from "./iommu.ts";
import { uringBest } from "./native-io.ts";
import { nop } from "./nop.ts";
import { percentile } from "./percentile.ts";

async function quick(bench: Bench): Promise<Result> {
  const [result] = await measureBenches([bench], { quick: true, ms: 20, runs: 1 });
  if (result === undefined) throw new Error(`${bench.name} measured nothing`);
  return result;
}

it("nop: a figure of ours, and the peer's or why there is none", async () => {
  const { ours, peers, missing } = await quick(nop);
  expect(ours).toBeGreaterThan(0);
  const names = [...peers, ...missing].map(({ name }) => name);
  expect(names.sort()).toEqual(["io_uring, best settings", "io_uring, same calls"]);
  // Both or none: a machine has io_uring or has not.
  expect(new Set(missing.map((side) => side.missing)).size).toBe(missing.length > 0 ? 1 : 0);
  expect(missing.length % 2).toBe(0);
});

it("iommu: pages mapped per I/O are mapped and flushed once each, a dma-buf is not", async () => {
  const { ours, peers, notes } = await quick(iommu);
  expect([ours, ...peers.map(({ value }) => value)].every((figure) => figure > 0)).toBe(true);
  expect(notes["beforePagesMapped"]).toBeCloseTo(1, 1);
  expect(notes["beforeIotlbFlushes"]).toBeGreaterThan(0.5);
  expect(notes["afterPagesMapped"]).toBeLessThan(0.1);
  expect(notes["afterIotlbFlushes"]).toBeLessThan(0.1);
});

it("without liburing the peer is missing by name, and says what to install", async () => {
  const home = await mkdtemp(join(tmpdir(), "ringside-cc-"));
  const compiler = join(home, "cc");
  await writeFile(
    compiler,
    "#!/bin/sh\necho 'uring.c:13:10: fatal error: liburing.h: No such file' >&2\nexit 1\n",
  );
  await chmod(compiler, 0o755);
  const usual = process.env["CC"];
  process.env["CC"] = compiler;
  try {
    const peer = await uringBest("io_uring", { op: "nop", depth: 1, batch: 1 });
    expect(peer).toEqual({ name: "io_uring", missing: "liburing-dev is not installed" });
  } finally {
    if (usual === undefined) delete process.env["CC"];
    else process.env["CC"] = usual;
    await rm(home, { recursive: true });
  }
});

it("Jain's index is 1 for equal shares and 1/n when one has all", () => {
  expect(jainIndex([5, 5, 5])).toBeCloseTo(1);
  expect(jainIndex([7, 0])).toBeCloseTo(0.5);
  expect(jainIndex([3, 1])).toBeCloseTo(0.8);
});

it("a percentile is a value of the sample: the nearest rank", () => {
  const values = [50, 10, 40, 20, 30];
  expect([0, 0.2, 0.5, 0.99, 1].map((share) => percentile(values, share))).toEqual([10, 10, 30, 50, 50]);
  expect(percentile([], 0.5)).toBeNaN();
});
