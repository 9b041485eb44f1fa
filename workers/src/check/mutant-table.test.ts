import { expect, test } from "vitest";
import { mutantTable, type Row, tableText } from "./mutant-table.ts";

async function table(strategies: readonly string[], limit: number): Promise<Row[]> {
  const rows: Row[] = [];
  const options = { strategies, limit, seeds: 1, scenarios: ["semaphore"] };
  for await (const row of mutantTable(options)) rows.push(row);
  return rows;
}

test("every broken form has a row, with the executions each strategy took and what told", async () => {
  const rows = await table(["random", "portfolio"], 1000);
  expect(rows.map((row) => row.form)).toEqual([
    "looks-first",
    "wakes-one",
    "two-step-take",
    "uncounted-waiter",
  ]);
  for (const { cells } of rows) {
    for (const { executions, kinds } of cells) {
      expect(executions[0]).toBeLessThanOrEqual(1000);
      expect(kinds).toHaveLength(1);
    }
  }
  expect(tableText(rows)).toMatch(
    /\| semaphore \| wakes-one \| `semaphore-wakes-one` \| \d+ \| \d+ \| lost-wakeup \|/,
  );
});

test("what was not found within the limit is a dash, and no kind", async () => {
  const [, wakesOne] = await table(["random"], 1);
  expect(wakesOne?.cells).toEqual([
    { strategy: "random", executions: [Number.POSITIVE_INFINITY], kinds: [] },
  ]);
  expect(tableText([wakesOne as Row])).toContain("| - |");
});
