/** The samples of output in the docs are what the examples print: all but the numbers, which searches may change. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

const ROOT = new URL("../../../", import.meta.url);
const CHECKER = fileURLToPath(new URL("packages/checker/", ROOT));

async function output(example: string): Promise<string> {
  const args = ["--import", "@ringside/checker/register", `examples/${example}`];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: CHECKER, timeout: 60_000 });
  return stdout;
}

/** Numbers and how lines are broken are left out. */
function gist(text: string): string {
  return text
    .replace(/\s+/g, " ")
    .replace(/0x[\da-f]+/g, "0x#")
    .replace(/\d[\d.,]*/g, "#");
}

function samples(page: string): string[] {
  const text = readFileSync(new URL(page, ROOT), "utf8");
  return [...text.matchAll(/```text\n(.*?)```/gs)].map(([, sample]) => sample as string);
}

describe("the docs show what is printed", () => {
  it.for([
    ["packages/checker/README.md", ["lost-update.ts"]],
    ["docs/checking-your-own-code.md", ["check-mailbox.ts", "check-raw-mailbox.ts"]],
  ] as const)("%s", async ([page, examples]) => {
    const printed = gist((await Promise.all(examples.map(output))).join("\n"));
    const shown = samples(page);
    expect(shown.length).toBeGreaterThan(0);
    for (const sample of shown) expect(printed).toContain(gist(sample).trim());
  });

  it("code in the docs is code of the examples", () => {
    const page = readFileSync(new URL("docs/checking-your-own-code.md", ROOT), "utf8");
    const examples = ["mailbox.ts", "check-raw-mailbox.ts"].map((name) =>
      readFileSync(new URL(`packages/checker/examples/${name}`, ROOT), "utf8"),
    );
    const functions = [...page.matchAll(/^export function .*?^\}/gms)].map(([text]) => text);
    expect(functions).toHaveLength(3);
    for (const text of functions) expect(examples.some((example) => example.includes(text))).toBe(true);
  });
});
