import { Worker } from "node:worker_threads";
import { DEFAULT_CONFIG, type KernelConfig, memory_map, SITE_RECORDS } from "@ringside/core/mm/memory-map";
import { expect, it } from "vitest";
import type { BootAnswer, BootJob } from "../testing/boot-worker.ts";

const MIB = 1 << 20;

const PLAIN: KernelConfig = {
  ...DEFAULT_CONFIG,
  cpus: 1,
  kthreads: 2,
  ram: 2 * MIB,
  vram: MIB >> 4,
  media: MIB >> 4,
  kasan: true,
};
const LOCKDEP: KernelConfig = { ...PLAIN, lockdep: true };

/** Boots a solo kernel in a thread of its own. */
async function boot(job: BootJob): Promise<BootAnswer> {
  const url = new URL("../testing/boot-worker.ts", import.meta.url);
  const worker = new Worker(url, { workerData: job });
  return new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
}

interface Difference {
  readonly part: "memory" | "shadow";
  /** Address of a word. */
  readonly at: number;
  readonly values: readonly [number, number];
}

function differences(a: BootAnswer, b: BootAnswer): Difference[] {
  const found: Difference[] = [];
  for (const part of ["memory", "shadow"] as const) {
    const x = new Int32Array(a[part]);
    const y = new Int32Array(b[part]);
    expect(x.length).toBe(y.length);
    for (let i = 0; i < x.length; i++)
      if (x[i] !== y[i]) found.push({ part, at: 4 * i, values: [x[i] as number, y[i] as number] });
  }
  return found;
}

it("as coroutines the kernel leaves every byte of memory and shadow, and the image, as it natively does", async () => {
  const native = await boot({ mode: "native", config: PLAIN });
  expect(new Int32Array(native.memory).filter((word) => word !== 0).length).toBeGreaterThan(10_000);
  expect(new Int32Array(native.shadow).filter((word) => word !== 0).length).toBeGreaterThan(1000);
  for (const mode of ["sync", "all"] as const) {
    const controlled = await boot({ mode, config: PLAIN });
    expect(controlled.coroutines).toBeGreaterThan(500);
    expect(controlled.image).toBe(native.image);
    expect(differences(native, controlled), mode).toEqual([]);
  }
});

it("control: one constant that differs in the sources is noticed, in memory or in the image", async () => {
  const native = await boot({ mode: "native", config: PLAIN });
  const poison = {
    file: "packages/core/src/dma/exporters/vram-pages.ts",
    find: "VRAM_POISON = 0xdf",
    replace: "VRAM_POISON = 0xde",
  };
  const other = await boot({ mode: "sync", config: PLAIN, edit: poison });
  expect(other.image).toBe(native.image);
  expect(differences(native, other)).not.toEqual([]);
  const symbol = {
    file: "packages/core/src/dma/exporters/vram-pages.ts",
    find: "export const VRAM_POISON",
    replace: 'kernel_static("one too many", 4); export const VRAM_POISON',
  };
  const more = await boot({ mode: "sync", config: PLAIN, edit: symbol });
  expect(more.image).not.toBe(native.image);
});

it("with lockdep, too, but for sites of locks that it does not find among the frames of coroutines", async () => {
  const native = await boot({ mode: "native", config: LOCKDEP });
  const controlled = await boot({ mode: "sync", config: LOCKDEP });
  const map = memory_map(LOCKDEP);
  for (const { part, at, values } of differences(native, controlled)) {
    expect(part).toBe("memory");
    expect(at).toBeGreaterThanOrEqual(map.lockdep);
    expect(at).toBeLessThan(map.lockdep_end);
    // "unknown", where there was a name.
    expect(values[1]).toBe(0);
    expect(values[0]).toBeGreaterThan(0);
    expect(values[0]).toBeLessThan(SITE_RECORDS);
  }
});
