/** check: what a report says of programs that fail, pass, are proved, and are none. */
import { expect, test } from "vitest";
import { check, replay } from "./check.ts";
import type { Program } from "./program.ts";
import { hand, lostUpdate, X } from "./testing/hand.ts";

const added: Program = {
  name: "added",
  threads: [1, 2].map(() =>
    hand(function* (m) {
      if (m.$fetchAdd(X, 1, 0)) yield;
      m.$go();
    }),
  ),
};

const QUIET = { races: false };

test("a failing program is explained, in data and in words, and its token repeats it", () => {
  const report = check(lostUpdate(), { detect: QUIET });
  expect(report).toMatchObject({ verdict: "fail", strategy: "portfolio", seed: 1, proof: null });
  expect(report.failure).toMatchObject({ kind: "assertion", contextSwitches: 1 });
  expect(report.text).toContain("x is 1, not 2");
  expect(report.text).toContain(`replay: token ${report.failure?.replay}`);
  const token = report.failure?.replay as string;
  expect(replay(lostUpdate(), token, QUIET)).toMatchObject({ same: true, exact: true, changed: undefined });
  expect(replay(added, token)).toMatchObject({ same: false, exact: false });
});

test("with detectors on, the race is reported before anything goes wrong because of it", () => {
  expect(check(lostUpdate()).failure?.kind).toBe("data-race");
});

test("only a search that came to its end says proved", () => {
  expect(check(added, { strategy: "dfs" })).toMatchObject({ verdict: "proved", failure: null });
  expect(check(added, { strategy: "dfs", executions: 1 })).toMatchObject({ verdict: "pass", proof: null });
  expect(check(added, { strategy: "dfs", shard: { index: 0, count: 2 } }).verdict).toBe("pass");
  expect(check(added, { strategy: "random", executions: 10 })).toMatchObject({
    verdict: "pass",
    executions: 10,
  });
});

test("a search that is stopped can be resumed, and is complete then", () => {
  let left = 1;
  const options = { strategy: "dfs", stop: () => left-- <= 0 };
  const begun = check(added, options);
  expect(begun).toMatchObject({ verdict: "pass", executions: 1, proof: null });
  const state = JSON.parse(JSON.stringify(begun.state)) as typeof begun.state;
  const rest = check(added, { strategy: "dfs", resume: state });
  expect(rest).toMatchObject({ verdict: "proved", proof: { classes: 2 } });
  expect(begun.executions + rest.executions).toBe(2);
});

test("a program that keeps state outside its memory is told so", () => {
  let turn = 0;
  const program: Program = {
    name: "forgetful",
    threads: [1, 2].map(() =>
      hand(function* (m) {
        if (m.$write(X, turn++, 0)) yield;
        m.$go();
      }),
    ),
  };
  expect(check(program).failure?.kind).toBe("nondeterminism");
});

test("names and programs that are not there are range errors", () => {
  expect(() => check(added, { strategy: "dpro" })).toThrow(/unknown strategy dpro/);
  expect(() => check({ name: "empty", threads: [] })).toThrow(/0 threads/);
});
