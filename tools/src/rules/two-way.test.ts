import { describe, expect, it } from "vitest";
import { check, checkCore } from "../testing/check.ts";
import { twoWay } from "./two-way.ts";

const core = (source: string): string[] => checkCore(twoWay, source);
/** One finding, about this. */
const about = (text: string): string[] => [expect.stringContaining(text) as string];

describe("the closure", () => {
  it("control: functions and methods that step, called from functions and methods, are fine", () => {
    const source = `
      export function leaf(cpu, p) { return cpu.mem.read(p); }
      export function middle(cpu, p) { for (;;) { if (leaf(cpu, p)) break; } }
      export class Box { mem; load(p) { return this.mem.read(p); } twice(p) { return this.load(this.load(p)); } }
      const table = { open(cpu) { return leaf(cpu, 4); } };`;
    expect(core(source)).toEqual([]);
  });

  it("goes through files, packages, methods and inner closures, and says by which way", () => {
    const found = check(twoWay, {
      "packages/core/src/a.ts": "export class A { deep(cpu) { cpu.mem.wait(4); } }",
      "packages/core/src/b.ts": "export function b(cpu, a) { if (a) { a.deep(cpu); } }",
      "scenarios/src/c.ts": "export class C { get x() { return b(this.cpu, 1); } }",
    });
    expect(found).toEqual(["scenarios/src/c.ts:1 step in a getter: use a method: b -> deep -> mem.wait"]);
  });

  it("leaves programs of the checker to the loader, and only those", () => {
    const source = "export const program = { threads: [(mem) => mem.read(4)] };";
    expect(check(twoWay, { "scenarios/src/check/p.ts": source })).toEqual([]);
    expect(check(twoWay, { "scenarios/src/p.ts": source })).toHaveLength(1);
  });

  it.each(["mem.read(4)", "cpu.mem.read(4)", "this.memory.read(4)", "memory.read(4)", "cpu.mem?.read(4)"])(
    "%s is a step",
    (step) => expect(core(`class C { get x() { return ${step}; } }`)).toHaveLength(1),
  );

  it.each([
    "file.read(4)",
    "cpu.mem.size",
    "mem.unknown(4)",
    "Math.max(1, 2)",
    "[].map((x) => x)",
    "pure(4)",
  ])("control: %s is not", (code) =>
    expect(core(`class C { get x() { return ${code}; } } function pure(a) { return a; }`)).toEqual([]),
  );

  it("a table entry under another name leads on", () => {
    const source = "function my_open(cpu) { cpu.mem.read(4); } const ops = { open: my_open };";
    expect(core(`${source} class C { get x() { return this.ops.open(this.cpu); } }`)).toEqual(
      about("open -> my_open -> mem.read"),
    );
  });

  it("recursion ends", () => {
    expect(core("function a(cpu) { b(cpu); } function b(cpu) { a(cpu); cpu.mem.read(4); }")).toEqual([]);
  });

  it("control: tests, testing folders, scripts and Memory's own classes are left alone", () => {
    const source = "export class KasanMemory extends Memory { get x() { return this.mem.read(4); } }";
    for (const path of ["a.test.ts", "testing/a.ts", "a.ts"]) {
      expect(check(twoWay, { [`packages/core/src/${path}`]: source })).toEqual([]);
    }
    const plain = "export class C { get x() { return this.mem.read(4); } }";
    for (const path of ["packages/core/scripts/a.ts", "workers/src/a.ts", "packages/cli/src/a.ts"]) {
      expect(check(twoWay, { [path]: plain })).toEqual([]);
    }
    expect(
      check(twoWay, { "packages/atomics-sync/src/mutex.ts": plain }),
      "but primitives are not",
    ).toHaveLength(1);
  });
});

describe("where a step may not stand", () => {
  const STEP = "function step(cpu) { return cpu.mem.read(4); }";
  it.each([
    ["in a getter", "class C { get x() { return step(cpu); } }"],
    ["in a setter", "class C { set x(v) { step(cpu); } }"],
    ["in a getter", "function f() { return { get x() { return step(cpu); } }; }"],
    ["in a constructor", "class C { constructor(cpu) { step(cpu); } }"],
    ["in a default value", "function f(cpu, x = step(cpu)) {}"],
    ["in a field initialiser", "class C { x = step(cpu); }"],
    ["in a field initialiser", "class C { static x = mem.read(4); }"],
    ["in a static block", "class C { static { step(cpu); } }"],
    ["in a tagged template", "function f(cpu) { return tag`${mem.read(4)}`; }"],
    ["in a callback", "function f(cpu, list) { for (;;) list.map((x) => step(cpu)); }"],
    ["in a callback", "function f(cpu, list) { list.forEach(function (x) { if (x) mem.read(x); }); }"],
    ["in a callback", "kernel_initcall((cpu) => { step(cpu); });"],
    ["in a closure", "function f(cpu) { const g = () => step(cpu); g(); }"],
    ["in a closure", "const f = (cpu) => step(cpu);"],
    ["in a closure", "function f(cpu) { return () => step(cpu); }"],
    ["in a closure", "const table = { open: (cpu) => step(cpu) };"],
    ["in a closure", "class C { open = (cpu) => step(cpu); }"],
    ["at module level", "const x = step(cpu);"],
    ["at module level", "export const x = { y: mem.read(4) };"],
  ])("%s: %s", (place, source) => {
    expect(core(`${STEP} ${source}`)).toEqual(about(`step ${place}`));
  });

  it.each([
    "class C { get x() { return 4; } constructor() { this.y = pure(1); } z = pure(2); }",
    "function f(cpu, list) { return list.map((x) => pure(x)).sort((a, b) => a - b); }",
    "function f(cpu, x = pure(1)) { return `${x}`; }",
    "function f(cpu) { const x = step(cpu); return `${x}`; }",
    "function f(cpu, list) { list.push(step(cpu)); const y = { z: step(cpu) }; return [step(cpu), y]; }",
    "class C { get x() { return new D(); } m(cpu) { function inner() { return step(cpu); } return inner(); } }",
  ])("control: %s", (source) => {
    expect(core(`${STEP} function pure(x) { return x; } ${source}`)).toEqual([]);
  });
});

describe("names", () => {
  it.each(["push", "get", "set", "fill", "call", "sort", "then", "toString", "at", "subarray", "max", "add"])(
    "a function or method that steps is not called %s",
    (name) => {
      const what = about(`${name} is also the name of a built-in method`);
      expect(core(`export function ${name}(cpu) { cpu.mem.read(4); }`)).toEqual(what);
      expect(core(`export class C { ${name}(cpu) { cpu.mem.read(4); } }`)).toEqual(what);
    },
  );

  it("control: one that does not step may be, and length or constructor are no methods", () => {
    expect(core("class C { push(x) { return x; } get(x) { return x; } }")).toEqual([]);
    expect(core("class C { constructor() {} length(cpu) { cpu.mem.read(4); } }")).toEqual([]);
  });

  it("a function that steps keeps its name across modules", () => {
    const a = "export function step(cpu) { cpu.mem.read(4); } export function pure() {}";
    const both = (line: string): string[] =>
      check(twoWay, { "packages/core/src/a.ts": a, "packages/core/src/b.ts": line });
    expect(both('import { step as other } from "./a.ts";')).toEqual(about("it keeps its name"));
    expect(both('export { step as other } from "./a.ts";')).toEqual(about("it keeps its name"));
    expect(both('import { step, pure as other } from "./a.ts"; export { step };'), "control").toEqual([]);
  });
});

describe("functions as values", () => {
  const STEP = "function step(cpu) { return cpu.mem.read(4); } function pure(x) { return x; }";
  it.each([
    "function f(list) { list.map(step); }",
    "function f() { const g = step; }",
    "function f() { return step; }",
    "function f(p, callback = step) {}",
    "function f(cpu) { cpu.hook = step; }",
    "const other = step;",
    "const other = wrap(step);",
  ])("%s", (source) => {
    expect(core(`${STEP} ${source}`)).toEqual(about("step as a value"));
  });

  it.each([
    "const STEP = kernel_symbol(step); kernel_initcall(step); kernel_exitcall(step);",
    "kernel_rodata('ops', [kernel_symbol(step), 0]);",
    "export const scenario = { name: 'x', setup: step, threads: [step, step] };",
    "export default step;",
    "function f(list) { return list.map(pure); }",
    "function f(x) { const step = 4; return x + step + x.step; }",
    "function f({ step }) { return step; }",
  ])("control: %s", (source) => {
    expect(core(`${STEP} ${source}`)).toEqual([]);
  });
});

describe("calls of values", () => {
  it.each([
    "function f(cpu, callback) { callback(cpu); }",
    "function f(cpu, table) { table[3](cpu); }",
    "function f(cpu, table) { (table[3] as Function)(cpu); }",
    "function f(cpu, table) { for (const entry of table) entry(cpu); }",
    "function f(cpu) { const g = h(); g(cpu); }",
    "function f(cpu) { h()(cpu); }",
  ])("%s", (source) => {
    expect(core(source)).toEqual(about("call of a value"));
    expect(core(source.replace("{ ", "{\n// indirect: a host function\n")), "control: permitted").toEqual([]);
  });

  it("counts as a step: nobody knows what it reaches", () => {
    const source = "function symbol_call(cpu, id) { return functions[id](cpu); }";
    const found = check(twoWay, {
      "packages/core/src/debug/image.ts": source,
      "packages/core/src/a.ts": "class C { get x() { return symbol_call(this.cpu, 1); } }",
    });
    expect(found).toEqual(about("step in a getter: use a method: symbol_call -> a call of a value"));
  });

  it("control: a local function, pure or not, is no value", () => {
    expect(core("function f() { const g = (x) => x; return g(4); }")).toEqual([]);
    expect(core("function f(cpu) { function g() { cpu.mem.read(4); } g(); }")).toEqual([]);
  });
});

describe("Memory keeps its name", () => {
  it.each([
    "function f(cpu) { const m = cpu.mem; m.read(4); }",
    "function f(m: Memory) { m.read(4); }",
    "class C { readonly ram: Memory; }",
    "function f({ mem: m }) { m.read(4); }",
    "function f(cpu) { const { read } = cpu.mem; }",
    "function f(cpu) { const load = cpu.mem.read; }",
    "function f(cpu, verb) { if (cpu.mem[verb] !== 0) return; }",
  ])("%s", (source) => {
    expect(core(source).filter((line) => /Memory|verbs/.test(line))).toHaveLength(1);
  });

  it.each([
    "function f(cpu) { const mem = cpu.mem; return mem.read(4); }",
    "function f(mem: Memory) { return mem.read(4); }",
    "class C { readonly mem: Memory; constructor(mem: Memory) { this.mem = mem; } }",
    "function f({ mem }) { return mem.read(4); }",
    "function f(cpu) { return cpu.mem.size + cpu.memory.size; }",
  ])("control: %s", (source) => {
    expect(core(source)).toEqual([]);
  });
});
