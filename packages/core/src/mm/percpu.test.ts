/** Laws of dynamic per-CPU data. */
import { expect, test } from "vitest";
import { dmesg_read } from "../debug/dmesg.ts";
import { FAULT_SLAB, fault_arm } from "../debug/fault-inject.ts";
import { nr_cpu_ids } from "../sched/cpu.ts";
import { boot_bare } from "../testing/bare.ts";
import { alloc_percpu, free_percpu, PERCPU_LINE } from "./percpu.ts";
import { GFP_KERNEL, kmem_leaks, kmem_mark } from "./slab.ts";

test.each([
  [1, 2, false],
  [1, 2, true],
  [4, 16, false],
  [64, 64, true],
])("every CPU of %i + %i has a zeroed line of its own (kasan: %s)", (cpus, kthreads, kasan) => {
  const cpu = boot_bare({ cpus, kthreads, kasan });
  kmem_mark(cpu);
  const bases = [4, 64, 128].map((bytes) => alloc_percpu(cpu, bytes, GFP_KERNEL));
  for (const base of bases) {
    expect(base % PERCPU_LINE).toBe(0);
    for (let id = 0; id < nr_cpu_ids(cpu); id++) {
      for (let at = 0; at < PERCPU_LINE; at += 4) expect(cpu.mem.read(base + id * PERCPU_LINE + at)).toBe(0);
      cpu.mem.memset(base + id * PERCPU_LINE, id + 1, PERCPU_LINE);
    }
  }
  for (const base of bases) {
    for (let id = 0; id < nr_cpu_ids(cpu); id++)
      expect(cpu.mem.read8(base + id * PERCPU_LINE + 127)).toBe(id + 1);
    free_percpu(cpu, base);
  }
  expect(kmem_leaks(cpu)).toEqual([]);
  expect(dmesg_read(cpu, 0)).toEqual([]);
});

test("without memory the answer is 0", () => {
  const cpu = boot_bare();
  fault_arm(cpu, FAULT_SLAB, {});
  expect(alloc_percpu(cpu, 4, GFP_KERNEL)).toBe(0);
});

test("more than a line is refused with a warning", () => {
  const cpu = boot_bare();
  expect(alloc_percpu(cpu, 129, GFP_KERNEL)).toBe(0);
  expect(dmesg_read(cpu, 0)).toHaveLength(1);
});
