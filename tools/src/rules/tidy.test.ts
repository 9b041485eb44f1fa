import { describe, expect, it } from "vitest";
import { check } from "../testing/check.ts";
import { tidy } from "./tidy.ts";

const HEAD = "/** What it is. */\n";
const one = (path: string, source: string): string[] => check(tidy, { [path]: source });
const core = (source: string): string[] => one("packages/core/src/a.ts", HEAD + source);
const body = (lines: number): string => "  f();\n".repeat(lines);

describe("sizes", () => {
  it("a line has at most 120 columns, in tests too", () => {
    const line = (columns: number): string => `//${"x".repeat(columns - 2)}`;
    expect(core(line(121))).toEqual(["packages/core/src/a.ts:2 121 columns, at most 120"]);
    expect(one("packages/core/src/a.test.ts", line(121))).toHaveLength(1);
    expect(core(line(120)), "control").toEqual([]);
  });

  it("a function has at most 70 lines from first to last", () => {
    expect(core(`function big() {\n${body(69)}}`)).toEqual([expect.stringContaining("big has 71 lines")]);
    expect(core(`class C {\n  method() {\n${body(69)}}\n}`)).toEqual([
      expect.stringContaining("method has 71"),
    ]);
    expect(core(`const arrow = () => {\n${body(69)}};`)).toEqual([expect.stringContaining("arrow has 71")]);
    expect(core(`function big() {\n${body(68)}}`), "control: 70").toEqual([]);
    const test = `it("x", () => {\n${body(90)}});`;
    expect(one("packages/core/src/a.test.ts", test), "control: tests").toEqual([]);
  });

  it("a file has at most 350 lines", () => {
    expect(core("f();\n".repeat(350))).toEqual([expect.stringContaining("file of 351 lines")]);
    expect(core("f();\n".repeat(349)), "control: 350").toEqual([]);
    expect(one("packages/core/src/a.test.ts", "f();\n".repeat(500)), "control: tests").toEqual([]);
  });
});

describe("head comments", () => {
  it.each(["packages/core/src/mm/a.ts", "workers/src/a.ts", "scenarios/src/a.ts"])("%s has one", (path) => {
    expect(one(path, "export const a = 1; // not a head")).toEqual([
      expect.stringContaining("no head comment"),
    ]);
    expect(one(path, "/** */\nexport const a = 1;"), "an empty one").toHaveLength(1);
    expect(one(path, `${HEAD}export const a = 1;`), "control").toEqual([]);
    expect(one(path, `#!/usr/bin/env node\n\n${HEAD}`), "control: after #!").toEqual([]);
  });

  it.each([
    "packages/core/src/index.ts",
    "packages/core/src/a.test.ts",
    "packages/core/scripts/a.ts",
    "bench/src/a.ts",
  ])("control: %s needs none", (path) => expect(one(path, "export const a = 1;")).toEqual([]));
});

describe("words", () => {
  it("leftovers are found in code, comments and strings", () => {
    const words = ["FIX~ME", "X~XX", "remove before ~merge", "Remove before ~merge"];
    for (const halves of words) {
      const word = halves.replace("~", "");
      expect(core(`// ${word}: later`)).toHaveLength(1);
      expect(core(`"${word}";`)).toHaveLength(1);
    }
    expect(core("const XXX_SIZE = 4; // merge"), "control").toEqual([]);
  });

  it("a test name does not start with should", () => {
    const test = (source: string): string[] => one("packages/core/src/a.test.ts", source);
    expect(test('it("should work", f);')).toHaveLength(1);
    expect(test("test(`Should work ${x}`, f);")).toHaveLength(1);
    expect(test('it.each([1])("should work", f);')).toHaveLength(1);
    expect(test('describe.concurrent("should work", f);')).toHaveLength(1);
    expect(test('it("shoulders the load", f); expect("should").toBe(1);'), "control").toEqual([]);
  });
});
