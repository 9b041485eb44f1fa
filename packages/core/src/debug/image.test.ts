/** Laws of the kernel image: what module load order decides, and boot. */
import { expect, test } from "vitest";
import type { Cpu } from "../sched/cpu.ts";
import { bare_parts, boot_bare, join_bare } from "../testing/bare.ts";
import * as image from "./image.ts";

const order: string[] = [];
const rodata = image.kernel_rodata("image_test_ops", [11, 0, -7]);
const words = image.kernel_static("image_test_words", 130);
const after = image.kernel_static("image_test_after", 4);
let failure = 0;

function doubled(_cpu: Cpu, a: number, b: number): number {
  return 2 * a + b;
}
const DOUBLED = image.kernel_symbol(doubled);

image.kernel_initcall((cpu: Cpu) => {
  order.push("first");
  // The constant tables are there before any initcall runs.
  if (cpu.mem.read(rodata) !== 11) order.push("no rodata");
  return failure;
});
image.kernel_initcall(() => void order.push("second"));
image.kernel_exitcall(() => void order.push("exit first"));
image.kernel_exitcall(() => void order.push("exit second"));

test("initcalls run in order at boot, exitcalls in reverse at shutdown", () => {
  order.length = 0;
  const cpu = boot_bare();
  image.stop_kernel(cpu);
  expect(order).toEqual(["first", "second", "exit second", "exit first"]);
});

test("a negative initcall stops the boot", () => {
  order.length = 0;
  failure = -12;
  const cpu = join_bare(bare_parts(), 0);
  expect(image.start_kernel(cpu)).toBe(-12);
  failure = 0;
  expect(order).toEqual(["first"]);
});

test("static data has lines of its own, and is zero at boot", () => {
  const cpu = boot_bare();
  expect(words % 128).toBe(0);
  expect(after).toBe(words + 256);
  for (let at = words; at < after; at += 4) expect(cpu.mem.read(at)).toBe(0);
});

test("constant tables hold their words", () => {
  const cpu = boot_bare();
  expect([0, 4, 8].map((at) => cpu.mem.read(rodata + at))).toEqual([11, 0, -7]);
});

test("a function is called through its symbol, by its name in reports", () => {
  const cpu = boot_bare();
  expect(image.symbol_call(cpu, DOUBLED, 20, 2)).toBe(42);
  expect(image.symbol_name(DOUBLED)).toBe("doubled");
  expect(image.symbol_name(99_999)).toBe("0x1869f");
});

test("a call through null is a kernel bug", () => {
  expect(() => image.symbol_call(boot_bare(), 0)).toThrow("NULL pointer dereference");
});

test("any further name changes the hash", () => {
  const before = image.image_hash();
  expect(image.image_hash()).toBe(before);
  image.kernel_static("image_test_more", 4);
  expect(image.image_hash()).not.toBe(before);
});

test("too much static data is refused by name", () => {
  expect(() => image.kernel_static("image_test_huge", image.STATIC_LIMIT)).toThrow("image_test_huge");
  expect(() => image.percpu_static("image_test_huge_percpu", image.PERCPU_STACK)).toThrow("huge_percpu");
});
