import { describe, expect, it } from "vitest";
import { OutsideSubset } from "./errors.ts";
import { memoryVerbs, stepVerbs } from "./load.ts";
import { parseSource } from "./source.ts";
import { closeSteps } from "./steps.ts";
import { prepare, transformSource } from "./transform.ts";
import { writeFolder } from "./testing/run.ts";

const VERBS = memoryVerbs();

/** "line:column message" of everything refused in a source. */
function refused(source: string, granularity: "all" | "sync" = "all"): string[] {
  const prepared = prepare(parseSource("a.ts", source), VERBS);
  const steps = closeSteps([prepared], VERBS, stepVerbs(granularity));
  return transformSource(prepared, steps).refusals.map((r) => `${r.line}:${r.column} ${r.message}`);
}

const STEP = "function step(mem) { return mem.read(4); }\n";

/** The mark stands before what is refused. */
const MARK = "\u00a7";

/** Wants one refusal, at the mark, that begins with `message`. */
function expectAtMark(source: string, message: string): void {
  const full = STEP + source;
  const before = full.slice(0, full.indexOf(MARK)).split("\n");
  const place = `${before.length}:${(before.at(-1) as string).length + 1}`;
  const found = refused(full.replace(MARK, ""));
  expect(found).toHaveLength(1);
  expect(found[0]).toContain(`${place} ${message}`);
}

describe("where no step may stand", () => {
  it.each([
    ["step in a getter: use a method: step -> mem.read", "class C { get x() { return §step(mem); } }"],
    ["step in a setter: use a method", "class C { set x(v) { §step(mem); } }"],
    ["step in a getter: use a method", "function f() { return { get x() { return §step(mem); } }; }"],
    ["step in a constructor: use an init function", "class C { constructor(mem) { §mem.write(4, 1); } }"],
    ["step in a default value", "function f(mem, x = §step(mem)) { step(mem); }"],
    ["step in a default value", "function f(mem) { const { x = §mem.read(4) } = step(mem); }"],
    ["step in a field initialiser", "class C { x = §step(mem); }"],
    ["step in a static block", "class C { static { §mem.write(4, 1); } }"],
    ["step in a tagged template", "function f(mem) { return tag`${§mem.read(4)}`; }"],
    ["step in a tagged template", "function f(mem) { return §step`x`; }"],
    ["step in a callback: use a loop", "function f(mem, list) { list.forEach((x) => §mem.write(x, 1)); }"],
    ["step in a callback: use a loop", "new Promise(function run() { §step(mem); });"],
    ["step in a closure: give the function a name", "function f(mem) { return () => §step(mem); }"],
    ["step in an async function", "async function f(mem) { await g(); §step(mem); }"],
    ["step in an async function", "class C { async f(mem) { §mem.write(4, 1); } }"],
    ["step in a generator", "function* f(mem) { yield §step(mem); }"],
    ["step in an arrow function that uses this", "const f = (mem) => this.x + §step(mem);"],
    ["step in an arrow function that uses this", "const f = (mem) => [() => arguments, §step(mem)];"],
    ["step at module level, where no thread runs", "const x = §step(mem);"],
    ["step at module level, where no thread runs", "if (x) §mem.write(4, 1);"],
  ])("%s: %s", (message, source) => expectAtMark(source, message));

  it("a long way to the step is told", () => {
    const source =
      "function a(mem) { return b(mem); } const b = (mem) => step(mem); class C { x = §a(mem); }";
    expectAtMark(source, "step in a field initialiser: a -> b -> step -> mem.read");
  });
});

describe("what no step may be", () => {
  it.each([
    ["the receiver of a step is evaluated twice", "function f(cpu) { return §cpu().mem.read(4); }"],
    ["the receiver of a step is evaluated twice", "function f(cpus, i) { return §cpus[i++].mem.read(4); }"],
    ["a Memory is there or it is not", "function f(cpu) { return §cpu.mem?.read(4); }"],
    ["a Memory is there or it is not", "function f(cpu) { return §cpu?.mem.read(4); }"],
    ["verbs are named, not computed", "function f(mem, verb) { return §mem[verb](4); }"],
    ["verbs are called on mem, not taken from it", "function f(mem) { const read = §mem.read; }"],
    ["a Memory is called mem or memory", "function f(mem) { const §other = mem; }"],
    ["a Memory is called mem or memory", "function f(§m: Memory) {}"],
    ["waitAsync: threads block in wait", "function f(mem) { §mem.waitAsync(4, 0, 1); }"],
    ["a call in the middle of ?. may be a step", "function f(mem, o) { return §o?.step(mem).x; }"],
  ])("%s: %s", (message, source) => expectAtMark(source, message));
});

describe("functions that step, handed to the language", () => {
  it.each([
    ["step reaches a step (step -> mem.read), and forEach would drop it", "[mem].forEach(§step);"],
    ["step reaches a step (step -> mem.read), and setTimeout would drop it", "setTimeout(§step, 1);"],
    [
      "step reaches a step (step -> mem.read): call it by its name",
      "function f(mem) { §step.call(null, mem); }",
    ],
  ])("%s: %s", (message, source) => expectAtMark(source, message));

  it("an arrow function with this that others call as a coroutine is refused where it is written", () => {
    const source = "class C { x = §(mem) => this.y; } class D { x(mem) { step(mem); } }";
    expectAtMark(
      source,
      "x reaches a step (x -> step -> mem.read): write a method or function, not an arrow",
    );
  });
});

describe("control: nothing is refused", () => {
  it.each([
    "function f(cpu) { return get(cpu).mem.size; }",
    "function f(cpus) { return cpus[1].mem.read(4) + this.mem.read(4); }",
    "const list = [1].map((x) => x * 2); list.push(3);",
    "function f(mem, x = 1) { return `${step(mem)}`; }",
    "class C { get x() { return this.size(); } constructor(mem) { this.mem = mem; } size() { return 1; } }",
    "class C { m() { return [() => this.x]; } }",
    "async function main() { await run({ threads: [(mem) => step(mem)], after(mem) { step(mem); } }); }",
    "const f = (mem) => { step(mem); return function () { return this.x; }; };",
    "class C { x = (a) => a + this.n; } class D { x(a) { return a; } }",
    "import { read } from 'node:fs'; export function f(mem) { mem.write(4, 1); read(1); }",
  ])("%s", (source) => expect(refused(STEP + source)).toEqual([]));

  it("in granularity sync, of plain accesses anywhere", () => {
    const source = "const x = step(mem); class C { get x() { return this.mem.read(4); } y = step(mem); }";
    expect(refused(STEP + source, "sync")).toEqual([]);
    expect(refused(STEP + source, "all").length).toBe(3);
  });
});

it("all refusals of all files come in one error, which knows the first", () => {
  const folder = writeFolder({
    "main.ts": 'import "./b.ts";\nclass C { get x() { return mem.read(4); } }\n',
    "b.ts": "\n\nmem.write(4, 1);\nfoo((mem) => mem.read(4));",
  });
  let error: unknown;
  try {
    folder.load("main.ts");
  } catch (caught) {
    error = caught;
  }
  folder.remove();
  expect(error).toBeInstanceOf(OutsideSubset);
  const { message, file, line, column } = error as OutsideSubset;
  expect(message.split("\n")).toEqual([
    expect.stringMatching(/^main\.ts:2:28: step in a getter/),
    expect.stringMatching(/^b\.ts:3:1: step at module level/),
    expect.stringMatching(/^b\.ts:4:14: step in a callback/),
  ]);
  expect({ file, line, column }).toEqual({ file: "main.ts", line: 2, column: 28 });
});
