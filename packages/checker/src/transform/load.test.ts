import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { $isCo } from "../runtime.ts";
import { registerControlled } from "./load.ts";
import { drive, type Folder, TracingMemory, writeFolder } from "./testing/run.ts";

type Run = (memory: TracingMemory) => unknown;

async function inFolder(
  files: Record<string, string>,
  body: (folder: Folder) => Promise<void>,
): Promise<void> {
  const folder = writeFolder(files);
  try {
    await body(folder);
  } finally {
    folder.remove();
  }
}

const STEP = "export function step(mem) { return mem.fetchAdd(4, 1); }";

describe("the graph", () => {
  it("follows imports, re-exports and literal import(), but no type-only import", async () => {
    const files = {
      "main.ts": `import "./side.ts"; import type { T } from "./types.ts"; export * from "./all.ts";
        export { step } from "./step.ts"; export const lazily = () => import("./later.ts");`,
      "side.ts": 'import { readFileSync } from "node:fs"; export const x = typeof readFileSync;',
      "types.ts": "this would not parse",
      "all.ts": `export type { T } from "./types.ts"; import { later } from "./later.ts";
        export function all(mem) { return later(mem); }`,
      "step.ts": STEP,
      "later.ts": "export function later(mem) { return mem.read(4); }",
    };
    await inFolder(files, async (folder) => {
      const loader = folder.load("main.ts");
      expect([...loader.files].toSorted()).toEqual(["all.ts", "later.ts", "main.ts", "side.ts", "step.ts"]);
      const main = (await loader.import()) as Record<string, Run> & {
        lazily: () => Promise<Record<string, Run>>;
      };
      const memory = new TracingMemory();
      expect(drive(main["all"]?.(memory))).toBe(0);
      expect(drive((await main.lazily())["later"]?.(memory))).toBe(0);
      expect(drive(main["step"]?.(memory))).toBe(0);
      expect(memory.steps).toEqual(["read@later:1", "read@later:1", "fetchAdd@step:1"]);
      loader.deregister();
    });
  });

  it("goes through the primitives of atomics-sync, but shares Memory itself", async () => {
    const loader = registerControlled({ entry: import.meta.resolve("atomics-sync"), granularity: "sync" });
    const names = loader.files.map((file) => file.replace(/.*\//, ""));
    expect(names).toEqual(expect.arrayContaining(["index.ts", "mutex.ts", "semaphore.ts", "spsc.ts"]));
    expect(names.filter((name) => /^(?:memory|checked-memory|bulk|wasm)/.test(name))).toEqual([]);
    const sync = (await loader.import()) as {
      Mutex: new (memory: unknown, p: number) => { lock(): unknown };
    } & Record<string, unknown>;
    expect(sync["Memory"]).toBe(Object.getPrototypeOf(TracingMemory));
    const memory = new TracingMemory();
    expect($isCo(new sync.Mutex(memory, 64).lock())).toBe(true);
    drive(new sync.Mutex(memory, 64).lock());
    expect(memory.steps).toEqual([expect.stringMatching(/^compareExchange@mutexLock:\d+$/)]);
    loader.deregister();
  });

  it("leaves out what include leaves out, and packages", async () => {
    const files = {
      "main.ts": 'import { out } from "./out.ts"; export const main = (mem) => [out(), mem.read(4)];',
      "out.ts": "export function out() { return 3; }",
    };
    await inFolder(files, async (folder) => {
      const loader = folder.load("main.ts", { include: (path) => !path.endsWith("out.ts") });
      expect(loader.files).toEqual(["main.ts"]);
      const main = (await loader.import()) as { main: Run };
      expect(drive(main.main(new TracingMemory()))).toEqual([3, 0]);
      loader.deregister();
    });
  });

  it("says which file does not parse, and which does not exist", async () => {
    await inFolder({ "main.ts": 'import "./b.ts";', "b.ts": "let x = ;" }, async (folder) => {
      expect(() => folder.load("main.ts")).toThrow(/^b\.ts:1:9: /);
      expect(() => folder.load("none.ts")).toThrow(/none\.ts/);
      // And neither leaves a hook behind.
      await expect(import(folder.url("b.ts"))).rejects.toThrow(SyntaxError);
    });
  });
});

describe("twins", () => {
  const FILES = {
    "main.ts": `import { step } from "./step.ts"; let calls = 0;
      export function main(mem) { calls++; return [step(mem), calls]; }`,
    "step.ts": STEP,
  };

  it("a module loaded natively before is loaded again, controlled, with state of its own", async () => {
    await inFolder(FILES, async (folder) => {
      const native = (await import(folder.url("main.ts"))) as { main: Run };
      expect(native.main(new TracingMemory()), "control").toEqual([0, 1]);
      const loader = folder.load("main.ts");
      const controlled = (await import(folder.url("main.ts"))) as { main: Run };
      expect(controlled).not.toBe(native);
      expect($isCo(controlled.main(new TracingMemory()))).toBe(true);
      expect(drive(controlled.main(new TracingMemory()))).toEqual([0, 1]);
      expect(native.main(new TracingMemory())).toEqual([0, 2]);
      loader.deregister();
      expect(await import(folder.url("main.ts")), "afterwards the name is the native module's again").toBe(
        native,
      );
    });
  });

  it("registrations of one entry live side by side: a mutant, and another granularity", async () => {
    await inFolder(FILES, async (folder) => {
      const source = (path: string, text: string): string =>
        path === "step.ts" ? text.replace("(4, 1)", "(4, 5)") : text;
      const [plain, mutant, sync] = [
        folder.load("main.ts"),
        folder.load("main.ts", { source }),
        folder.load("main.ts", { granularity: "sync" }),
      ];
      const results: unknown[] = [];
      for (const loader of [mutant, plain, sync]) {
        const { main } = (await loader.import()) as { main: Run };
        const memory = new TracingMemory();
        drive(main(memory));
        results.push(memory.read(4));
      }
      expect(results).toEqual([5, 1, 1]);
      for (const loader of [plain, mutant, sync]) loader.deregister();
    });
  });

  it("a world imports its own twins, also of what is an entry of another", async () => {
    await inFolder(FILES, async (folder) => {
      const first = folder.load("main.ts");
      const other = folder.load("step.ts", { source: (_, text) => text.replace("(4, 1)", "(4, 9)") });
      const { main } = (await first.import()) as { main: Run };
      const memory = new TracingMemory();
      drive(main(memory));
      expect(memory.read(4)).toBe(1);
      const { step } = (await import(folder.url("step.ts"))) as { step: Run };
      drive(step(memory));
      expect(memory.read(4), "control").toBe(10);
      for (const loader of [first, other]) loader.deregister();
    });
  });

  it("import() takes files of the graph only", async () => {
    await inFolder({ ...FILES, "other.ts": STEP }, async (folder) => {
      const loader = folder.load("main.ts");
      await expect(loader.import(folder.url("step.ts"))).resolves.toHaveProperty("step");
      await expect(loader.import(join(folder.path, "step.ts"))).resolves.toHaveProperty("step");
      await expect(loader.import("./step.ts"), "as seen from the root").resolves.toHaveProperty("step");
      await expect(loader.import(folder.url("other.ts"))).rejects.toThrow(
        "is not among the controlled files",
      );
      loader.deregister();
    });
  });
});

it("lines stay where they are: in stack traces and in sites", async () => {
  const source = `#!/usr/bin/env node
    export function main(mem) {
      mem.write(4, 1);

      const f = (x) =>
        x + mem.read(4) + fail(mem);
      return f(1);
    }
    function fail(mem) { mem.write(8, 1); throw new Error("here"); }`;
  await inFolder({ "main.ts": source }, async (folder) => {
    const loader = folder.load("main.ts");
    const { main } = (await loader.import()) as { main: Run };
    const memory = new TracingMemory();
    let stack = "";
    try {
      drive(main(memory));
    } catch (error) {
      stack = (error as Error).stack ?? "";
    }
    expect(
      [...stack.matchAll(/(\w+) \(.*main\.ts\?controlled=\d+:(\d+):/g)].map((m) => `${m[1]}:${m[2]}`),
    ).toEqual(["fail:9", "f:6", "main:7"]);
    expect(memory.steps).toEqual(["write@main:3", "read@f:6", "write@fail:9"]);
    loader.deregister();
  });
});

it("a coroutine that comes of a call where none can be suspended is an error, not a lost step", async () => {
  const source = `function step(mem) { mem.write(4, 1); return 1; }
    const table = [step, () => 2];
    class Late { value; constructor(i, mem) { this.value = table[i](mem); } }
    export function main(mem, i) { return new Late(i, mem).value; }`;
  await inFolder({ "main.ts": source }, async (folder) => {
    const loader = folder.load("main.ts");
    const { main } = (await loader.import()) as { main: (memory: TracingMemory, i: number) => unknown };
    expect(drive(main(new TracingMemory(), 1)), "control").toBe(2);
    expect(() => drive(main(new TracingMemory(), 0))).toThrow("cannot be suspended");
    loader.deregister();
  });
});

describe("node --import @ringside/checker/register", () => {
  const REGISTER = import.meta.resolve("../register.ts");
  const run = (folder: Folder, ...flags: string[]): string =>
    execFileSync(process.execPath, [...flags, join(folder.path, "main.ts")], {
      cwd: folder.path,
      encoding: "utf8",
      stdio: "pipe",
      timeout: 30_000,
    });
  const main = `import { step } from "./step.ts";
    console.log(Object.prototype.toString.call(step), import.meta.main, [(mem) => mem.read(4)][0].constructor.name);`;

  it("makes coroutines of a program and its imports", async () => {
    await inFolder({ "main.ts": main, "step.ts": STEP }, async (folder) => {
      expect(run(folder, "--import", REGISTER)).toBe("[object GeneratorFunction] true GeneratorFunction\n");
      expect(run(folder), "control").toBe("[object Function] true Function\n");
    });
  });

  it("warns of typed arrays that may be shared, and goes on", async () => {
    const files = {
      "main.ts": 'import { put } from "./put.ts"; put; export const f = (view) => Atomics.load(view, 1);',
      "put.ts": "export function put(data: Int32Array): void { data[1] = 2; }",
    };
    await inFolder(files, async (folder) => {
      const { status, stderr } = spawnSync(
        process.execPath,
        ["--import", REGISTER, join(folder.path, "main.ts")],
        { cwd: folder.path, encoding: "utf8", timeout: 30_000 },
      );
      expect(status).toBe(0);
      expect(stderr).toMatch(/Warning: put\.ts:1:\d+: data\[\.\.\.\] is neither seen nor scheduled/);
    });
  });

  it("refuses what it cannot make one of, before anything runs", async () => {
    const bad = 'console.log("ran"); class C { get x() { return mem.read(4); } }';
    await inFolder({ "main.ts": bad }, async (folder) => {
      expect(() => run(folder, "--import", REGISTER)).toThrow(
        /OutsideSubset: main\.ts:1:48: step in a getter/,
      );
      expect(run(folder), "control").toBe("ran\n");
    });
  });
});
