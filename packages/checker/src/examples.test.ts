/** The README and its examples do what they say, as a reader would run them. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const HERE = fileURLToPath(new URL("..", import.meta.url));

function run(example: string): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, ["--import", "@ringside/checker/register", `examples/${example}`], {
    cwd: HERE,
    encoding: "utf8",
    timeout: 60_000,
  });
}

function codeOf(markdown: string, language: string): string[] {
  const blocks = readFileSync(new URL(markdown, import.meta.url), "utf8").matchAll(
    /^```(\w+)\n(.*?)^```$/gms,
  );
  return [...blocks].filter((block) => block[1] === language).map((block) => block[2] as string);
}

test("the first program of the README is the example lost-update.ts, of at most ten lines", () => {
  const [first] = codeOf("../README.md", "ts");
  expect(first).toBe(readFileSync(new URL("../examples/lost-update.ts", import.meta.url), "utf8"));
  expect(first?.trimEnd().split("\n").length).toBeLessThanOrEqual(10);
});

test("the lost update of the README is found as the README shows it", () => {
  const { status, stdout, stderr } = run("lost-update.ts");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const [shown] = codeOf("../README.md", "text");
  // Without the counts and the time of its first line.
  const [, ...lines] = (shown as string).trimEnd().split("\n");
  expect(stdout).toContain(lines.join("\n"));
  expect(stdout).toMatch(/^lost update: fail /);
});

test("the mailbox of the guide fails twice as told, and is right for one taker", () => {
  const { status, stdout, stderr } = run("check-mailbox.ts");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toMatch(/^one taker: proved /m);
  expect(stdout).toMatch(/^two takers, made for one: fail .*\n(assertion: the takers got|data-race: )/m);
  expect(stdout).toMatch(
    /^two takers, one is woken: fail .*\nlost-wakeup: lost wake-up: sender sleeps for ever/m,
  );
  expect(stdout).toMatch(/^two takers, all are woken: (pass|proved) /m);
});

test("the mailbox over Int32Array and Atomics is checked as it stands", () => {
  const { status, stdout, stderr } = run("check-raw-mailbox.ts");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toMatch(/^two takers, raw: fail /);
});

test("the code of the examples that the guide shows is that of the examples", () => {
  const shown = codeOf("../../../docs/checking-your-own-code.md", "ts");
  for (const [block, example] of [
    [0, "check-raw-mailbox.ts"],
    [1, "check-raw-mailbox.ts"],
    [2, "mailbox.ts"],
  ] as const) {
    const source = readFileSync(new URL(`../examples/${example}`, import.meta.url), "utf8");
    expect(source).toContain((shown[block] as string).trimEnd());
  }
});
