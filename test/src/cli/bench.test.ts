import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ringside } from "./ringside.ts";

interface Document {
  readonly environment: Readonly<Record<string, unknown>>;
  readonly results: readonly Readonly<Record<string, unknown>>[];
}

const SIDE = { name: expect.any(String) as unknown, value: expect.any(Number) as unknown };

describe("ringside bench", () => {
  it("lists its benches, and they are what an unknown name is told", async () => {
    const [listed, unknown] = await Promise.all([
      ringside(["list", "benches", "--json"]),
      ringside(["bench", "nope", "--json"]),
    ]);
    const names = (JSON.parse(listed.stdout) as { name: string }[]).map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(["percpu", "rcu", "spsc"]));
    expect(unknown.stderr).toBe(`error: unknown bench "nope"; expected one of ${names.join(", ")}\n`);
    expect({ status: unknown.status, stdout: unknown.stdout }).toEqual({ status: 2, stdout: "" });
  });

  it.for([
    ["--plot", "/no-such-directory/x.svg", "ENOENT"],
    ["--results", "/", "it is a directory"],
  ] as const)("refuses %s %s before it measures", async ([option, file, reason]) => {
    const { status, stderr } = await ringside(["bench", "rcu", option, file]);
    expect(stderr).toContain(`error: cannot write ${file}: ${reason}`);
    expect(status).toBe(2);
  });

  it("with --json prints one document: the environment, and ours beside every peer", async () => {
    const { status, stdout, stderr } = await ringside(["bench", "rcu", "--quick", "--json"]);
    const { environment, results } = JSON.parse(stdout) as Document;
    expect(environment).toMatchObject({
      node: process.versions.node,
      v8: process.versions.v8,
      cores: expect.any(Number) as unknown,
      loadAtStart: expect.any(Number) as unknown,
      flags: expect.arrayContaining(["--max-inlined-bytecode-size-cumulative=4000"]) as unknown,
    });
    expect(results.map(({ name }) => name)).toEqual(["read section", "read section in 2 threads"]);
    for (const result of results) {
      expect(Object.keys(result).slice(0, 5)).toEqual(["name", "unit", "ours", "peers", "limit"]);
      expect(result).toMatchObject({ unit: "ns", ours: expect.any(Number) as unknown, limit: null });
    }
    const shared = { ...SIDE, name: expect.stringContaining("Atomics") as unknown };
    expect(results[1]?.["peers"]).toContainEqual(expect.objectContaining(shared));
    expect(stderr, "the progress").toMatch(/^\[1\/2\] rcu: read section: /m);
    expect(status).toBe(0);
  });

  it("ends on Ctrl-C with what it has measured, exit 130", async () => {
    let interrupted = false;
    const args = ["bench", "percpu", "rcu", "--runs", "20", "--ms", "1", "--json"];
    const { status, stdout } = await ringside(args, (child, text) => {
      // The first comparison is done, many are not.
      if (!interrupted && text.includes("[1/")) {
        interrupted = true;
        child.kill("SIGINT");
      }
    });
    const { results } = JSON.parse(stdout) as Document;
    expect(results[0]).toMatchObject({ bench: "percpu", runs: 20 });
    expect(results.length).toBeLessThan(6);
    expect(status).toBe(130);
  });

  it("does not wait for a run that would last a minute, and leaves the results of the last time", async () => {
    const home = await mkdtemp(join(tmpdir(), "ringside-results-"));
    const file = join(home, "results.md");
    await writeFile(file, "as it was\n");
    const args = ["bench", "rcu", "--runs", "1", "--ms", "59000", "--results", file];
    try {
      // Once: what it says first is how many comparisons there are, as the first run begins.
      let said = false;
      const { status, stdout, stderr } = await ringside(args, (child) => {
        if (!said) child.kill("SIGINT");
        said = true;
      });
      expect(stdout).toBe("nothing was measured\n");
      expect(stderr).toContain("left as it was");
      expect(await readFile(file, "utf8")).toBe("as it was\n");
      expect(status).toBe(130);
    } finally {
      await rm(home, { recursive: true });
    }
  });
});
