import { describe, expect, it } from "vitest";
import { defaultMonitors } from "../detect/index.ts";
import { Execution, type ExecutionOptions } from "../execution.ts";
import { type Exploration, explore } from "../explore.ts";
import { OPS } from "../op.ts";
import type { Program } from "../program.ts";
import { siteOf } from "../runtime.ts";
import { makeStrategy } from "../strategy/index.ts";
import type { Granularity } from "./load.ts";
import { writeFolder } from "./testing/run.ts";

const OVER_VIEW = new URL("../atomics.ts", import.meta.url).href;
const HEAD = `import { overView } from ${JSON.stringify(OVER_VIEW)};\n`;

type View = Int32Array<SharedArrayBuffer>;

/** Imports `main.ts` natively, then controlled. */
async function bothWays(
  files: Record<string, string>,
  granularity: Granularity = "all",
): Promise<{
  native: Record<string, unknown>;
  controlled: Record<string, unknown>;
  warnings: readonly string[];
}> {
  const folder = writeFolder(files);
  try {
    const native = (await import(folder.url("main.ts"))) as Record<string, unknown>;
    const loader = folder.load("main.ts", { granularity });
    const controlled = (await loader.import()) as Record<string, unknown>;
    loader.deregister();
    return { native, controlled, warnings: loader.warnings };
  } finally {
    folder.remove();
  }
}

async function load(source: string, granularity?: Granularity): Promise<Record<string, unknown>> {
  return (await bothWays({ "main.ts": HEAD + source }, granularity)).controlled;
}

/** Runs `main(view)` natively and as the only thread; wants equal results and memory, and gives the steps. */
async function steps(source: string, granularity: Granularity = "all"): Promise<string[]> {
  const { native, controlled } = await bothWays({ "main.ts": HEAD + source }, granularity);
  const view = new Int32Array(new SharedArrayBuffer(65536));
  const wanted = (native["main"] as (view: View) => unknown)(view);
  const found: string[] = [];
  let result: unknown;
  const { overView } = await import("../atomics.ts");
  const main = controlled["main"] as (view: View) => Generator<unknown, unknown>;
  const thread = overView(function* (memory: View) {
    result = yield* main(memory);
  });
  const execution = new Execution({ name: "one thread", threads: [thread] });
  execution.world.recorder = (mem) => {
    const { name, line } = siteOf(mem.site);
    if (mem.thread >= 0) found.push(`${OPS[mem.kind]?.name}@${name}:${line - 1}`);
  };
  const { finding, picks } = execution.run(makeStrategy("random", { seed: 1 }), 0);
  expect(finding).toBe(undefined);
  expect(result).toEqual(wanted);
  const words = new Int32Array(execution.world.wasm.buffer, 0, view.length);
  expect([...words]).toEqual([...view]);
  found.push(`${picks} picks`);
  return found;
}

async function search(
  source: string,
  options: ExecutionOptions = {},
  granularity?: Granularity,
): Promise<Exploration> {
  const program = (await load(source, granularity))["program"] as Program;
  return explore(new Execution(program, options), makeStrategy("dpor", { seed: 1 }), { executions: 20_000 });
}

const message = (found: Exploration): string => found.failure?.outcome.finding?.message ?? "nothing";

describe("an op of Atomics is a step and does what it did", () => {
  it("on signed and unsigned words, nested in arguments, with its result", async () => {
    const source = `export function main(view) {
        const words = new Uint32Array(view.buffer, 64, 8);
        const all = [Atomics.store(view, 1, 7.9), Atomics.load(view, 1)];
        all.push(Atomics.add(view, Atomics.sub(view, 1, 3) - 5, 2 ** 31));
        all.push(Atomics.or(view, 3, 12), Atomics.and(view, 3, 6), Atomics.xor(view, 3, 5));
        all.push(Atomics.exchange(view, 3, -1));
        all.push(Atomics.compareExchange(view, 3, 4, 1), Atomics.compareExchange(view, 3, -1, 9));
        all.push(Atomics.store(words, 2, -1), Atomics.load(words, 2), Atomics.add(words, 2, 2), Atomics.load(words, 2));
        all.push(Atomics.compareExchange(words, 3, 0, 4294967295), Atomics.exchange(words, 3, 1));
        all.push(Atomics.isLockFree(4));
        all.push(Atomics.notify(view, 1), Atomics.wait(view, 1, 99), Atomics.wait(view, 5, 0, 1), Atomics.pause());
        return all;
      }`;
    const found = await steps(source);
    const names = found.map((step) => step.replace(/@main:\d+$/, ""));
    expect(names.slice(0, 9)).toEqual(
      ["storeRelease", "loadAcquire", "fetchSub", "fetchAdd", "fetchOr", "fetchAnd", "fetchXor"].concat([
        "exchange",
        "compareExchange",
      ]),
    );
    expect(found[0]).toBe("storeRelease@main:3");
    expect(names).toContain("notify");
    expect(names).toContain("wait");
    expect(found.at(-1)).toBe("21 picks");
  });

  it("an index outside the view is a RangeError, as it was", async () => {
    const source = (index: string): string =>
      `export const program = { name: "p", threads: [overView((view) => { Atomics.add(view, ${index}, 1); })] };`;
    expect(message(await search(source("1e9")))).toMatch(/main\.ts:2\): Atomics\.add at index 1000000000/);
    expect(message(await search(source("-1")))).toContain("at index -1");
    expect(message(await search(source("8")))).toBe("nothing");
  });
});

describe("plain elements beside Atomics", () => {
  const ELEMENTS = `const AT = 3;
      class Ring { view; n = 0; constructor(view) { this.view = view }
        push(x) { this.view[this.n] = x
          this.view[AT + 2] += x
          return Atomics.load(this.view, this.n++) } }
      export function main(view) {
        const bytes = new Uint8Array(view.buffer, 256), small = new Int8Array(view.buffer, 300);
        const words = new Uint32Array(view.buffer), short = new Int16Array(view.buffer, 400);
        const u16 = new Uint16Array(view.buffer, 400);
        const all = [view[1], view[1] = 5, view[1] += 2, view[1]++, ++view[1], view[1]--, --view[1], view[1]! **= 2];
        const ring = new Ring(view)
        all.push(ring.push(4), ring.push(5))
        view[view[0]] = view[5]
        bytes[0] = 300
        view[30]++
        small[0] = 200
        short[0] = 40000
        all.push(bytes[0], small[0], short[0], u16[0], (words[7] = -1, words[7]), view[7], bytes[0]++, view.length)
        view[10]! -= (view[7] as number) - view[0]++
        const list = [7, 8], i = 1
        list[i] = view[1]
        for (let k = 0; k < 3; k++) view[20 + k] = k & view[20]
        return [all, list, view[40000], view[1.5], view[-1], view[8], view[9]]
      }`;

  it("are steps, in every form an element is read and written", async () => {
    const found = await steps(ELEMENTS);
    expect(found.slice(0, 6).map((step) => step.split("@")[0])).toEqual([
      "read",
      "write",
      "read",
      "write",
      "read",
      "write",
    ]);
    expect(found.filter((step) => step.startsWith("write8"))).toHaveLength(3);
    expect(found.filter((step) => step.startsWith("read16"))).toHaveLength(2);
    expect(Number.parseInt(found.at(-1) as string, 10)).toBe(found.length - 1);
  });

  it("in granularity sync are seen, but no steps", async () => {
    const found = await steps(ELEMENTS, "sync");
    expect(found.filter((step) => step.startsWith("write8"))).toHaveLength(3);
    expect(found.at(-1), "two loads").toBe("2 picks");
  });

  it("of what is no view are left as they are", async () => {
    const source = `export function main(view) {
        const seen = new Int32Array(8), copy = new Int32Array(view.length);
        seen[1]++; copy[2] = 4; copy.fill(1, 3, 4);
        Atomics.store(view, 1, 2);
        return [...seen, ...copy.subarray(0, 5), Atomics.load(view, 1)];
      }`;
    expect(await steps(source)).toEqual(["storeRelease@main:4", "loadAcquire@main:5", "2 picks"]);
  });

  it("where no thread can be suspended are refused when a thread comes by", async () => {
    const source = (use: string): string => `
      function setup(view) { view.fill(0, 4, 8); return Atomics.load(view, 1); }
      export const program = { name: "p", setup: overView(setup), threads: [overView((view) => {
        Atomics.add(view, 1, 1);
        ${use} })], after: overView((view) => { if ([...view].at(1) !== 1) throw new Error("sum"); }) };`;
    expect(message(await search(source("")))).toBe("nothing");
    for (const use of [
      "view.fill(1);",
      "[1].map((i) => view[i]);",
      "for (const x of view);",
      "[view[1]] = [2];",
    ])
      expect(message(await search(source(use)))).toMatch(/main\.ts:6\): elements of shared memory are used/);
    expect(message(await search(source("[...view.subarray(2, 3)].map(String);"))), "not seen").toBe(
      "nothing",
    );
  });
});

describe("programs over views", () => {
  const counter = (add: string): string => `
    function increment(view: Int32Array) { ${add} }
    export const program = { name: "counter", threads: [overView(increment), overView(increment)],
      after: overView((view) => { const n = Atomics.load(view, 4); if (n !== 2) throw new Error("n is " + n); }) };`;

  it("n++ on a typed array is found: the lost update, and the race", async () => {
    expect(message(await search(counter("view[4]++;")))).toBe("n is 1");
    const monitors = defaultMonitors();
    expect((await search(counter("view[4]++;"), { monitors })).failure?.outcome.finding?.kind).toBe(
      "data-race",
    );
    const sync = await search(counter("view[4]++; Atomics.load(view, 5);"), { monitors }, "sync");
    expect(sync.failure?.outcome.finding?.kind).toBe("data-race");
    expect(message(await search(counter("Atomics.store(view, 4, Atomics.load(view, 4) + 1);")))).toBe(
      "n is 1",
    );
  });

  it("control: Atomics.add is not, and the search comes to its end", async () => {
    const found = await search(counter("Atomics.add(view, 4, 1);"), { monitors: defaultMonitors() });
    expect(message(found)).toBe("nothing");
    expect(found.complete).toBe(true);
    expect(found.executions).toBeGreaterThan(0);
  });

  const mutex = (unlock: string): string => `
    class Lock { words; constructor(words) { this.words = words; }
      acquire() {
        if (Atomics.compareExchange(this.words, 0, 0, 1) === 0) return;
        while (Atomics.exchange(this.words, 0, 2) !== 0) Atomics.wait(this.words, 0, 2);
      }
      release() { ${unlock} } }
    function worker(view: Int32Array) {
      const lock = new Lock(view.subarray(16));
      lock.acquire();
      view[8]! += 1;
      lock.release();
    }
    export const program = { name: "mutex", threads: [overView(worker), overView(worker)],
      after: overView((view) => { if (view[8] !== 2) throw new Error("n is " + view[8]); }) };`;

  it("a lock that sleeps: wait and notify are the scheduler's", async () => {
    const good = "if (Atomics.exchange(this.words, 0, 0) === 2) Atomics.notify(this.words, 0, 1);";
    const found = await search(mutex(good), { monitors: defaultMonitors() });
    expect(message(found)).toBe("nothing");
    expect(found.complete).toBe(true);
    const deaf = await search(mutex("Atomics.store(this.words, 0, 0);"));
    expect(deaf.failure?.outcome.finding?.kind).toBe("lost-wakeup");
  });

  it("a spin lock with Atomics.pause ends", async () => {
    const source = `
      function worker(view) {
        while (Atomics.compareExchange(view, 0, 0, 1) !== 0) Atomics.pause();
        view[8]++;
        Atomics.store(view, 0, 0);
      }
      export const program = { name: "spin", threads: [overView(worker), overView(worker)],
        after: overView((view) => { if (view[8] !== 2) throw new Error("n"); }) };`;
    const found = await search(source, { monitors: defaultMonitors() });
    expect(message(found)).toBe("nothing");
    expect(found.complete).toBe(true);
  });

  it("other memory, and views Atomics are not known over, are errors with their place", async () => {
    const source = (view: string): string => `const mine = new Int32Array(new SharedArrayBuffer(64));
      export const program = { name: "p", threads: [overView((view) => {
        const v = ${view}; Atomics.add(v, 0, 1); })] };`;
    expect(message(await search(source("mine")))).toMatch(
      /main\.ts:4\): Atomics\.add: the view is not over the program's memory/,
    );
    expect(message(await search(source("new Uint8Array(view.buffer)")))).toMatch(
      /main\.ts:4\): Atomics\.add over Uint8Array: the checker knows/,
    );
    expect(message(await search(source("view")))).toBe("nothing");
  });

  it("a thread the loader has not seen is an error, not a pass", async () => {
    const { native } = await bothWays({ "main.ts": HEAD + counter("Atomics.add(view, 4, 1);") });
    const execution = new Execution(native["program"] as Program);
    expect(() => execution.run(makeStrategy("random", { seed: 1 }), 0)).toThrow("ran without the scheduler");
  });

  it("outside executions Atomics are the language's own", async () => {
    const source = "export function main(view) { view[1]++; return Atomics.add(view, 1, 2); }";
    const { controlled } = await bothWays({ "main.ts": source });
    const view = new Int32Array(new SharedArrayBuffer(64));
    const run = (controlled["main"] as (view: View) => Generator<unknown, number>)(view);
    expect(run.next()).toEqual({ done: true, value: 1 });
    expect(view[1]).toBe(3);
  });
});

describe("what is refused, and what is only suspected", () => {
  it.each([
    ["main.ts:1:25: Atomics is used as in Atomics.load", "export const { load } = Atomics;"],
    ["main.ts:1:18: Atomics is used as in Atomics.load", "export const a = Atomics;"],
    ["main.ts:1:32: Atomics is used as in", "export const f = (op, view) => Atomics[op](view, 0);"],
    ["Atomics.waitAsync: threads block in wait", "export const f = (view) => Atomics.waitAsync(view, 0, 0);"],
    ["step in a callback", "export const f = (view) => [1].map((i) => Atomics.load(view, i));"],
    ["step at module level", "Atomics.store(new Int32Array(8), 0, 1);"],
    ["evaluated twice", "export function f(view, i) { Atomics.load(view, i); view[i++] += 2; }"],
    ["evaluated twice", "export function f(view, i) { Atomics.load(view, i); view[i] += i++; }"],
    ["write it out with an if", "export function f(view, i) { Atomics.load(view, i); view[i] ||= 2; }"],
    ["without parentheses", "export function f(view, i) { Atomics.load(view, i); (view[i] as any) = 2; }"],
  ])("%s: %s", (refusal, source) => {
    const folder = writeFolder({ "main.ts": source });
    expect(() => folder.load("main.ts")).toThrow(refusal);
    folder.remove();
  });

  it("a typed array in another file of the program is a warning, unless its type says that it is shared", async () => {
    const files = (type: string): Record<string, string> => ({
      "main.ts": `import { put } from "./put.ts";
        export function main(view) { put(view); return Atomics.load(view, 1); }`,
      "put.ts": `export function put(data: ${type}): void {\n  data[1] = 2;\n}`,
    });
    const suspect = await bothWays(files("Int32Array"));
    expect(suspect.warnings).toEqual([expect.stringMatching(/^put\.ts:2:3: data\[\.\.\.\] is neither seen/)]);
    const sure = await bothWays(files("Int32Array<SharedArrayBuffer>"));
    expect(sure.warnings).toEqual([]);
    const alone = await bothWays({ "main.ts": files("Int32Array")["put.ts"] as string });
    expect(alone.warnings, "control: a program without Atomics").toEqual([]);
  });
});
