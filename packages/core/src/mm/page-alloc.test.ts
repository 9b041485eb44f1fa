/** Laws of the buddy allocator. */
import { expect, test } from "vitest";
import { dmesg_read, LOG_INFO } from "../debug/dmesg.ts";
import { FAULT_PAGES, fault_arm, fault_hits } from "../debug/fault-inject.ts";
import type { Cpu } from "../sched/cpu.ts";
import { boot_bare } from "../testing/bare.ts";
import { __GFP_NOWARN, __GFP_ZERO, get_order, GFP_KERNEL } from "./gfp.ts";
import { PAGE_SIZE } from "./memory-map.ts";
import * as pages from "./page-alloc.ts";
import { nr_ram_pages } from "./page.ts";

const { __get_free_pages, alloc_pages_exact, free_pages, free_pages_exact, nr_free_pages } = pages;

/** Complaints of the kernel, first lines only. */
function complaints(cpu: Cpu): string[] {
  return dmesg_read(cpu, 0)
    .filter((record) => record.level > LOG_INFO)
    .map((record) => record.text);
}

/** Free blocks per order: equal states of the allocator have equal pictures. */
function buddyinfo(cpu: Cpu): number[] {
  return Array.from({ length: pages.MAX_PAGE_ORDER + 1 }, (_, order) => pages.nr_free_blocks(cpu, order));
}

test("after boot every page is free, in as few blocks as possible", () => {
  const cpu = boot_bare({ ram: 1027 * PAGE_SIZE });
  expect(nr_free_pages(cpu)).toBe(1027);
  const expected = buddyinfo(cpu).fill(0);
  expected[10] = 1;
  expected[1] = 1;
  expected[0] = 1;
  expect(buddyinfo(cpu)).toEqual(expected);
});

test.each([
  [1, 0],
  [4096, 0],
  [4097, 1],
  [8192, 1],
  [8193, 2],
  [1 << 30, 18],
])("get_order(%i) is %i", (bytes, order) => {
  expect(get_order(bytes)).toBe(order);
});

test("a freed neighbour block coalesces, in whatever order blocks are freed", () => {
  const cpu = boot_bare();
  const before = buddyinfo(cpu);
  const blocks: number[] = [];
  for (;;) {
    const p = __get_free_pages(cpu, GFP_KERNEL | __GFP_NOWARN, blocks.length % 3);
    if (p === 0) break;
    blocks.push(p);
  }
  expect(blocks.length).toBeGreaterThan(300);
  const order = new Map(blocks.map((p, i) => [p, i % 3]));
  while (blocks.length > 0) {
    const p = blocks.splice(cpu.random32() % blocks.length, 1)[0] as number;
    free_pages(cpu, p, order.get(p) as number);
  }
  // What was left over when a larger order failed is free as well.
  expect(buddyinfo(cpu)).toEqual(before);
  expect(complaints(cpu)).toEqual([]);
});

test("a block is aligned to its size within RAM", () => {
  const cpu = boot_bare();
  for (let order = 9; order >= 0; order--) {
    const p = __get_free_pages(cpu, GFP_KERNEL, order);
    expect((p - cpu.map.pages) % (PAGE_SIZE << order)).toBe(0);
  }
});

test("an exact allocation gives its tail back", () => {
  const cpu = boot_bare();
  const before = buddyinfo(cpu);
  const free = nr_free_pages(cpu);
  const p = alloc_pages_exact(cpu, 5 * PAGE_SIZE - 100, GFP_KERNEL);
  expect(nr_free_pages(cpu)).toBe(free - 5);
  free_pages_exact(cpu, p, 5 * PAGE_SIZE - 100);
  expect(buddyinfo(cpu)).toEqual(before);
  expect(complaints(cpu)).toEqual([]);
});

test("a pinned run survives free until the last pin goes", () => {
  const cpu = boot_bare();
  const free = nr_free_pages(cpu);
  const p = alloc_pages_exact(cpu, 3 * PAGE_SIZE, GFP_KERNEL);
  cpu.mem.write(p + 2 * PAGE_SIZE, 0x1234);
  pages.get_page(cpu, p + 2 * PAGE_SIZE + 8);
  pages.get_page(cpu, p);
  expect(pages.page_refcount(cpu, p + PAGE_SIZE)).toBe(3);
  free_pages_exact(cpu, p, 3 * PAGE_SIZE);
  expect(cpu.mem.read(p + 2 * PAGE_SIZE)).toBe(0x1234);
  pages.put_page(cpu, p);
  expect(nr_free_pages(cpu)).toBe(free - 3);
  pages.put_page(cpu, p + PAGE_SIZE);
  expect(nr_free_pages(cpu)).toBe(free);
  expect(pages.page_refcount(cpu, p)).toBe(0);
  expect(complaints(cpu)).toEqual([]);
});

test("__GFP_ZERO clears, and free poisons", () => {
  const cpu = boot_bare();
  const p = __get_free_pages(cpu, GFP_KERNEL, 1);
  cpu.mem.memset(p, 0xff, 2 * PAGE_SIZE);
  free_pages(cpu, p, 1);
  expect(cpu.mem.read8(p + 2 * PAGE_SIZE - 1)).toBe(pages.PAGE_POISON);
  const again = __get_free_pages(cpu, GFP_KERNEL | __GFP_ZERO, 1);
  expect(again).toBe(p);
  for (let at = p; at < p + 2 * PAGE_SIZE; at += 4) expect(cpu.mem.read(at)).toBe(0);
});

test("null may be freed", () => {
  const cpu = boot_bare();
  free_pages(cpu, 0, 0);
  free_pages_exact(cpu, 0, 100);
  expect(complaints(cpu)).toEqual([]);
});

test.each<[string, (cpu: Cpu, p: number) => void, string]>([
  ["a second free", (cpu, p) => free_pages(cpu, p, 2), "page is free (double free)"],
  ["a put_page after the free", (cpu, p) => pages.put_page(cpu, p), "put_page of a free page"],
  ["a get_page after the free", (cpu, p) => pages.get_page(cpu, p), "get_page of a free page"],
  ["a free of VRAM", (cpu) => free_pages(cpu, cpu.map.pages_end, 0), "not the address of a page"],
])("%s is reported and changes nothing", (_name, misuse, reason) => {
  const cpu = boot_bare();
  const p = __get_free_pages(cpu, GFP_KERNEL, 2);
  free_pages(cpu, p, 2);
  const before = buddyinfo(cpu);
  misuse(cpu, p);
  expect(complaints(cpu)).toHaveLength(1);
  expect(complaints(cpu)[0]).toMatch(/^BUG: Bad page state in process cpu0 {2}pfn:/);
  expect(complaints(cpu)[0]).toContain(`page dumped because: ${reason}`);
  expect(buddyinfo(cpu)).toEqual(before);
});

test.each<[string, (cpu: Cpu, p: number) => void, string]>([
  ["with a smaller order", (cpu, p) => free_pages(cpu, p, 1), "wrong order: 4 pages allocated, 2 freed"],
  ["of a tail page", (cpu, p) => free_pages(cpu, p + PAGE_SIZE, 0), "free of a tail page"],
  ["inside a page", (cpu, p) => free_pages(cpu, p + 8, 2), "not the address of a page"],
  ["with the exact verb", (cpu, p) => free_pages_exact(cpu, p, 4 * PAGE_SIZE), "wrong order"],
])("a free %s is reported and the block stays", (_name, misuse, reason) => {
  const cpu = boot_bare();
  const p = __get_free_pages(cpu, GFP_KERNEL, 2);
  misuse(cpu, p);
  expect(complaints(cpu)).toHaveLength(1);
  expect(complaints(cpu)[0]).toContain(reason);
  expect(pages.page_refcount(cpu, p)).toBe(1);
});

test("a write to a freed page is reported when the page is handed out", () => {
  const cpu = boot_bare();
  const p = __get_free_pages(cpu, GFP_KERNEL, 0);
  free_pages(cpu, p, 0);
  cpu.mem.write8(p + 100, 0x77);
  __get_free_pages(cpu, GFP_KERNEL, 0);
  expect(complaints(cpu)).toHaveLength(1);
  expect(complaints(cpu)[0]).toContain(`pagealloc: memory corruption: 0x77 instead of 0xaa at ${p + 100}`);
});

test("without memory the answer is 0, and the log says so once", () => {
  const cpu = boot_bare();
  expect(__get_free_pages(cpu, GFP_KERNEL, 18)).toBe(0);
  expect(__get_free_pages(cpu, GFP_KERNEL, 11)).toBe(0);
  expect(alloc_pages_exact(cpu, 2 ** 31, GFP_KERNEL)).toBe(0);
  const log = dmesg_read(cpu, 0);
  expect(log).toHaveLength(1);
  expect(log[0]?.text).toContain("page allocation failure: order:18");
  expect(nr_free_pages(cpu)).toBe(nr_ram_pages(cpu));
});

test("FAULT_PAGES fails the n-th allocation", () => {
  const cpu = boot_bare();
  fault_arm(cpu, FAULT_PAGES, { after: 1, times: 2 });
  const got = [0, 1, 2, 3].map(() => __get_free_pages(cpu, GFP_KERNEL, 0) !== 0);
  expect(got).toEqual([true, false, false, true]);
  expect(fault_hits(cpu, FAULT_PAGES)).toBe(2);
});

test("random allocations and frees never overlap, and all memory comes back", () => {
  const cpu = boot_bare({ ram: 515 * PAGE_SIZE, seed: 7 });
  const before = buddyinfo(cpu);
  const owner = new Int32Array(515).fill(-1);
  const live: { p: number; bytes: number; id: number }[] = [];
  for (let id = 0; id < 6000; id++) {
    if (live.length > 0 && cpu.random32() % 100 < 48) {
      const { p, bytes } = live.splice(cpu.random32() % live.length, 1)[0] as (typeof live)[0];
      const first = (p - cpu.map.pages) / PAGE_SIZE;
      owner.fill(-1, first, first + Math.ceil(bytes / PAGE_SIZE));
      free_pages_exact(cpu, p, bytes);
      continue;
    }
    const bytes = 1 + (cpu.random32() % (20 * PAGE_SIZE));
    const p = alloc_pages_exact(cpu, bytes, GFP_KERNEL | __GFP_NOWARN);
    if (p === 0) continue;
    const first = (p - cpu.map.pages) / PAGE_SIZE;
    for (let i = first; i < first + Math.ceil(bytes / PAGE_SIZE); i++) {
      expect(owner[i]).toBe(-1);
      owner[i] = id;
    }
    live.push({ p, bytes, id });
    expect(nr_free_pages(cpu)).toBe(owner.filter((id) => id === -1).length);
  }
  for (const { p, bytes } of live) free_pages_exact(cpu, p, bytes);
  expect(buddyinfo(cpu)).toEqual(before);
  expect(complaints(cpu)).toEqual([]);
});
