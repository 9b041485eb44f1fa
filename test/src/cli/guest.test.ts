/** `ringside check` of a module from anywhere, that may do anything. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CheckReport } from "@ringside/workers/check-request";
import { afterAll, describe, expect, it } from "vitest";
import { ringside } from "./ringside.ts";

// Nothing is installed here.
const folder = mkdtempSync(join(tmpdir(), "ringside-guest-"));
afterAll(() => rmSync(folder, { recursive: true }));

const HEAD = `import { overView, type Program } from "@ringside/checker";
import type { Memory } from "atomics-sync";
`;

function guest(name: string, text: string): string {
  const file = join(folder, `${name}.ts`);
  writeFileSync(file, HEAD + text);
  return file;
}

/** Two threads: one stores, the other does `what`. */
function program(what: string): string {
  return `export const it: Program = { name: "it", threads: [
  overView((words: Int32Array) => { Atomics.store(words, 16, 1); }),
  (memory: Memory) => { if (memory.loadAcquire(64) === 1) { ${what} } },
] };
`;
}

async function failure(file: string): Promise<NonNullable<CheckReport["failure"]>> {
  const { status, stdout } = await ringside(["check", file, "--json"]);
  expect(stdout.trimEnd().split("\n")).toHaveLength(1);
  const report = JSON.parse(stdout) as CheckReport;
  expect({ status, verdict: report.verdict }).toEqual({ status: 1, verdict: "fail" });
  return report.failure as NonNullable<CheckReport["failure"]>;
}

describe("a step of the user's code", () => {
  it("that throws is a failure with its schedule, without the checker's own frames", async () => {
    const file = guest("throws", program("(undefined as any).x();"));
    expect(await failure(file)).toMatchObject({ kind: "crash", trace: [{ thread: 0 }, { thread: 1 }] });
    const { stdout } = await ringside(["check", file]);
    expect(stdout).toMatch(/TypeError: .*\n {4}at .*throws\.ts:5:\d+\)\n/);
    expect(stdout).not.toMatch(/checker\/src|controlled=/);
  });

  it("that calls process.exit is one, too", async () => {
    const found = await failure(guest("exits", program("process.exit(0);")));
    expect(found).toMatchObject({ kind: "crash", message: "crash: process.exit(0) was called" });
  });

  it("that prints leaves stdout alone, and is not heard for ever", async () => {
    const file = guest("prints", `console.log("hello");\n${program('console.log("x".repeat(50_000));')}`);
    const { status, stdout, stderr } = await ringside(["check", file, "--strategy", "dfs", "--json"]);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ verdict: "proved" });
    expect(stderr).toContain("hello\n");
    expect(stderr.length).toBeLessThan(300_000);
  });
});

describe("a module that cannot be searched is refused with exit 2 and the place", () => {
  it.for([
    ["throw", 'throw new Error("no");', /throw\.ts: no \(.*throw\.ts:3\)/],
    ["leaves", "process.exit(0);", /process\.exit\(0\) was called \(.*leaves\.ts:3\)/],
    ["syntax", "export const x = ;", /syntax\.ts:3:18: /],
    [
      "setup",
      'export const it: Program = { name: "it", setup: () => { throw new Error("no"); }, threads: [() => {}] };',
      /setup\.ts#it: its setup threw: no \(.*setup\.ts:3\)/,
    ],
    [
      "name",
      'export const it: Program = { name: "it", threads: [(m: Memory) => m.writeOnce(64, 1)] };',
      /name\.ts:3:\d+: a Memory is called mem or memory/,
    ],
  ] as const)("%s", async ([name, text, reason]) => {
    const { status, stdout, stderr } = await ringside(["check", guest(name, text)]);
    expect(stderr).toMatch(reason);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  });

  it("a folder", async () => {
    const { status, stderr } = await ringside(["check", `${folder}/`]);
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: `error: ${folder}/ is no module: expected a file\n`,
    });
  });
});

describe("several programs", () => {
  const file = guest(
    "several",
    `${program("throw 1;")}export const other: Program = { ...it, name: "other" };\n`,
  );

  it("end with what failed", async () => {
    const { stdout } = await ringside(["check", file]);
    expect(stdout.trimEnd().split("\n").at(-1)).toBe(`FAIL 2 of 2 programs: ${file}#it, ${file}#other`);
  });

  it("do not share a file", async () => {
    const { status, stderr } = await ringside(["check", file, "--export", `json:${folder}/x.json`]);
    expect(stderr).toContain("--export is for one program");
    expect(status).toBe(2);
  });
});

describe("Ctrl-C", () => {
  it.for([
    [
      "of a search reports what it has done",
      program('console.log("ready");'),
      { verdict: "pass", interrupted: true },
    ],
    [
      "before one leaves a document, too",
      'console.log("ready");\nfor (;;);',
      { reports: [], interrupted: true },
    ],
  ] as const)("%s", async ([name, text, report]) => {
    const file = guest(name.replaceAll(" ", "-"), text);
    let interrupted = false;
    const { status, stdout } = await ringside(["check", file, "--strategy", "random", "--json"], (child) => {
      // A second one would not wait for the report.
      if (!interrupted) child.kill("SIGINT");
      interrupted = true;
    });
    expect(JSON.parse(stdout)).toMatchObject(report);
    expect(status).toBe(130);
  });
});
