import { MUTANTS } from "@ringside/mutants/index";
import { workloads } from "@ringside/scenarios/index";
import type { StressReport } from "@ringside/workers/stress";
import { describe, expect, it } from "vitest";
import { ringside } from "./ringside.ts";

/** What --json promises: one document on stdout, and nothing else. */
function document(stdout: string): unknown {
  expect(stdout.trimEnd().split("\n")).toHaveLength(1);
  return JSON.parse(stdout);
}

describe("ringside list", () => {
  it("names every mutant and what it breaks", async () => {
    const { status, stdout, stderr } = await ringside(["list", "mutants"]);
    for (const { name, breaks } of MUTANTS) expect(stdout).toContain(`${name.padEnd(28)} ${breaks}\n`);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  });

  it("gives them as JSON too", async () => {
    const [mutants, known] = await Promise.all([
      ringside(["list", "mutants", "--json"]),
      ringside(["list", "workloads", "--json"]),
    ]);
    expect(document(mutants.stdout)).toEqual(MUTANTS.map(({ name, breaks }) => ({ name, about: breaks })));
    expect(document(known.stdout)).toEqual(Object.keys(workloads).map((name) => ({ name, about: "" })));
  });
});

describe("ringside conformance", () => {
  it("lists suites and cases, as text and as JSON", async () => {
    const [suites, text, json] = await Promise.all([
      ringside(["list", "suites"]),
      ringside(["conformance", "--list"]),
      ringside(["conformance", "--list", "--json"]),
    ]);
    const listed = document(json.stdout) as { name: string; source: string; cases: string[] }[];
    expect(listed.length).toBeGreaterThan(5);
    for (const { name, source, cases } of listed) {
      expect(suites.stdout).toContain(`${name.padEnd(28)} ${source}\n`);
      expect(text.stdout).toContain(`${name} (${source})\n  ${cases.join("\n  ")}\n`);
    }
    expect([suites.status, text.status, json.status]).toEqual([0, 0, 0]);
  });

  it("runs one case, and says how it went", async () => {
    const args = ["conformance", "st-dma-fence", "--case", "sanitycheck"];
    const [human, machine] = await Promise.all([ringside(args), ringside([...args, "--json"])]);
    expect(human.stdout).toMatch(/^st-dma-fence \(.*\): 1 passed, 0 failed, 0 skipped\n/);
    expect(human.stdout).toMatch(/\n\S*1 passed, 0 failed, 0 skipped\S*\n$/);
    expect(document(machine.stdout)).toMatchObject({
      ok: true,
      seed: 1,
      suites: [{ name: "st-dma-fence", passed: 1, cases: [{ name: "sanitycheck", ok: true, detail: "" }] }],
    });
    expect([human, machine].map(({ status, stderr }) => ({ status, stderr }))).toEqual([
      { status: 0, stderr: "" },
      { status: 0, stderr: "" },
    ]);
  });

  it("with a mutant lists the case that must catch it", async () => {
    const { stdout } = await ringside(["conformance", "--list", "--mutant", "fence-wait-of-0"]);
    expect(stdout).toBe("st-dma-fence (drivers/dma-buf/st-dma-fence.c)\n  test_wait\n");
  });

  it("with a mutant runs the case that must catch it, exits 1 and says how to repeat it", async () => {
    const mutant = MUTANTS.find((each) => each.conformance !== undefined);
    const { status, stdout, stderr } = await ringside(["conformance", "--mutant", mutant?.name ?? "none"]);
    const { suite = "", case: name = "" } = mutant?.conformance ?? {};
    expect(stdout).toContain(`FAIL ${suite}/${name}\n`);
    expect(stdout).toMatch(
      new RegExp(`again with: ringside conformance ${suite} --case .* --seed 1 --mutant ${mutant?.name}\\n`),
    );
    expect(stdout).toMatch(/\n\S*0 passed, 1 failed, 0 skipped\S*\n$/);
    expect({ status, stderr }).toEqual({ status: 1, stderr: `FAIL ${suite}/${name}\n` });
  });

  it.each([
    [["st-dma-fense"], /^error: unknown suite "st-dma-fense"; nearest: st-dma-fence, /],
    [["lkdtm"], /^error: unknown suite "lkdtm"; nearest: lkdtm-refcount, /],
    [["--case", "sanitychek"], /^error: unknown case "sanitychek"; nearest: sanitycheck, /],
    [["--mutant", "nope"], /unknown mutant "nope"; nearest: .* \(see ringside list mutants\)\n$/],
    [["--repeat", "0"], /Expected a whole number/],
  ])("%j is bad usage: exit 2 and one line", async (args, line) => {
    const { status, stdout, stderr } = await ringside(["conformance", ...args]);
    expect(stderr).toMatch(line);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  });
});

describe("ringside nvme", () => {
  it.each([
    ["list", /\/dev\/nvme0n1 .* ringside NVMe Controller /, { Devices: expect.anything() as unknown }],
    ["id-ctrl", /^mn +: ringside NVMe Controller/m, { mn: expect.stringContaining("ringside") as unknown }],
    ["id-ns", /^nsze +: /m, { nsze: expect.any(Number) as unknown }],
    ["smart-log", /^percentage_used/m, { critical_warning: 0 }],
    ["error-log", /Entry\[ 0\]/, { errors: expect.any(Array) as unknown }],
    ["show-regs", /^cap +: /m, { cap: expect.anything() as unknown }],
  ])("%s shows the controller, as text and as JSON", async (what, text, json) => {
    const [human, machine] = await Promise.all([
      ringside(["nvme", what]),
      ringside(["nvme", what, "--json"]),
    ]);
    expect(human.stdout).toMatch(text);
    expect({ status: human.status, stderr: human.stderr }).toEqual({ status: 0, stderr: "" });
    expect(document(machine.stdout)).toMatchObject(json);
    expect({ status: machine.status, stderr: machine.stderr }).toEqual({ status: 0, stderr: "" });
  });
});

describe("ringside stress", () => {
  it("ends with a table and a last line that says pass and the seed", async () => {
    const { status, stdout } = await ringside(["stress", "--seconds", "0.5", "--seed", "77"]);
    expect(stdout).toMatch(/\n\S*pass: [\d.]+ s, seed 77; nothing broke\S*\n$/);
    expect(status).toBe(0);
  });

  it("with --json prints the report and nothing else on stdout", async () => {
    const { status, stdout, stderr } = await ringside([
      "stress",
      "--seconds",
      "0.5",
      "--seed",
      "5",
      "--json",
    ]);
    const report = document(stdout) as StressReport;
    expect(report).toMatchObject({ ok: true, seed: 5, variant: "v3-fixed", violations: [], leaks: [] });
    expect(stderr, "the progress").toMatch(/^ringside stress --seconds 0.5 --seed 5\n/);
    expect(status).toBe(0);
  });

  it.each([[[]], [["--json"]]])("with a mutant exits 1 and says how to repeat it %j", async (json) => {
    const args = "stress --mutant unmap-unlocked --seconds 3 --seed 9 --depth 8".split(" ");
    const { status, stdout, stderr } = await ringside([...args, ...json]);
    const said = json.length > 0 ? stderr : stdout;
    expect(said).toContain(
      "again with: ringside stress --seconds 3 --depth 8 --seed 9 --mutant unmap-unlocked",
    );
    if (json.length > 0) {
      const report = document(stdout) as StressReport;
      expect(report).toMatchObject({ ok: false, mutant: "unmap-unlocked" });
      expect(report.warnings.join("\n")).toContain("resv not held");
    }
    expect(status).toBe(1);
  });

  it.each([[[]], [["--json"]]])(
    "ends on Ctrl-C with a report, exit 130, no stuck process %j",
    async (json) => {
      let interrupted = 0;
      const { status, stdout } = await ringside(["stress", "--seconds", "600", ...json], (child) => {
        // The run has begun.
        if (interrupted === 0) child.kill("SIGINT");
        interrupted ||= performance.now();
      });
      if (json.length > 0) expect(document(stdout)).toMatchObject({ interrupted: true, violations: [] });
      else expect(stdout).toMatch(/interrupted: [\d.]+ s, seed \d+; 0 violations, 0 warnings, 0 leaks/);
      expect(status).toBe(130);
      // Seconds when the machine is idle; the child is killed after a minute, so this one only says "soon".
      expect(performance.now() - interrupted).toBeLessThan(30_000);
    },
  );
});
