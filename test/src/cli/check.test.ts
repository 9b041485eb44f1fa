import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { check_scenarios } from "@ringside/scenarios/check/index";
import type { CheckReport } from "@ringside/workers/check-request";
import { afterAll, describe, expect, it } from "vitest";
import { ringside } from "./ringside.ts";

const PROGRAMS = new URL("../../../workers/src/testing/check-programs.ts", import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), "ringside-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** What --json promises: one document on stdout, and nothing else. */
function document(stdout: string): unknown {
  expect(stdout.trimEnd().split("\n")).toHaveLength(1);
  return JSON.parse(stdout);
}

/** The report, and what is wrong if there is none. */
async function report(...args: string[]): Promise<CheckReport & { readonly status: number | null }> {
  const { status, stdout, stderr } = await ringside(["check", ...args, "--json"]);
  expect(stderr).toBe("");
  return { ...(document(stdout) as CheckReport), status };
}

describe("ringside check", () => {
  it("finds the lost update of a user's module, says how, and replays it", async () => {
    const found = await report(`${PROGRAMS}#lost`);
    expect(found).toMatchObject({
      status: 1,
      verdict: "fail",
      strategy: "portfolio",
      seed: 1,
      interrupted: false,
    });
    expect(found.scenario).toBe(`${PROGRAMS}#lost`);
    expect(found.failure).toMatchObject({ kind: "assertion", contextSwitches: 1, preemptions: 1 });
    expect(found.failure?.message).toContain("x is 1, not 2");
    const token = found.failure?.replay as string;
    const again = await ringside(["replay", token, "--times", "100", "--json"]);
    expect(again.status).toBe(1);
    expect(document(again.stdout)).toMatchObject({ times: 100, same: 100, exact: 100, changed: null });
    const human = await ringside(["replay", token]);
    expect(human.stdout).toContain(`replay: ringside replay ${token}`);
  });

  it("proves what it has searched to the end, alone or in shards side by side", async () => {
    for (const args of [[], ["--jobs", "2"]]) {
      const proved = await report(`${PROGRAMS}#added`, "--strategy", "dfs", ...args);
      expect(proved).toMatchObject({ status: 0, verdict: "proved", classes: 2, failure: null, reasons: [] });
      expect(proved.assumptions.length).toBeGreaterThan(0);
    }
    const part = await report(`${PROGRAMS}#added`, "--strategy", "dfs", "--shard", "1/2");
    expect(part).toMatchObject({ status: 0, verdict: "pass", shard: "1/2" });
    expect(part.reasons).toContain("it is shard 1 of 2: the others have to be searched, too");
  });

  it("says pass, not proved, of a search that only ran out of its effort", async () => {
    const passed = await report(`${PROGRAMS}#added`, "--strategy", "random", "--executions", "500");
    expect(passed).toMatchObject({ status: 0, verdict: "pass", executions: 500, classes: null });
  });

  it("goes on from a checkpoint, and from that of another search it does not", async () => {
    const file = join(folder, "checkpoint.json");
    const args = [`${PROGRAMS}#added`, "--strategy", "random", "--executions", "100"];
    await report(...args, "--checkpoint", file);
    expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({ version: 1, jobs: [{ index: 100 }] });
    await report(...args, "--resume", file, "--checkpoint", file);
    expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({ jobs: [{ index: 200 }] });
    const part = join(folder, "part.json");
    writeFileSync(part, JSON.stringify({ version: 1, jobs: [] }));
    expect((await ringside(["check", ...args, "--resume", part])).stderr).toContain("is no checkpoint");
    const other = await ringside(["check", ...args, "--seed", "2", "--resume", file]);
    expect(other).toMatchObject({ status: 2, stdout: "" });
    expect(other.stderr).toContain("the checkpoint is of seed 1");
  });

  it("exports the failure", async () => {
    const exports = ["json", "chrome", "shiviz", "sarif"].map(
      (format) => [format, join(folder, format)] as const,
    );
    await report(
      `${PROGRAMS}#lost`,
      ...exports.flatMap(([format, file]) => ["--export", `${format}:${file}`]),
    );
    const [json, chrome, shiviz, sarif] = exports.map(([, file]) => readFileSync(file, "utf8"));
    expect(JSON.parse(json as string)).toMatchObject({ kind: "assertion" });
    expect(JSON.parse(chrome as string)).toHaveProperty("traceEvents");
    expect(shiviz).toContain("readOnce");
    expect(JSON.parse(sarif as string)).toMatchObject({ version: "2.1.0" });
  });
});

describe("ringside check and replay refuse with exit 2", () => {
  it.for([
    [["token-rechekc"], /unknown scenario "token-rechekc"; nearest: token-recheck/],
    [["token-recheck", "--form", "a9"], /unknown form of token-recheck "a9"; nearest: a1/],
    [["token-recheck", "--strategy", "dfz"], /unknown strategy "dfz"; nearest: dfs/],
    [["token-recheck", "--mutant", "nothing"], /unknown mutant "nothing"; nearest: /],
    [["token-recheck", "--shard", "3/2"], /shard 3\/2: expected I\/N/],
    [["token-recheck", "--detect", "lyfetime"], /unknown detector lyfetime: expected /],
    [
      ["token-recheck", "--export", "png:x"],
      /Expected FORMAT:FILE with a format of json, chrome, shiviz, sarif/,
    ],
    [["token-recheck", "--export", "json:/nothing/x"], /\/nothing\/x cannot be written/],
    [["token-recheck", "--checkpoint", "/nothing/x"], /\/nothing\/x cannot be written/],
    [["token-recheck", "--resume", PROGRAMS], /check-programs\.ts: .*JSON/],
    [["spsc", "--variant", "v3"], /spsc runs no kernel: it has no variants/],
    [
      ["spsc", "--mutant", "map-ref-atomic"],
      /spsc runs no kernel: mutant map-ref-atomic would change nothing/,
    ],
    [["./nothing.ts"], /nothing\.ts: no such file/],
    [[`${PROGRAMS}#lots`], /exports no program lots: expected added, hangs, lost/],
    [[`${PROGRAMS}#lost`, "--form", "a1"], /--form is for scenarios/],
    [[new URL("./ringside.ts", import.meta.url).pathname], /exports no Program.*it exports ringside/],
    [
      [new URL("../../../workers/src/testing/check-outside.ts", import.meta.url).pathname],
      /check-outside\.ts:\d+:\d+: /,
    ],
  ] as const)("%j", async ([args, reason]) => {
    const { status, stdout, stderr } = await ringside(["check", ...args]);
    expect(stderr).toMatch(reason);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  });

  it("a token that is none, a damaged one, and one of another version, each with its reason", async () => {
    const { failure } = await report(`${PROGRAMS}#lost`);
    const token = failure?.replay as string;
    for (const [text, reason] of [
      ["hello", /not a replay token/],
      [token.slice(0, -8), /damaged or cut short/],
      [`${token.slice(0, 8)}A${token.slice(9)}`, /damaged or cut short/],
      [otherVersion(token), /is of version 9, this checker reads version \d/],
    ] as const) {
      const { status, stderr } = await ringside(["replay", text]);
      expect(stderr).toMatch(reason);
      expect(status).toBe(2);
    }
  });
});

/** The same token, said to be of version 9, with its checksum made right. */
function otherVersion(token: string): string {
  const bytes = Buffer.from(token, "base64url");
  bytes[1] = 9;
  const body = bytes.subarray(0, -4);
  const sum = Buffer.alloc(4);
  sum.writeUInt32LE(crc32(body));
  return Buffer.concat([body, sum]).toString("base64url");
}

describe("ringside list", () => {
  it("names scenarios with their forms, and strategies", async () => {
    const [scenarios, strategies] = await Promise.all([
      ringside(["list", "scenarios", "--json"]),
      ringside(["list", "strategies"]),
    ]);
    const listed = document(scenarios.stdout) as {
      name: string;
      forms: { name: string; expect: string }[];
    }[];
    expect(listed.map(({ name }) => name)).toEqual(check_scenarios.map(({ name }) => name));
    for (const { forms } of listed) expect(forms[0]).toMatchObject({ name: "correct", expect: "clean" });
    for (const name of ["random", "pct", "dfs", "portfolio"])
      expect(strategies.stdout).toContain(`${name.padEnd(28)} `);
  });
});
