/** What --help says of defaults is what one would type, and nothing where an option is simply absent. */
import { expect, it } from "vitest";
import { ringside } from "./ringside.ts";

it.concurrent.each([
  ["bench sct", ["--programs <list>", "(default: all)", "(default: random,pct3,"]],
  ["fio", ["--section <name>", "(default: normal)"]],
  ["stress", ["--json", "(default: 32)"]],
])("ringside %s --help has no defaults in JavaScript", async (line, words) => {
  const { stdout } = await ringside([...line.split(" "), "--help"]);
  for (const word of words) expect(stdout).toContain(word);
  expect(stdout).not.toMatch(/default:\s+(false|true|\[|undefined)/);
});

it.concurrent("an option behind bench sct is sct's, not bench's", async () => {
  const args = "bench sct --programs CS/account --strategies random --seeds 1 --limit 10 --json".split(" ");
  const { status, stdout } = await ringside(args);
  expect(JSON.parse(stdout)).toMatchObject({ results: [{ program: "CS/account", strategy: "random" }] });
  expect(status).toBe(0);
});
