/** Laws of source sites. */
import { expect, test } from "vitest";
import { boot_bare } from "../testing/bare.ts";
import type { Cpu } from "../sched/cpu.ts";
import { SITE_RECORDS } from "../mm/memory-map.ts";
import { caller_site, read_text, site_id, site_text, write_text } from "./site.ts";

function named_function(cpu: Cpu): number {
  return caller_site(cpu);
}

test("a site is the function, file and line that called", () => {
  const cpu = boot_bare();
  expect(site_text(cpu, named_function(cpu))).toMatch(/^named_function core\/debug\/site\.test\.ts:\d+$/);
});

test("the same place has the same number, another place another", () => {
  const cpu = boot_bare();
  const twice = [0, 1].map(() => named_function(cpu));
  expect(twice[0]).toBe(twice[1]);
  expect(caller_site(cpu)).not.toBe(twice[0]);
});

test("a site is found below any depth of messenger frames it may have", () => {
  const cpu = boot_bare();
  function deep(n: number): number {
    return n === 0 ? caller_site(cpu) : deep(n - 1);
  }
  expect(site_text(cpu, deep(30))).toMatch(/^deep /);
});

test("asking leaves the engine's stack settings alone, also when code depends on them", () => {
  const cpu = boot_bare();
  const limit = Error.stackTraceLimit;
  const prepare = Error.prepareStackTrace;
  Error.stackTraceLimit = 1;
  expect(site_text(cpu, named_function(cpu))).toMatch(/^named_function /);
  expect(Error.stackTraceLimit).toBe(1);
  Error.stackTraceLimit = limit;
  expect(Error.prepareStackTrace).toBe(prepare);
  expect(new Error("x").stack).toContain("site.test.ts");
});

test("number 0 and a full table are unknown", () => {
  const cpu = boot_bare();
  expect(site_text(cpu, 0)).toBe("unknown");
  for (let i = 0; i < SITE_RECORDS; i++) site_id(cpu, `place ${i}`);
  expect(site_id(cpu, "one too many")).toBe(0);
  expect(site_text(cpu, site_id(cpu, "place 17"))).toBe("place 17");
});

test("a stored text is cut to its room and touches nothing behind it", () => {
  const cpu = boot_bare();
  const p = cpu.map.vram_end - 64;
  cpu.mem.memset(p, 0xee, 64);
  write_text(cpu, p, "abcdefghij", 6);
  expect(read_text(cpu, p)).toBe("abcdef");
  expect(cpu.mem.read8(p + 10)).toBe(0xee);
});

test("a site costs less than 25 us a call (5 us when the machine is idle)", () => {
  const cpu = boot_bare();
  let best = Infinity;
  for (let round = 0; round < 10; round++) {
    const start = performance.now();
    for (let i = 0; i < 500; i++) named_function(cpu);
    best = Math.min(best, (performance.now() - start) * 2);
  }
  expect(best).toBeLessThan(25);
});
