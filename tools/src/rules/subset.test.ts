import { describe, expect, it } from "vitest";
import { check, checkCore } from "../testing/check.ts";
import { subset } from "./subset.ts";

const core = (source: string): string[] => checkCore(subset, source);

describe("what two-way source does not use", () => {
  it.each([
    "function f() { return Date.now(); }",
    "function f() { return new Date(); }",
    "function f() { return Math.random(); }",
    "function f() { return performance.now(); }",
    "function f() { return globalThis.performance; }",
    "function f() { console.log(1); }",
    "function f() { setTimeout(f, 1); }",
    "function f() { return new Promise(f); }",
    "async function f() {}",
    "const f = async () => 1;",
    "class C { async f() {} }",
    "await f();",
    "function* f() {}",
    "class C { *f() {} }",
    "function f() { try { g(); } catch {} }",
    "let count = 0;",
    "export let count = 0;",
    "var count = 0;",
    "const cache = new Map();",
  ])("%s", (source) => {
    expect(core(source)).toHaveLength(1);
  });

  it.each([
    "function f(cpu) { return cpu.now() + cpu.random() + Math.max(1, 2); }",
    "function f(cpu) { cpu.console.log(1); return { Date: 1, performance() {} }; }",
    "function f(cpu, performance) { return performance; }",
    "function f() { let count = 0; var x = 1; const cache = new Map(); return count + x + cache.size; }",
    "const names = new Map([[1, 'one']]); const table = [1, 2];",
    "function f() { throw new Error('impossible'); }",
    "// Date, Math.random, console: words in a comment",
  ])("control: %s", (source) => {
    expect(core(source)).toEqual([]);
  });
});

describe("permits", () => {
  it("a try says why it is not control flow", () => {
    const body = "try { f(); } finally { g(); }";
    expect(core(`function f() {\n// not control flow: ends a dead thread\n${body} }`)).toEqual([]);
    expect(core(`function f() {\n// not control flow:\n${body} }`), "no reason").toHaveLength(1);
    expect(core(`function f() {\n// not control flow: x\n\n${body} }`), "too far").toHaveLength(1);
  });

  it("module state says why it is equal in all threads", () => {
    expect(core("// link time: module order is the same everywhere\nlet end = 0;")).toEqual([]);
    expect(core("let end = 0; // link time: module order is the same everywhere")).toEqual([]);
    expect(core("let a = 0; // link time: x\nlet b = 0;"), "each its own").toEqual([
      expect.stringMatching(/^2 /),
    ]);
  });
});

it("control: tests, workers and tools use what they like", () => {
  for (const path of ["packages/core/src/a.test.ts", "packages/core/src/testing/a.ts", "workers/src/a.ts"]) {
    expect(check(subset, { [path]: "let x = Date.now(); await x;" })).toEqual([]);
  }
});
