/** Laws of the checked memory: what is reported, in which words, and what is not. */
import { describe, expect, test } from "vitest";
import { __get_free_pages, free_pages } from "../mm/page-alloc.ts";
import { GFP_KERNEL, kfree, kmalloc } from "../mm/slab.ts";
import type { Cpu } from "../sched/cpu.ts";
import { bare_parts, boot_bare, join_bare } from "../testing/bare.ts";
import { dmesg_read, LOG_BUG } from "./dmesg.ts";
import { kasan_disable_current, kasan_enable_current, kasan_memory } from "./kasan.ts";

function bugs(cpu: Cpu): string[] {
  return dmesg_read(cpu, 0)
    .filter((record) => record.level === LOG_BUG)
    .map((record) => record.text);
}

describe("an access is reported", () => {
  test.each<[string, string, (cpu: Cpu, p: number) => void, number]>([
    ["to a freed object", "slab-use-after-free", (cpu, p) => (kfree(cpu, p), cpu.mem.write(p + 8, 1)), 8],
    ["one byte past the end", "slab-out-of-bounds", (cpu, p) => void cpu.mem.read8(p + 50), 50],
    ["in the redzone", "slab-out-of-bounds", (cpu, p) => cpu.mem.write(p + 64, 0), 64],
    ["that runs over the end", "slab-out-of-bounds", (cpu, p) => cpu.mem.memset(p, 0, 51), 0],
    ["that copies too much", "slab-out-of-bounds", (cpu, p) => cpu.mem.memcpy(8192, p, 60), 0],
  ])("%s", (_name, type, access, offset) => {
    const cpu = boot_bare({ kasan: true });
    const p = kmalloc(cpu, 50, GFP_KERNEL);
    access(cpu, p);
    expect(bugs(cpu)).toHaveLength(1);
    expect(bugs(cpu)[0]).toMatch(new RegExp(`^BUG: KASAN: ${type} in .*core/debug/kasan\\.test\\.ts:\\d+\n`));
    expect(bugs(cpu)[0]).toMatch(new RegExp(`(Read|Write) of size \\d+ at addr ${p + offset} by cpu 0\n`));
    expect(bugs(cpu)[0]).toMatch(/Allocated by: .*kasan\.test\.ts:\d+\n/);
    expect(bugs(cpu)[0]).toContain(`${offset} bytes from the start of 50 bytes at ${p} (kmalloc-64`);
  });

  test.each<[string, string, (cpu: Cpu) => void]>([
    ["through null", "null-ptr-deref", (cpu) => void cpu.mem.read(0)],
    ["through a field of null", "null-ptr-deref", (cpu) => cpu.mem.storeRelease(96, 0)],
    ["outside memory", "wild-memory-access", (cpu) => void cpu.mem.read(cpu.mem.size)],
    ["through an error pointer", "wild-memory-access", (cpu) => void cpu.mem.read(-12)],
    ["to a page never allocated", "use-after-free", (cpu) => cpu.mem.write(cpu.map.pages_end - 4096, 1)],
    [
      "to a freed page",
      "use-after-free",
      (cpu) => {
        const p = __get_free_pages(cpu, GFP_KERNEL, 1);
        free_pages(cpu, p, 1);
        cpu.mem.write(p + 5000, 1);
      },
    ],
    [
      "past a large object",
      "slab-out-of-bounds",
      (cpu) => void cpu.mem.read(kmalloc(cpu, 5000, GFP_KERNEL) + 5000),
    ],
  ])("%s", (_name, type, access) => {
    const cpu = boot_bare({ kasan: true });
    access(cpu);
    expect(bugs(cpu)).toHaveLength(1);
    expect(bugs(cpu)[0]).toMatch(new RegExp(`^BUG: KASAN: ${type} in `));
  });

  test("once for the same place and object, again for another object", () => {
    const cpu = boot_bare({ kasan: true });
    const objects = [kmalloc(cpu, 40, GFP_KERNEL), kmalloc(cpu, 40, GFP_KERNEL)];
    for (let i = 0; i < 10; i++) for (const p of objects) cpu.mem.read8(p + 40 + (i % 3));
    expect(bugs(cpu)).toHaveLength(2);
  });

  test("on whichever thread's memory it happens, with that thread's number", () => {
    const parts = bare_parts({ kasan: true });
    const cpu = boot_bare({}, parts);
    const other = join_bare(parts, 1);
    const p = kmalloc(cpu, 40, GFP_KERNEL);
    other.mem.read(p);
    expect(bugs(cpu)).toEqual([]);
    kfree(cpu, p);
    other.mem.read(p);
    expect(bugs(cpu)).toHaveLength(1);
    expect(bugs(cpu)[0]).toContain("by cpu 1");
    expect(bugs(cpu)[0]).toMatch(/Freed by: .*kasan\.test\.ts:\d+\n/);
  });
});

describe("nothing is reported", () => {
  test("of accesses inside live objects, static data and the null page's fence", () => {
    const cpu = boot_bare({ kasan: true });
    const p = kmalloc(cpu, 51, GFP_KERNEL);
    cpu.mem.memset(p, 1, 51);
    cpu.mem.read8(p + 50);
    cpu.mem.write(8192, cpu.mem.read(8192));
    cpu.mem.fence();
    expect(bugs(cpu)).toEqual([]);
  });

  test("while the thread has checks off", () => {
    const cpu = boot_bare({ kasan: true });
    kasan_disable_current(cpu);
    cpu.mem.read(0);
    kasan_enable_current(cpu);
    expect(bugs(cpu)).toEqual([]);
    cpu.mem.read(0);
    expect(bugs(cpu)).toHaveLength(1);
  });

  test("without config.kasan", () => {
    const cpu = boot_bare();
    cpu.mem.read(0);
    expect(bugs(cpu)).toEqual([]);
  });
});

test("a bad access before kasan_attach is not lost", () => {
  const parts = bare_parts({ kasan: true });
  boot_bare({}, parts);
  const mem = kasan_memory(parts.wasm, parts.shadow as SharedArrayBuffer);
  expect(() => mem.read(0)).toThrow("KASAN: null-ptr-deref");
});
