import { describe, expect, it } from "vitest";
import { runBothWays } from "./testing/run.ts";

/** Runs `main` both ways, wants the same of both, and gives what the coroutine did. */
async function steps(source: string, granularity: "all" | "sync" = "all"): Promise<string[]> {
  const { native, controlled, memory } = await runBothWays(source, { granularity });
  expect(controlled).toEqual(native);
  return memory.steps;
}

describe("a coroutine does what the function did", () => {
  it("verbs, nested in each other's arguments", async () => {
    const source = `export function main(mem) {
      mem.write(4, 8);
      mem.write(mem.read(4) + 4, mem.fetchAdd(4, mem.read(8) + 1) + 1);
      mem.fence();
      return [mem.read(12), mem.read(4)];
    }`;
    expect(await steps(source)).toEqual(
      [
        "write@main:2",
        "read@main:3",
        "read@main:3",
        "fetchAdd@main:3",
        "write@main:3",
        "fence@main:4",
      ].concat(["read@main:5", "read@main:5"]),
    );
  });

  it("control: without a step nothing becomes a coroutine, and nothing yields", async () => {
    expect(
      await steps("function add(a, b) { return a + b; } export const main = (mem) => add(1, 2);"),
    ).toEqual([]);
  });

  it("functions that call functions, before and after their declarations", async () => {
    const source = `export function main(mem) { return twice(mem) + leaf(mem); }
      function twice(mem) { return leaf(mem) * 2 + inner(); function inner() { return leaf(mem); } }
      function leaf(mem) { return mem.fetchAdd(4, 1); }`;
    expect(await steps(source)).toHaveLength(3);
  });

  it("methods, static and private ones, with extends and super", async () => {
    const source = `class Base { mem; constructor(mem) { this.mem = mem; }
        add(n) { return this.mem.fetchAdd(4, n); }
        static make(mem) { mem.write(8, 1); return new this(mem); } }
      class Derived extends Base { override add(n) { return super.add(n) + this.#more(n) }
        #more(n) { return this.mem.fetchAdd(12, n) } get plain() { return 7; } }
      export function main(mem) { const d = Derived.make(mem); return d.add(3) + d.add(4) + d.plain; }`;
    expect(await steps(source)).toEqual([
      "write@make:3",
      "fetchAdd@add:2",
      "fetchAdd@#more:5",
      "fetchAdd@add:2",
      "fetchAdd@#more:5",
    ]);
  });

  it("try, catch and finally", async () => {
    const source = `function fail(mem) { mem.write(4, 1); throw new Error("no"); }
      export function main(mem) {
        try { try { fail(mem); } finally { mem.write(8, 2); } } catch (error) { return error.message; }
        finally { mem.write(12, 3); }
      }`;
    expect(await steps(source)).toHaveLength(3);
  });

  it("loops, labels, switch, conditions and destructuring", async () => {
    const source = `const get = (mem, p) => mem.read(p);
      export function main(mem) {
        let sum = 0;
        outer: for (const p of [4, 8, 12]) {
          for (let i = 0; i < 3; i++) { if (i === 2) continue outer; sum += get(mem, p) || mem.fetchAdd(p, i + 1); }
        }
        while (mem.read(4) < 9) mem.fetchAdd(4, 4);
        do sum += mem.read(8); while (sum < 5);
        switch (mem.read(4)) { case 9: sum += get(mem, 8); mem.write(16, sum); break; default: mem.write(20, 1); }
        const [a, { b }] = [get(mem, 4), { b: mem.read(8) }];
        return mem.read(4) > 3 ? \`\${get(mem, 16)} \${a} \${b} \${sum}\` : get(mem, 0) ?? 1;
      }`;
    expect((await steps(source)).length).toBeGreaterThan(20);
  });

  it("arrow functions of every form", async () => {
    const source = `const f = mem => mem.read(4);
      const g = (mem, n = 2) => ({ sum: f(mem) + n });
      const h = (mem): number => {
        return f(mem) + g(mem).sum; };
      const k = /* => */ (mem) => // => this
        f(mem) + 1;
      const t = <T,>(mem: unknown, x: T): T => (f(mem), x);
      export const main = (mem) => [f(mem), g(mem), h(mem), k(mem), t(mem, "x")];`;
    expect(await steps(source)).toHaveLength(6);
  });

  it("statements without semicolons", async () => {
    const source = `class A {
        mem
        n = 2
        add(k) { return this.mem.fetchAdd(4, k * this.n) }
      }
      export function main(mem) {
        const a = new A()
        a.mem = mem
        const n = 3
        a.add(n)
        mem.write(8, n)
        const list = [1]
        if (n) mem.write(12, 1)
        else mem.write(16, 1)
        return list
      }`;
    expect(await steps(source)).toHaveLength(3);
  });

  it("a receiver behind this, casts and indices", async () => {
    const source = `export function main(mem) {
        const cpus = [{ mem }], i = 0;
        (cpus[i] as { mem: unknown })!.mem.write(4, 1);
        cpus[0]
          .mem
          .write(8, 2,);
        return (mem as any).read(4);
      }`;
    expect(await steps(source)).toEqual(["write@main:3", "write@main:6", "read@main:7"]);
  });
});

describe("calls of values", () => {
  it("meet plain functions and coroutines alike", async () => {
    const source = `function step(mem, x) { mem.write(4, x); return x + 1; }
      function pure(mem, x) { return x * 10; }
      function call(mem, fn, x) { return fn(mem, x); }
      const table = [step, pure];
      export function main(mem) {
        let sum = 0;
        for (let i = 0; i < 4; i++) sum += table[i % 2](mem, i);
        return sum + call(mem, step, 5) + call(mem, pure, 6) + table[0](mem, table[1](mem, table[0](mem, 1)));
      }`;
    expect(await steps(source)).toHaveLength(5);
  });

  it("a table entry, a renamed function and a default export lead on", async () => {
    const source = `function step(mem) { return mem.fetchAdd(4, 1); }
      const ops = { open: step, close: () => 2 };
      const again = step;
      class Hook { run; held = step; constructor(fn) { this.run = fn; } }
      export { step as other };
      export function main(mem) {
        const hook = new Hook(step), late = { go: null as any };
        late.go = step;
        return [ops.open(mem), ops.close(), again(mem), hook.run(mem), hook.held(mem), late.go(mem)];
      }`;
    expect(await steps(source)).toHaveLength(5);
  });

  it("a name that is a coroutine's in one table and a plain function's in another", async () => {
    const source = `function step(mem) { return mem.fetchAdd(4, 1); } function pure() { return 2; }
      const tables = [{ open: step }, { open: pure }];
      export function main(mem) { return [tables[0].open(mem), tables[1].open(mem)]; }`;
    expect(await steps(source)).toHaveLength(1);
  });

  it("a name that is also a built-in's is asked each time", async () => {
    const source = `class Stack { mem; constructor(mem) { this.mem = mem; }
        push(x) { return this.mem.fetchAdd(4, x); } }
      const early = []; early.push(1);
      export function main(mem) {
        const list = [0]; list.push(7);
        [1, 2].forEach((x) => early.push(x));
        return [new Stack(mem).push(3), list, early.length > 2];
      }`;
    expect(await steps(source)).toHaveLength(1);
  });

  it("?. on a value that may not be there", async () => {
    const source = `const ops = { step(mem) { return mem.fetchAdd(4, 1); } };
      export function main(mem) { const none = undefined as any;
        return [ops?.step(mem), none?.step(mem), ops.step?.(mem)]; }`;
    expect(await steps(source)).toHaveLength(2);
  });

  it("called on the spot", async () => {
    expect(
      await steps("export function main(mem) { return (() => mem.fetchAdd(4, 1))() + 1; }"),
    ).toHaveLength(1);
  });
});

describe("a program's threads", () => {
  it("are arrow functions in arrays and objects, in whatever builds the program", async () => {
    const source = `const program = (n) => ({ threads: [(mem) => { mem.write(4, n); }, (mem) => mem.read(4)],
        named: { "the last": function (mem) { return mem.fetchAdd(4, 1); } }, after(mem) { return mem.read(4); } });
      export function main(mem) {
        const p = program(3);
        for (const thread of p.threads) thread(mem);
        return [p.named["the last"](mem), p.after(mem)];
      }`;
    expect(await steps(source)).toHaveLength(4);
  });
});

describe("a Memory of the program's own", () => {
  const source = (
    report: string,
  ): string => `class Memory { memory; constructor(memory) { this.memory = memory; } }
    class CountingMemory extends Memory {
      read(p) { ${report} return this.memory.read(p) + step.length; }
    }
    function step(mem) { return mem.fetchAdd(4, 1); }
    class File { read(mem) { return step(mem); } }
    export function main(mem) { 
      return [step(mem), [new CountingMemory(mem)].map((own) => own.read(4)), new File().read(mem)]; }`;

  it("is left as it is, and the rest of its file is not", async () => {
    expect(await steps(source(""))).toEqual(["fetchAdd@step:5", "fetchAdd@step:5"]);
  });

  it("cannot call what steps", async () => {
    await expect(steps(source("step(this.memory);"))).rejects.toThrow("cannot be suspended");
  });
});

describe("granularity", () => {
  const SOURCE = `function plain(mem, p) { return mem.read(p) + mem.read8(p + 4); }
    export function main(mem) {
      mem.write(4, 3); mem.storeRelease(8, 2); mem.memset(12, 1, 4);
      return [plain(mem, 4), mem.loadAcquire(8), mem.crc32c(4, 8), [1].map((x) => plain(mem, 4) + x)];
    }`;

  it("sync: plain reads and writes are no steps, and what makes only those stays a plain function", async () => {
    const { native, controlled, memory } = await runBothWays(SOURCE, { granularity: "sync" });
    expect(controlled).toEqual(native);
    expect(memory.steps).toEqual(["storeRelease@main:3", "loadAcquire@main:4"]);
    expect(memory.quiet, "write, memset, crc32c and twice two reads").toHaveLength(7);
    expect(memory.quiet).toContain("plain:1");
  });

  it("control: in all they are, and the callback is refused", async () => {
    await expect(steps(SOURCE)).rejects.toThrow("main.ts:4:83: step in a callback");
    expect((await steps(SOURCE.replace("[1].map((x) => plain(mem, 4) + x)", "0"))).length).toBe(5);
  });
});
