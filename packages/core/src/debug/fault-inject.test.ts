/** Laws of fault injection. */
import { expect, test } from "vitest";
import { boot_bare } from "../testing/bare.ts";
import { boot_solo } from "../testing/solo.ts";
import {
  FAULT_DMA_MAP,
  FAULT_NAMES,
  FAULT_SLAB,
  FAULT_TAGS,
  fault_arm,
  fault_calls,
  fault_disarm,
  fault_hits,
  should_fail,
} from "./fault-inject.ts";

test("nothing fails before it is armed, and arming one leaves the others alone", () => {
  const cpu = boot_bare();
  expect(should_fail(cpu, FAULT_TAGS)).toBe(false);
  fault_arm(cpu, FAULT_TAGS, {});
  expect(should_fail(cpu, FAULT_DMA_MAP)).toBe(false);
  expect(should_fail(cpu, FAULT_TAGS)).toBe(true);
});

test("after `after` calls it fails `times` times", () => {
  const cpu = boot_bare();
  fault_arm(cpu, FAULT_SLAB, { after: 3, times: 2 });
  const got = [1, 2, 3, 4, 5, 6, 7].map(() => should_fail(cpu, FAULT_SLAB));
  expect(got).toEqual([false, false, false, true, true, false, false]);
  expect([fault_hits(cpu, FAULT_SLAB), fault_calls(cpu, FAULT_SLAB)]).toEqual([2, 7]);
});

test("-1 fails for ever, until disarmed; the counts stay", () => {
  const cpu = boot_bare();
  fault_arm(cpu, FAULT_SLAB, { times: -1 });
  for (let i = 0; i < 100; i++) expect(should_fail(cpu, FAULT_SLAB)).toBe(true);
  fault_disarm(cpu, FAULT_SLAB);
  expect(should_fail(cpu, FAULT_SLAB)).toBe(false);
  expect(fault_hits(cpu, FAULT_SLAB)).toBe(100);
});

test("a probability fails about that part of the calls, equally for the same seed", () => {
  const hits = [1, 1, 2].map((seed) => {
    const cpu = boot_bare({ seed });
    fault_arm(cpu, FAULT_SLAB, { times: -1, probability: 0.25 });
    for (let i = 0; i < 10_000; i++) should_fail(cpu, FAULT_SLAB);
    return fault_hits(cpu, FAULT_SLAB);
  });
  expect(hits[0]).toBe(hits[1]);
  expect(hits[0]).not.toBe(hits[2]);
  for (const n of hits) expect(Math.abs(n - 2500)).toBeLessThan(250);
});

test("every fault has a name", () => {
  expect(FAULT_NAMES[FAULT_SLAB]).toBe("slab");
  expect(FAULT_NAMES[FAULT_TAGS]).toBe("tags");
});

test("a fault that is a choice strikes when the platform chooses side 1, and never where nobody chooses", () => {
  const thrown = [0, 1, 2, 1, 1];
  const sides: number[] = [];
  const cpu = boot_solo({
    platform: {
      now: () => 0,
      choose: (n) => {
        sides.push(n);
        return thrown.shift() ?? 0;
      },
    },
  });
  fault_arm(cpu, FAULT_TAGS, { times: 2, choice: 3 });
  const got = [1, 2, 3, 4, 5, 6].map(() => should_fail(cpu, FAULT_TAGS));
  expect(got).toEqual([false, true, false, true, false, false]);
  expect(sides).toEqual([3, 3, 3, 3, 3, 3]);
  const alone = boot_bare();
  fault_arm(alone, FAULT_TAGS, { times: -1, choice: 2 });
  expect(should_fail(alone, FAULT_TAGS)).toBe(false);
});
