import { describe, expect, it } from "vitest";
import { check } from "../testing/check.ts";
import { layers } from "./layers.ts";

const one = (path: string, source: string): string[] => check(layers, { [path]: source });

describe("imports run downwards only", () => {
  it.each([
    ["packages/core/src/a.ts", "@ringside/nvme-emu/driver/x", "core may not import nvme-emu"],
    ["packages/nvme-emu/src/a.ts", "@ringside/uring-emu/ring/x", "nvme-emu may not import uring-emu"],
    ["packages/uring-emu/src/a.ts", "@ringside/nvme-emu/driver/x", "uring-emu may not import nvme-emu"],
    ["packages/atomics-sync/src/a.ts", "@ringside/core/mm/slab", "it may import nothing of ours"],
    ["scenarios/src/a.ts", "@ringside/workers/machine", "scenarios may not import workers"],
    ["workers/src/a.ts", "@ringside/cli/main", "workers may not import cli"],
    ["workers/src/a.ts", "@ringside/test/closing-line", "workers may not import test"],
    ["packages/checker/src/a.ts", "@ringside/workers/machine", "checker may not import workers"],
    ["packages/core/src/a.ts", "@ringside/mutants/index", "core may not import mutants"],
    ["packages/core/src/a.test.ts", "@ringside/scenarios/x", "core may not import scenarios"],
  ])("%s may not import %s", (path, specifier, message) => {
    expect(one(path, `import { x } from "${specifier}";`)).toEqual([expect.stringContaining(message)]);
    expect(one(path, `import type { x } from "${specifier}";`), "types too").toHaveLength(1);
    expect(one(path, `export { x } from "${specifier}";`), "export-from too").toHaveLength(1);
    expect(one(path, `const x = await import("${specifier}");`), "import() too").toHaveLength(1);
  });

  it.each([
    ["packages/core/src/a.ts", "atomics-sync"],
    ["packages/nvme-emu/src/a.ts", "@ringside/core/dma/fence"],
    ["scenarios/src/a.ts", "@ringside/uring-emu/liburing"],
    ["workers/src/a.ts", "@ringside/scenarios/x"],
    ["workers/src/a.ts", "@ringside/mutants/index"],
    ["packages/cli/src/a.ts", "@ringside/checker/explore"],
    ["bench/src/a.ts", "@ringside/workers/machine"],
    ["test/src/a.test.ts", "@ringside/cli/main"],
    ["workers/src/a.ts", "node:worker_threads"],
  ])("control: %s may import %s", (path, specifier) => {
    expect(one(path, `import { x } from "${specifier}";`)).toEqual([]);
  });
});

describe("how an import is written", () => {
  it("a relative path does not leave its package", () => {
    expect(one("scenarios/src/a.ts", 'import { x } from "../../packages/core/src/mm/slab.ts";')).toEqual([
      expect.stringContaining("import core by its package name"),
    ]);
    expect(one("packages/core/src/dma/a.ts", 'import { x } from "../mm/slab.ts";'), "control").toEqual([]);
  });

  it("a relative path upwards is still an import upwards", () => {
    expect(one("packages/core/src/a.ts", 'import { x } from "../../../workers/src/machine.ts";')).toEqual([
      expect.stringContaining("core may not import workers"),
    ]);
  });

  it("the kernel packages take nothing from Node, their tests may", () => {
    const source = 'import { readFileSync } from "node:fs";';
    expect(one("packages/core/src/a.ts", source)).toHaveLength(1);
    expect(one("packages/core/src/a.test.ts", source), "control").toEqual([]);
    expect(one("packages/core/src/testing/solo.ts", source), "control").toEqual([]);
    expect(one("packages/atomics-sync/scripts/assemble.ts", source), "control").toEqual([]);
  });

  it("nothing imports a test", () => {
    expect(one("packages/core/src/a.ts", 'import { x } from "./b.test.ts";')).toHaveLength(1);
    expect(one("packages/core/src/a.ts", 'import { x } from "./b.ts";'), "control").toEqual([]);
  });
});
