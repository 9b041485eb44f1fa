import { expect, it } from "vitest";
import { check, checkCore } from "../testing/check.ts";
import { atomics } from "./atomics.ts";

const PLACES = [
  "packages/core",
  "packages/nvme-emu",
  "packages/uring-emu",
  "packages/cli",
  "scenarios",
  "workers",
  "test/conformance",
];

it.each(PLACES)("%s does not name Atomics or SharedArrayBuffer", (place) => {
  const path = `${place}/src/a.ts`;
  expect(check(atomics, { [path]: "Atomics.load(view, 0);" })).toHaveLength(1);
  expect(check(atomics, { [path]: "globalThis.Atomics.load(view, 0);" })).toHaveLength(1);
  expect(check(atomics, { [path]: "const a = new SharedArrayBuffer(4);" })).toHaveLength(1);
  expect(check(atomics, { [path]: "export function f(a: SharedArrayBuffer): void {}" })).toHaveLength(1);
});

it("control: atomics-sync, checker, tests, bench and tools do", () => {
  const places = [
    "packages/atomics-sync/src/a.ts",
    "packages/checker/src/a.ts",
    "packages/core/src/a.test.ts",
    "test/conformance/src/a.test.ts",
    "test/src/a.ts",
  ];
  for (const path of [...places, "packages/core/src/testing/solo.ts", "bench/src/a.ts", "tools/src/a.ts"]) {
    expect(check(atomics, { [path]: "Atomics.load(new Int32Array(new SharedArrayBuffer(4)), 0);" })).toEqual(
      [],
    );
  }
});

it("control: a property, a method or a string of that name is not the global", () => {
  const source = 'const x = { Atomics: 1, DataView() {} }; x.Atomics; x.DataView(); "Atomics"; // Atomics';
  expect(checkCore(atomics, source)).toEqual([]);
});

it("kernel code makes no view, by value or by type", () => {
  expect(checkCore(atomics, "const a = new Int32Array(4);")).toHaveLength(1);
  expect(checkCore(atomics, "const a = BigInt64Array.of();")).toHaveLength(1);
  expect(checkCore(atomics, "export function f(view: DataView): void {}")).toHaveLength(1);
});

it("a private array says why, on its line or right above", () => {
  expect(checkCore(atomics, "const tlb = new Int32Array(4); // private: the device's TLB")).toEqual([]);
  expect(
    checkCore(atomics, "// private: the device's TLB,\n// one per controller\nnew Int32Array(4);"),
  ).toEqual([]);
  expect(checkCore(atomics, "// private:\nnew Int32Array(4);"), "no reason").toHaveLength(1);
  expect(checkCore(atomics, "// private: x\n\nnew Int32Array(4);"), "too far").toHaveLength(1);
  expect(checkCore(atomics, "f(); // private: x\nnew Int32Array(4);"), "another line's").toHaveLength(1);
  expect(checkCore(atomics, "// private: x\nAtomics.load(a, 0);"), "never for Atomics").toHaveLength(1);
});

it("control: scenarios and workers may have typed arrays", () => {
  expect(check(atomics, { "scenarios/src/a.ts": "new Int32Array(4);" })).toEqual([]);
  expect(check(atomics, { "workers/src/a.ts": "new Int32Array(4);" })).toEqual([]);
});
