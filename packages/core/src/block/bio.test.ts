/** bios and the caches they come from. */
import { expect, test } from "vitest";
import { GFP_KERNEL, kmem_in_use } from "../mm/slab.ts";
import { boot_solo } from "../testing/solo.ts";
import {
  bio_alloc,
  bio_alloc_cache_destroy,
  bio_opf,
  type BioPtr,
  bio_put,
  bio_sector,
  bio_set_empty,
  bio_set_sector,
  bio_size,
  bio_status,
  REQ_OP_FLUSH,
  REQ_OP_WRITE,
} from "./bio.ts";

/** ALLOC_CACHE_MAX: bios that a CPU keeps. */
const KEPT = 512;

test("a CPU keeps so many free bios and no more, in any order of taking and giving back", () => {
  const cpu = boot_solo();
  const before = kmem_in_use(cpu);
  const take = (n: number): BioPtr[] => Array.from({ length: n }, () => bio_alloc(cpu, 1, 0, GFP_KERNEL));
  const give = (bios: readonly BioPtr[]): void => {
    for (const bio of bios) bio_put(cpu, bio);
  };
  const one = take(1);
  const size = kmem_in_use(cpu) - before;
  give(one);
  give(take(KEPT + 100));
  expect(kmem_in_use(cpu) - before).toBe(KEPT * size);
  // The cache hands out what it has, each once, and counts as it goes down and up again.
  let held: BioPtr[] = [];
  for (let i = 0; i < 400; i++) {
    if (cpu.random32() % 2 === 0) held.push(...take(cpu.random32() % 20));
    else give(held.splice(0, cpu.random32() % 20));
    expect(new Set(held).size).toBe(held.length);
    const free = Math.max(0, KEPT - held.length);
    expect(kmem_in_use(cpu) - before).toBe((held.length + free) * size);
  }
  give(held);
  held = take(KEPT);
  expect(kmem_in_use(cpu) - before).toBe(KEPT * size);
  give(held);
  bio_alloc_cache_destroy(cpu);
  expect(kmem_in_use(cpu)).toBe(before);
});

test("an empty bio is empty, whatever it was before", () => {
  const cpu = boot_solo();
  const data = bio_alloc(cpu, 1, REQ_OP_WRITE, GFP_KERNEL);
  bio_set_sector(cpu, data, 4711);
  bio_put(cpu, data);
  const flush = bio_alloc(cpu, 1, REQ_OP_FLUSH, GFP_KERNEL);
  expect(flush).toBe(data);
  bio_set_empty(cpu, flush);
  expect([bio_sector(cpu, flush), bio_size(cpu, flush), bio_opf(cpu, flush), bio_status(cpu, flush)]).toEqual(
    [0, 0, REQ_OP_FLUSH, 0],
  );
  bio_put(cpu, flush);
});
