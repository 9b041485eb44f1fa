import { expect, test } from "vitest";
import { per_cpu_ptr } from "../sched/cpu.ts";
import { boot_solo } from "../testing/solo.ts";
import * as counters from "./path-counters.ts";
import { path_count, path_counters, path_counters_between, type PathCounters } from "./path-counters.ts";

/** The offset of each counter, by its exported name. */
const OFFSETS: readonly (readonly [string, number])[] = Object.entries(counters).flatMap(([name, value]) =>
  typeof value === "number" ? [[name, value] as const] : [],
);

/** PATH_CQ_DOORBELLS: cqDoorbells. */
function read_name(name: string): keyof PathCounters {
  const words = name.slice("PATH_".length).toLowerCase().split("_");
  return words
    .map((word, i) => (i === 0 ? word : word[0]?.toUpperCase() + word.slice(1)))
    .join("") as keyof PathCounters;
}

test("each counter is read under its own name, and nobody else's", () => {
  const cpu = boot_solo();
  expect(OFFSETS.map(([name]) => read_name(name)).toSorted()).toEqual(
    Object.keys(path_counters(cpu, 0)).toSorted(),
  );
  for (const [name, offset] of OFFSETS) {
    const before = path_counters(cpu, 0);
    path_count(cpu, offset, 3);
    const between = path_counters_between(before, path_counters(cpu, 0));
    const expected = Object.fromEntries(
      Object.keys(before).map((key) => [key, key === read_name(name) ? 3 : 0]),
    );
    expect(between).toEqual(expected);
  }
});

test("a thread counts on its own lines only", () => {
  const cpu = boot_solo();
  const others = path_counters(cpu, 1);
  path_count(cpu, counters.PATH_DOORBELLS, 5);
  expect(path_counters(cpu, 1)).toEqual(others);
  expect(per_cpu_ptr(cpu, 0, 1) - per_cpu_ptr(cpu, 0, 0)).toBeGreaterThanOrEqual(128);
});

test("differences are right across the wrap, and parts of a microsecond do no harm", () => {
  const cpu = boot_solo();
  const { PATH_SLEPT_US } = counters;
  path_count(cpu, PATH_SLEPT_US, 0x7fff_fff0 - path_counters(cpu, 0).sleptUs);
  path_count(cpu, PATH_SLEPT_US, 0x7fff_fff0);
  const before = path_counters(cpu, 0);
  expect(before.sleptUs).toBe(0xffff_ffe0);
  path_count(cpu, PATH_SLEPT_US, 0x20 + 0.75);
  path_count(cpu, PATH_SLEPT_US, 10);
  expect(path_counters(cpu, 0).sleptUs).toBe(10);
  expect(path_counters_between(before, path_counters(cpu, 0)).sleptUs).toBe(42);
});
