/** Laws of the tag bitmap. */
import { expect, test } from "vitest";
import { FAULT_TAGS, fault_arm } from "../debug/fault-inject.ts";
import { GFP_KERNEL, kmem_in_use, kzalloc } from "../mm/slab.ts";
import { type Cpu, stack_push } from "../sched/cpu.ts";
import { boot_solo, dmesg } from "../testing/solo.ts";
import {
  bit_count,
  blk_mq_free_tags,
  blk_mq_init_tags,
  blk_mq_put_tags,
  blk_mq_tag_busy,
  blk_mq_tags_busy,
  blk_mq_try_get_tags,
  TAGS_SIZE,
  type TagsPtr,
} from "./tags.ts";

function make_tags(cpu: Cpu, nr: number): TagsPtr {
  const tags = kzalloc(cpu, TAGS_SIZE, GFP_KERNEL) as TagsPtr;
  expect(blk_mq_init_tags(cpu, tags, nr, GFP_KERNEL)).toBe(0);
  return tags;
}

/** All tags that one call takes. */
function take(cpu: Cpu, tags: TagsPtr, nr: number): number[] {
  const out = stack_push(cpu, 4);
  const bits = blk_mq_try_get_tags(cpu, tags, nr, out);
  const base = cpu.mem.read(out);
  const got: number[] = [];
  for (let bit = 0; bit < 32; bit++) if ((bits & (1 << bit)) !== 0) got.push(base + bit);
  return got;
}

test("every tag is handed out once, for every depth around word boundaries, and then none", () => {
  for (const depth of [1, 2, 31, 32, 33, 63, 64, 65, 255]) {
    const cpu = boot_solo();
    const tags = make_tags(cpu, depth);
    const seen = new Set<number>();
    for (let i = 0; i < depth; i++) for (const tag of take(cpu, tags, 1)) seen.add(tag);
    expect([...seen].sort((a, b) => a - b)).toEqual(Array.from({ length: depth }, (_, i) => i));
    expect(take(cpu, tags, 1)).toEqual([]);
    expect(take(cpu, tags, 32)).toEqual([]);
    expect(blk_mq_tags_busy(cpu, tags)).toBe(depth);
  }
});

test("a batch takes at most what was asked, of one word, and never a busy tag", () => {
  const cpu = boot_solo();
  const tags = make_tags(cpu, 100);
  const busy = new Set<number>();
  for (let round = 0; round < 2000; round++) {
    if (cpu.random32() % 2 === 0) {
      const nr = 1 + (cpu.random32() % 32);
      const got = take(cpu, tags, nr);
      expect(got.length).toBeLessThanOrEqual(nr);
      expect(new Set(got.map((tag) => tag >> 5)).size).toBeLessThanOrEqual(1);
      if (busy.size < 100) expect(got.length).toBeGreaterThan(0);
      for (const tag of got) {
        expect(busy.has(tag)).toBe(false);
        expect(tag).toBeLessThan(100);
        busy.add(tag);
      }
    } else if (busy.size > 0) {
      const tag = [...busy][cpu.random32() % busy.size] as number;
      blk_mq_put_tags(cpu, tags, tag & ~31, 1 << (tag & 31));
      busy.delete(tag);
      expect(blk_mq_tag_busy(cpu, tags, tag)).toBe(false);
    }
    expect(blk_mq_tags_busy(cpu, tags)).toBe(busy.size);
  }
  expect(dmesg(cpu)).toEqual([]);
});

test("freeing a tag twice warns", () => {
  const cpu = boot_solo();
  const tags = make_tags(cpu, 8);
  const [tag] = take(cpu, tags, 1) as [number];
  blk_mq_put_tags(cpu, tags, 0, 1 << tag);
  blk_mq_put_tags(cpu, tags, 0, 1 << tag);
  expect(dmesg(cpu).join()).toMatch(/tag freed twice/);
});

test("an injected fault is an empty bitmap, once", () => {
  const cpu = boot_solo();
  const tags = make_tags(cpu, 8);
  fault_arm(cpu, FAULT_TAGS, { times: 1 });
  expect(take(cpu, tags, 1)).toEqual([]);
  expect(take(cpu, tags, 1)).toEqual([0]);
});

test("tags leave nothing allocated", () => {
  const cpu = boot_solo();
  const tags = kzalloc(cpu, TAGS_SIZE, GFP_KERNEL) as TagsPtr;
  const before = kmem_in_use(cpu);
  blk_mq_init_tags(cpu, tags, 1000, GFP_KERNEL);
  blk_mq_free_tags(cpu, tags);
  expect(kmem_in_use(cpu)).toEqual(before);
});

test("bit_count counts all 32 bits", () => {
  expect([0, 1, -1, 0x80000000 | 0, 0x55555555].map(bit_count)).toEqual([0, 1, 32, 1, 16]);
});
