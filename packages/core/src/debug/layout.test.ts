/** Every struct of the kernel has a sound layout, and the whole kernel links. */
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { kmem_verify } from "../mm/slab-report.ts";
import { boot_bare } from "../testing/bare.ts";
import { dmesg_read } from "./dmesg.ts";
import { stop_kernel } from "./image.ts";
import { layout_faults, struct_layout, struct_layouts } from "./layout.ts";

const SRC = fileURLToPath(new URL("..", import.meta.url));

/** Modules that are the kernel: tests and thread entries are not. */
function kernel_modules(): string[] {
  return readdirSync(SRC, { recursive: true, encoding: "utf8" })
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => path.endsWith(".ts") && !/\.test\.ts$|fixture|(^|\/)testing\//.test(path))
    .sort();
}

beforeAll(async () => {
  for (const path of kernel_modules()) await import(new URL(`../${path}`, import.meta.url).href);
});

test("no struct of the kernel has overlapping, misaligned or outlying fields", () => {
  expect(struct_layouts().length).toBeGreaterThan(20);
  expect(struct_layouts().flatMap(layout_faults)).toEqual([]);
});

test("no two structs have the same name", () => {
  const names = struct_layouts().map((layout) => layout.name);
  expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
});

test.each([[false], [true]])(
  "the whole kernel boots and stops without a word in the log (kasan: %s)",
  (kasan) => {
    const cpu = boot_bare({ kasan, ram: 16 << 20, vram: 4 << 20, media: 4 << 20 });
    expect(dmesg_read(cpu, 0)).toEqual([]);
    expect(kmem_verify(cpu)).toBe(0);
    stop_kernel(cpu);
    expect(dmesg_read(cpu, 0)).toEqual([]);
  },
);

test.each<[string, readonly (readonly [string, number, number])[], string]>([
  [
    "overlap",
    [
      ["a", 0, 8],
      ["b", 4, 4],
    ],
    "broken.b overlaps a",
  ],
  ["misalignment", [["a", 2, 4]], "broken.a at 2 is not 4-aligned"],
  ["a misaligned half", [["a", 3, 2]], "broken.a at 3 is not 2-aligned"],
  ["a field past the end", [["a", 12, 8]], "past 16"],
])("%s is a fault", (_name, fields, fault) => {
  expect(layout_faults({ name: "broken", size: 16, fields }).join()).toContain(fault);
});

test("fields may be given in any order, and bytes and halves anywhere they are aligned", () => {
  const layout = struct_layout("layout_test", 16, [
    ["d", 8, 8],
    ["a", 0, 1],
    ["b", 2, 2],
    ["c", 4, 4],
  ]);
  expect(layout_faults(layout)).toEqual([]);
  expect(struct_layouts()).toContain(layout);
});
