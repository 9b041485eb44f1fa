import { expect, it } from "vitest";
import { check } from "../testing/check.ts";
import { cycles } from "./cycles.ts";

const A = "packages/core/src/a.ts";
const B = "packages/core/src/b.ts";
const C = "packages/core/src/c.ts";

it("two modules that import each other are a cycle, told once", () => {
  const found = check(cycles, { [A]: "\nimport { b } from './b.ts';", [B]: "import { a } from './a.ts';" });
  expect(found).toEqual([`${A}:2 import cycle: ${A} -> ${B} -> ${A}`]);
});

it("a long way round, over package names and export-from, is a cycle", () => {
  const found = check(cycles, {
    [A]: "import '@ringside/core/b';",
    [B]: "export * from './c.ts';",
    [C]: "export { a } from './a.ts';",
  });
  expect(found).toEqual([`${A}:1 import cycle: ${A} -> ${B} -> ${C} -> ${A}`]);
});

it("a module that imports itself is a cycle", () => {
  expect(check(cycles, { [A]: "import './a.ts';" })).toHaveLength(1);
});

it("import { type X } loads the module, so it closes a cycle", () => {
  expect(check(cycles, { [A]: "import { type b } from './b.ts';", [B]: "import './a.ts';" })).toHaveLength(1);
});

it("control: import type, export type and import() close none, nor does a diamond", () => {
  const back = (line: string): string[] => check(cycles, { [A]: "import './b.ts';", [B]: line });
  expect(back("import type { a } from './a.ts';")).toEqual([]);
  expect(back("export type { a } from './a.ts';")).toEqual([]);
  expect(back("const a = await import('./a.ts');")).toEqual([]);
  const D = "packages/core/src/d.ts";
  const diamond = {
    [A]: "import './b.ts'; import './c.ts';",
    [B]: "import './d.ts';",
    [C]: "import './d.ts';",
  };
  expect(check(cycles, { ...diamond, [D]: "" })).toEqual([]);
});

it("two cycles are told apart", () => {
  const D = "packages/core/src/d.ts";
  const first = { [A]: "import './b.ts';", [B]: "import './a.ts'; import './c.ts';" };
  const second = { [C]: "import './d.ts';", [D]: "import './c.ts';" };
  expect(check(cycles, { ...first, ...second })).toHaveLength(2);
});
