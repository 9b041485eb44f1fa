/** Laws of kmalloc and kfree. */
import { describe, expect, test } from "vitest";
import { dmesg_read, LOG_INFO } from "../debug/dmesg.ts";
import { FAULT_SLAB, fault_arm } from "../debug/fault-inject.ts";
import type { Cpu } from "../sched/cpu.ts";
import { boot_bare } from "../testing/bare.ts";
import { nr_free_pages } from "./page-alloc.ts";
import { kmem_verify } from "./slab-report.ts";
import * as slab from "./slab.ts";

const { GFP_ATOMIC, GFP_KERNEL, kfree, kmalloc, kzalloc } = slab;

function complaints(cpu: Cpu): string[] {
  return dmesg_read(cpu, 0)
    .filter((record) => record.level > LOG_INFO)
    .map((record) => record.text);
}

const SIZES = [
  1, 8, 31, 32, 33, 64, 65, 96, 100, 128, 129, 192, 200, 256, 500, 1024, 2000, 4096, 4097, 40_000,
];

describe.each([
  ["native", false],
  ["kasan", true],
])("%s memory", (_name, kasan) => {
  test("an object holds its size, poisoned or zeroed as asked, aligned for its size", () => {
    const cpu = boot_bare({ kasan });
    for (const size of SIZES) {
      const p = kmalloc(cpu, size, GFP_KERNEL);
      const z = kzalloc(cpu, size, GFP_ATOMIC);
      expect(slab.ksize(cpu, p)).toBeGreaterThanOrEqual(size);
      expect(p % Math.min(128, size & -size, 4096)).toBe(0);
      expect(p % 8).toBe(0);
      for (let i = 0; i < size; i++) {
        if (cpu.mem.read8(p + i) !== slab.POISON_INUSE || cpu.mem.read8(z + i) !== 0) expect.unreachable();
      }
      kfree(cpu, p);
      kfree(cpu, z);
    }
    expect(complaints(cpu)).toEqual([]);
  });

  test("random allocations never overlap, keep their bytes, and all can be freed", () => {
    const cpu = boot_bare({ kasan, seed: 3 });
    const live: { p: number; size: number; tag: number }[] = [];
    let bytes = 0;
    for (let step = 0; step < 20_000; step++) {
      if (live.length > 0 && (bytes > 400_000 || cpu.random32() % 100 < 45)) {
        const { p, size, tag } = live.splice(cpu.random32() % live.length, 1)[0] as (typeof live)[0];
        // An overlap would have overwritten the tag at one end.
        if (cpu.mem.read8(p) !== tag || cpu.mem.read8(p + size - 1) !== tag) expect.unreachable();
        kfree(cpu, p);
        bytes -= size;
        continue;
      }
      const size = 1 + (cpu.random32() % (cpu.random32() % 8 === 0 ? 6000 : 300));
      const tag = cpu.random32() & 0xff;
      const p = kmalloc(cpu, size, GFP_KERNEL);
      if (p === 0) continue;
      cpu.mem.memset(p, tag, size);
      live.push({ p, size, tag });
      bytes += size;
    }
    expect(slab.kmem_in_use(cpu)).toBe(bytes);
    for (const { p } of live) kfree(cpu, p);
    expect(slab.kmem_in_use(cpu)).toBe(0);
    expect(kmem_verify(cpu)).toBe(0);
    expect(complaints(cpu)).toEqual([]);
  });

  test("a second kfree is reported and does no harm", () => {
    const cpu = boot_bare({ kasan });
    for (const size of [40, 10_000]) {
      const p = kmalloc(cpu, size, GFP_KERNEL);
      kfree(cpu, p);
      const log = complaints(cpu).length;
      kfree(cpu, p);
      expect(complaints(cpu)).toHaveLength(log + 1);
      expect(complaints(cpu)[log]).toMatch(/^BUG: KASAN: double-free in .*slab\.test\.ts:\d+\n/);
    }
    const a = kmalloc(cpu, 40, GFP_KERNEL);
    const b = kmalloc(cpu, 40, GFP_KERNEL);
    expect(a).not.toBe(b);
  });

  test.each<[string, (cpu: Cpu, p: number) => number]>([
    ["inside an object", (_cpu, p) => p + 8],
    ["of static data", () => 8192],
    ["of VRAM", (cpu) => cpu.map.vram],
  ])("a kfree %s is reported and the object lives on", (_where, pointer) => {
    const cpu = boot_bare({ kasan });
    const p = kmalloc(cpu, 40, GFP_KERNEL);
    kfree(cpu, pointer(cpu, p));
    expect(complaints(cpu)).toHaveLength(1);
    expect(complaints(cpu)[0]).toMatch(/^BUG: KASAN: (invalid|double)-free in /);
    expect(slab.kmem_object(cpu, p)?.state).toBe("live");
  });

  test("an object knows who allocated it and who freed it", () => {
    const cpu = boot_bare({ kasan });
    const p = kmalloc(cpu, 40, GFP_KERNEL);
    const live = slab.kmem_object(cpu, p + 39);
    expect(live).toMatchObject({
      address: p,
      size: 40,
      state: "live",
      cache: "kmalloc-64",
      freeSite: "unknown",
    });
    expect(live?.allocSite).toMatch(/core\/mm\/slab\.test\.ts:\d+$/);
    kfree(cpu, p);
    const dead = slab.kmem_object(cpu, p);
    expect(dead?.state).toBe(kasan ? "quarantined" : "free");
    expect(dead?.freeSite).toMatch(/core\/mm\/slab\.test\.ts:\d+$/);
    expect(dead?.freeSite).not.toBe(dead?.allocSite);
  });

  test("memory that runs out comes back", () => {
    const cpu = boot_bare({ kasan });
    const free = nr_free_pages(cpu);
    for (let round = 0; round < 3; round++) {
      const live: number[] = [];
      for (let p = kmalloc(cpu, 1000, GFP_KERNEL); p !== 0; p = kmalloc(cpu, 1000, GFP_KERNEL)) live.push(p);
      expect(live.length).toBeGreaterThan(3000);
      for (const p of live) kfree(cpu, p);
      // One empty slab stays, and with KASAN the quarantine's slabs.
      expect(nr_free_pages(cpu)).toBeGreaterThan(free - (kasan ? 120 : 12));
    }
    expect(complaints(cpu)).toEqual([]);
  });
});

test("the object freed last is reused first", () => {
  const cpu = boot_bare();
  const a = kmalloc(cpu, 64, GFP_KERNEL);
  const b = kmalloc(cpu, 64, GFP_KERNEL);
  kfree(cpu, a);
  kfree(cpu, b);
  expect([kmalloc(cpu, 64, GFP_KERNEL), kmalloc(cpu, 64, GFP_KERNEL)]).toEqual([b, a]);
});

test("with KASAN a freed object is not reused while the quarantine has room", () => {
  const cpu = boot_bare({ kasan: true });
  const p = kmalloc(cpu, 64, GFP_KERNEL);
  kfree(cpu, p);
  let reused = 0;
  for (let i = 1; i <= 1000 && reused === 0; i++) {
    const q = kmalloc(cpu, 64, GFP_KERNEL);
    if (q === p) reused = i;
    kfree(cpu, q);
  }
  expect(reused).toBeGreaterThan(200);
});

test("freed memory reads as poison", () => {
  const cpu = boot_bare();
  const p = kmalloc(cpu, 100, GFP_KERNEL);
  kfree(cpu, p);
  expect(cpu.mem.read(p)).toBe(0x6b6b6b6b);
});

test("a write to a freed object is reported when it is handed out", () => {
  const cpu = boot_bare();
  const p = kmalloc(cpu, 40, GFP_KERNEL);
  kfree(cpu, p);
  cpu.mem.write(p + 20, 0);
  expect(kmalloc(cpu, 40, GFP_KERNEL)).toBe(p);
  expect(complaints(cpu)).toHaveLength(1);
  expect(complaints(cpu)[0]).toMatch(/^BUG: slab use-after-free write detected: Poison overwritten\n/);
  expect(complaints(cpu)[0]).toMatch(/Allocated by: .*slab\.test\.ts:\d+\nFreed by: .*slab\.test\.ts:\d+$/);
});

test("a write to a freed object that is not reused is found by kmem_verify", () => {
  const cpu = boot_bare();
  const p = kmalloc(cpu, 600, GFP_KERNEL);
  kfree(cpu, p);
  expect(kmem_verify(cpu)).toBe(0);
  cpu.mem.write8(p + 511, 0x6a);
  expect(kmem_verify(cpu)).toBe(1);
  expect(complaints(cpu)).toHaveLength(1);
});

test("each life of an object has its own generation, even when its slab is made anew", () => {
  const cpu = boot_bare({ ram: 1 << 20 });
  const seen = new Map<number, Set<number>>();
  for (let round = 0; round < 5; round++) {
    const live: number[] = [];
    for (let p = kmalloc(cpu, 2048, GFP_KERNEL); p !== 0; p = kmalloc(cpu, 2048, GFP_KERNEL)) live.push(p);
    for (const p of live) {
      const generations = seen.get(p) ?? new Set<number>();
      expect(generations.has(slab.kmem_generation(cpu, p))).toBe(false);
      seen.set(p, generations.add(slab.kmem_generation(cpu, p)));
    }
    for (const p of live) kfree(cpu, p);
  }
});

test("null and the empty object may be freed", () => {
  const cpu = boot_bare();
  kfree(cpu, 0);
  expect(kmalloc(cpu, 0, GFP_KERNEL)).toBe(slab.ZERO_SIZE_PTR);
  kfree(cpu, slab.ZERO_SIZE_PTR);
  expect(complaints(cpu)).toEqual([]);
});

test("FAULT_SLAB makes kmalloc and kzalloc fail", () => {
  const cpu = boot_bare();
  fault_arm(cpu, FAULT_SLAB, { times: 2 });
  expect(kmalloc(cpu, 64, GFP_KERNEL)).toBe(0);
  expect(kzalloc(cpu, 10_000, GFP_KERNEL)).toBe(0);
  expect(kzalloc(cpu, 64, GFP_KERNEL)).not.toBe(0);
});

test("GFP_KERNEL in atomic context warns, GFP_ATOMIC does not", () => {
  const cpu = boot_bare();
  cpu.preempt_count++;
  kfree(cpu, kmalloc(cpu, 64, GFP_ATOMIC));
  expect(complaints(cpu)).toEqual([]);
  kfree(cpu, kmalloc(cpu, 64, GFP_KERNEL));
  cpu.preempt_count--;
  expect(complaints(cpu)).toHaveLength(1);
  expect(complaints(cpu)[0]).toContain("BUG: sleeping function called from invalid context");
  expect(complaints(cpu)[0]).toContain("slab.test.ts");
});

describe("leaks", () => {
  test("what was allocated since the mark and is still there, by site, most bytes first", () => {
    const cpu = boot_bare();
    const boot = kmalloc(cpu, 999, GFP_KERNEL);
    slab.kmem_mark(cpu);
    const freed = [0, 1, 2].map(() => kmalloc(cpu, 50, GFP_KERNEL));
    for (const p of freed) kfree(cpu, p);
    for (let i = 0; i < 3; i++) kmalloc(cpu, 40, GFP_KERNEL);
    kmalloc(cpu, 9000, GFP_KERNEL);
    const leaks = slab.kmem_leaks(cpu);
    expect(leaks).toMatchObject([
      { objects: 1, bytes: 9000 },
      { objects: 3, bytes: 120 },
    ]);
    for (const leak of leaks) expect(leak.site).toMatch(/core\/mm\/slab\.test\.ts:\d+$/);
    expect(slab.kmem_in_use(cpu)).toBe(999 + 9000 + 120);
    kfree(cpu, boot);
  });

  test("nothing, when all was freed", () => {
    const cpu = boot_bare();
    slab.kmem_mark(cpu);
    const live = SIZES.map((size) => kmalloc(cpu, size, GFP_KERNEL));
    expect(slab.kmem_leaks(cpu).length).toBeGreaterThan(0);
    for (const p of live) kfree(cpu, p);
    expect(slab.kmem_leaks(cpu)).toEqual([]);
  });
});
