import { expect, it } from "vitest";
import { ringside } from "./ringside.ts";

it.each([
  ["", /missing command \(expected one of stress, check, replay, conformance, .*list; see ringside --help\)/],
  ["bench --runs 0", /'0' is invalid. Expected a whole number from 1 to 1000/],
  ["bench --ms", /'--ms <ms>' argument missing/],
  ["bench sct --strategies fast", /strategies.*unknown strategy fast: expected .*surw/],
  ["bench sct --programs CS/nothing", /CS\/nothing/],
  ["bench sct --seeds 0", /seeds.*expected a whole number/i],
  ["fly", /unknown command 'fly' \(expected one of stress, check, replay, conformance, .*list; /],
  ["stres", /unknown command 'stres' \(Did you mean stress\?\)/],
  ["--fast", /unknown option '--fast'/],
  ["stress --fast", /unknown option '--fast' \(see ringside stress --help\)/],
  ["stress --secnds 3", /unknown option '--secnds' \(Did you mean --seconds\?\)/],
  ["stress --seconds", /'--seconds <s>' argument missing/],
  ["stress --seconds 0", /'0' is invalid. Expected a number above 0, at most 86400/],
  ["stress --cpus 0", /'0' is invalid. Expected a whole number from 2 to 64/],
  ["stress --cpus 1000000", /'1000000' is invalid. Expected a whole number from 2 to 64/],
  ["stress --depth -5", /'-5' is invalid. Expected a whole number from 1 to 1024/],
  ["stress --bs 513", /'513' is invalid. Expected a multiple of 512 from 512 to 4194304/],
  ["stress --bs 1t", /'1t' is invalid. Expected a multiple of 512/],
  ["stress --seed 1.5", /'1.5' is invalid. Expected a whole number/],
  ["stress --variant v4", /'v4' is invalid. Allowed choices are v3, v3-fixed/],
  ["stress --iommu on", /'on' is invalid. Allowed choices are strict, lazy, passthrough/],
  ["stress --mutant recheck-remove", /unknown mutant "recheck-remove"; nearest: recheck-removed, /],
  ["stress fast", /too many arguments for 'stress'. Expected 0 arguments but got 1/],
  ["stress --completion poll", /completion poll: expected buffer registered/],
  [
    "stress --cpus 64 --depth 1024 --bs 4m",
    /the machine needs \d+ MiB of memory and \d+ MiB of I\/O addresses, more than 2048 MiB hold: take fewer/,
  ],
  ["rcutorture --flavor srcu", /'srcu' is invalid. Allowed choices are qsbr, busted/],
  ["rcutorture --readers 0", /'0' is invalid. Expected a whole number from 1 to 60/],
  ["nvme format", /'format' is invalid .* Allowed choices are list, id-ctrl, /],
  ["nvme", /missing required argument 'list\|id-ctrl\|/],
  ["list", /missing required argument 'benches\|mutants\|scenarios\|strategies\|suites\|workloads'/],
  [
    "list things",
    /'things' is invalid .* Allowed choices are benches, mutants, scenarios, strategies, suites, workloads/,
  ],
])("ringside %s: exit 2 and one line that says what was expected", async (line, expected) => {
  const { status, stdout, stderr } = await ringside(line.split(" ").filter((word) => word !== ""));
  expect(stderr).toMatch(/^error: [^\n]*\n$/);
  expect(stderr).toMatch(expected);
  expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
});

const STRESS_FLAGS = (
  "--cpus --seconds --depth --bs --rw --buffer --invalidate-ms --variant " +
  "--iommu --percpu --completion --kasan --seed --mutant --json"
).split(" ");

it.each([
  ["--help", ["stress", "nvme", "list"]],
  ["stress --help", STRESS_FLAGS],
  ["nvme --help", ["--json", "list", "id-ctrl", "id-ns", "smart-log", "error-log", "show-regs"]],
  ["list --help", ["--json", "mutants", "workloads"]],
])("ringside %s mentions everything there is", async (line, words) => {
  const { status, stdout, stderr } = await ringside(line.split(" "));
  expect(stdout).toMatch(/^Usage: ringside /);
  for (const word of words) expect(stdout).toContain(word);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
});
