/** A kfree that another one overtakes: between its look at the slab and its claim of the object, the slab goes away. */
import { expect, test } from "vitest";
import { dmesg_read } from "../debug/dmesg.ts";
import type { Cpu } from "../sched/cpu.ts";
import { bare_parts, boot_bare, join_bare } from "../testing/bare.ts";
import { nr_free_pages, PAGE_POISON } from "./page-alloc.ts";
import { SLAB_CACHE, virt_to_slab } from "./slab-meta.ts";
import { GFP_KERNEL, kfree, kmalloc } from "./slab.ts";

const SIZE = 4096;
/** Eight slabs of them and more, and what the quarantine holds. */
const OBJECTS = 100;
const LATE = 20;

interface Late {
  readonly cpu: Cpu;
  readonly other: Cpu;
  /** In the order in which their slabs were made. */
  readonly objects: readonly number[];
}

function late_machine(kasan: boolean): Late {
  const parts = bare_parts({ kasan, cpus: 2 });
  const cpu = boot_bare({}, parts);
  const objects: number[] = [];
  for (let i = 0; i < OBJECTS; i++) objects.push(kmalloc(cpu, SIZE, GFP_KERNEL));
  expect(objects).not.toContain(0);
  return { cpu, other: join_bare(parts, 1), objects };
}

/** kfree of `p`, with `meanwhile` when it has found the slab, right before it looks at the slab's records. */
function kfree_late(cpu: Cpu, p: number, meanwhile: () => void): void {
  const { mem } = cpu;
  const at = virt_to_slab(cpu, p) + SLAB_CACHE;
  const read = mem.read.bind(mem);
  let overtaken = 0;
  mem.read = (address) => {
    if (address === at && overtaken++ === 0) meanwhile();
    return read(address);
  };
  kfree(cpu, p);
  expect(overtaken).toBeGreaterThan(0);
}

test("finds the record where it was, when the slab was the last one to be discarded", () => {
  const { cpu, other, objects } = late_machine(false);
  const slab = virt_to_slab(cpu, objects[LATE] as number);
  const free = nr_free_pages(cpu);
  kfree_late(cpu, objects[LATE] as number, () => {
    for (const p of objects.slice(0, 8)) kfree(other, p);
    for (const p of objects) if (virt_to_slab(other, p) === slab) kfree(other, p);
  });
  expect(nr_free_pages(cpu)).toBe(free + 8);
  const log = dmesg_read(cpu, 0).map(({ text }) => text);
  expect(log).toHaveLength(1);
  expect(log[0]).toMatch(/^BUG: KASAN: double-free in .*\n.*free kmalloc-4096 object of 4096 bytes/);
  expect(log[0]).toMatch(/\nFreed by: .*slab-late\.test\.ts:\d+$/);
});

test.each([
  ["native", false],
  ["kasan", true],
])("is one report of a double free, even when the records are freed memory by then (%s)", (_name, kasan) => {
  const { cpu, other, objects } = late_machine(kasan);
  const slab = virt_to_slab(cpu, objects[LATE] as number);
  kfree_late(cpu, objects[LATE] as number, () => {
    for (const p of objects) kfree(other, p);
  });
  const log = dmesg_read(cpu, 0).map(({ text }) => text);
  expect(cpu.mem.read8(slab + SLAB_CACHE), "the records are freed memory").toBe(PAGE_POISON);
  expect(log).toHaveLength(1);
  expect(log[0]).toMatch(/^BUG: KASAN: double-free in .*slab-late\.test\.ts:\d+\n/);
});

test("control: inside a live object it is invalid-free", () => {
  const { cpu, objects } = late_machine(false);
  kfree(cpu, (objects[LATE] as number) + 8);
  expect(dmesg_read(cpu, 0).map(({ text }) => text)).toEqual([
    expect.stringMatching(/^BUG: KASAN: invalid-free in /),
  ]);
});
