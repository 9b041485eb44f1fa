import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, it } from "vitest";

const root = mkdtempSync(join(tmpdir(), "ringside-lint-"));
afterAll(() => rmSync(root, { recursive: true }));

function write(path: string, source: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), source);
}

function run(): { status: number | null; stdout: string } {
  const lint = join(import.meta.dirname, "lint.ts");
  return spawnSync(process.execPath, [lint, root], { encoding: "utf8", timeout: 30_000 });
}

it("a clean tree is silent and exits 0; dist and node_modules are not looked at", () => {
  write("packages/core/src/a.ts", "/** What it is. */\nexport const A = 1;\n");
  write("packages/core/dist/a.ts", "let x = Date.now();\n");
  write("packages/core/node_modules/x/a.ts", "let x = Date.now();\n");
  expect(run()).toMatchObject({ status: 0, stdout: "" });
});

it("findings are file:line:column rule: message, by file and line, and exit 1", () => {
  write("packages/core/src/b.ts", "let x = 1;\nexport const view = new DataView(x);\n");
  write("packages/core/src/c.ts", "/** Broken. */\nconst = 1;\n");
  const { status, stdout } = run();
  expect(status).toBe(1);
  const lines = stdout.trimEnd().split("\n");
  expect(lines).toEqual([
    expect.stringMatching(/^packages\/core\/src\/b\.ts:1:1 subset: module state/),
    expect.stringMatching(/^packages\/core\/src\/b\.ts:1:1 tidy: no head comment/),
    expect.stringMatching(/^packages\/core\/src\/b\.ts:2:25 atomics: DataView in core/),
    expect.stringMatching(/^packages\/core\/src\/c\.ts:2:\d+ parse: /),
    "4 findings",
  ]);
});
