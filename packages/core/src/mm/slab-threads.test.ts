/** The allocators on real threads over one memory. */
import { expect, test } from "vitest";
import { bare_parts, boot_bare } from "../testing/bare.ts";
import { dmesg_read, LOG_INFO } from "../debug/dmesg.ts";
import { FAULT_SLAB, fault_arm, fault_hits } from "../debug/fault-inject.ts";
import { run_mm_roles } from "../testing/mm-threads.ts";
import { kmem_verify } from "./slab-report.ts";
import { GFP_KERNEL, kfree, kmalloc, kmem_in_use, kmem_mark, kmem_leaks, kzalloc } from "./slab.ts";

const WORDS = 64;

test.each([
  ["native", false, 15_000],
  ["kasan", true, 5000],
])("no two live objects overlap while three threads allocate and free (%s)", async (_name, kasan, steps) => {
  const parts = bare_parts({ kasan, cpus: 4, ram: 8 << 20 });
  const cpu = boot_bare({}, parts);
  const shared = kzalloc(cpu, WORDS * 4, GFP_KERNEL);
  kmem_mark(cpu);
  const roles = [1, 2, 3].map((id) => ({ parts, id, role: "hammer" as const, steps, shared, words: WORDS }));
  expect(await run_mm_roles(roles)).toEqual([0, 0, 0]);
  for (let i = 0; i < WORDS; i++) kfree(cpu, cpu.mem.read(shared + 4 * i));
  expect(kmem_leaks(cpu)).toEqual([]);
  expect(kmem_in_use(cpu)).toBe(WORDS * 4);
  expect(kmem_verify(cpu)).toBe(0);
  expect(dmesg_read(cpu, 0)).toEqual([]);
});

test("of two threads that free the same object one frees it and the other is reported", async () => {
  const parts = bare_parts({ cpus: 3 });
  const cpu = boot_bare({}, parts);
  const words = 300;
  const shared = kzalloc(cpu, words * 4, GFP_KERNEL);
  for (let i = 1; i < words; i++) cpu.mem.write(shared + 4 * i, kmalloc(cpu, 8 + 2 * i, GFP_KERNEL));
  await run_mm_roles([1, 2].map((id) => ({ parts, id, role: "free_all" as const, steps: 0, shared, words })));
  const bugs = dmesg_read(cpu, 0).filter((record) => record.level > LOG_INFO);
  expect(bugs).toHaveLength(words - 1);
  for (const bug of bugs) expect(bug.text).toContain("BUG: KASAN: double-free in free_all");
  expect(kmem_in_use(cpu)).toBe(words * 4);
  expect(kmem_verify(cpu)).toBe(0);
});

test("an armed fault strikes exactly as often as armed, whoever comes", async () => {
  const parts = bare_parts({ cpus: 4 });
  const cpu = boot_bare({}, parts);
  fault_arm(cpu, FAULT_SLAB, { after: 1000, times: 500 });
  const roles = [1, 2, 3].map((id) => ({
    parts,
    id,
    role: "fail_slab" as const,
    steps: 2000,
    shared: 0,
    words: 0,
  }));
  const failures = await run_mm_roles(roles);
  expect(failures.reduce((a, b) => a + b)).toBe(500);
  expect(fault_hits(cpu, FAULT_SLAB)).toBe(500);
});
