/** How far failures shrink, on a few of them; bench/shrunk.ts tells of all. */
import { expect, test } from "vitest";
import { medianOf, type ShrinkRow, shrinkTable, shrinkText } from "./shrink-table.ts";

async function rowsOf(seeds: number, ...only: string[]): Promise<ShrinkRow[]> {
  const rows: ShrinkRow[] = [];
  for await (const row of shrinkTable({ seeds, only, strategy: "random" })) rows.push(row);
  return rows;
}

test("failures of atomics-sync and of benchmarks shrink to a median of at most 3 context switches", async () => {
  const rows = await rowsOf(3, "semaphore/", "CS/circular", "CS/account");
  expect(medianOf(rows.map((row) => row.before.contextSwitches))).toBeGreaterThan(3);
  expect(medianOf(rows.map((row) => row.after.contextSwitches))).toBeLessThanOrEqual(3);
  for (const { before, after, name } of rows) {
    expect(after.contextSwitches, name).toBeLessThanOrEqual(before.contextSwitches);
    expect(after.preemptions, name).toBeLessThanOrEqual(before.preemptions);
  }
  const text = shrinkText(rows);
  expect(text).toMatch(
    /\| semaphore\/wakes-one \| lost-wakeup \| \d+ \| \d \| \d+ \| \d \| [0-3] of 3 \| \d+ \|/,
  );
  expect(text).toContain("| **all memory** |");
});

test("a kernel failure that needs no preemption is not left with the waits it was found with", async () => {
  const rows = await rowsOf(1, "token-recheck/map-ref-atomic");
  expect(rows.map((row) => row.after.preemptions)).toEqual([0]);
  expect(rows[0]?.before.contextSwitches).toBeGreaterThan(8);
  expect(rows[0]?.after.contextSwitches).toBeLessThanOrEqual(3);
});

test("the median is the one in the middle, and none of nothing", () => {
  expect(medianOf([1, 2, 4, 9, 40])).toBe(4);
  expect(medianOf([])).toBeNaN();
});
