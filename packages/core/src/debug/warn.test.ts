/** Laws of WARN, BUG and violations. */
import { expect, test } from "vitest";
import { boot_bare } from "../testing/bare.ts";
import type { Cpu } from "../sched/cpu.ts";
import { dmesg_next, dmesg_read, LOG_BUG, LOG_INFO, LOG_VIOLATION, LOG_WARN, printk } from "./dmesg.ts";
import {
  BUG,
  BUG_ON,
  clear_warn_once,
  KernelBug,
  violation,
  WARN,
  WARN_ON,
  WARN_ON_ONCE,
  WARN_ONCE,
  warnings,
} from "./warn.ts";

function warn_here(cpu: Cpu, condition: boolean): boolean {
  return WARN_ON_ONCE(cpu, condition);
}

test("a condition that holds not warns not", () => {
  const cpu = boot_bare();
  expect(WARN(cpu, false, "text")).toBe(false);
  expect(WARN_ON(cpu, false)).toBe(false);
  expect(WARN_ONCE(cpu, false, "text")).toBe(false);
  expect(warn_here(cpu, false)).toBe(false);
  BUG_ON(cpu, false, "text");
  expect(dmesg_read(cpu, 0)).toEqual([]);
});

test("a warning names the CPU, the site and the text, each time", () => {
  const cpu = boot_bare();
  for (let i = 0; i < 2; i++) expect(WARN(cpu, true, "the text")).toBe(true);
  const log = dmesg_read(cpu, 0);
  expect(log).toHaveLength(2);
  expect(log[0]?.level).toBe(LOG_WARN);
  expect(log[0]?.text).toMatch(/^WARNING: CPU: 0 at .* core\/debug\/warn\.test\.ts:\d+: the text$/);
});

test("a once-warning warns once for its site and answers every time", () => {
  const cpu = boot_bare();
  for (let i = 0; i < 3; i++) expect(warn_here(cpu, true)).toBe(true);
  expect(WARN_ON_ONCE(cpu, true)).toBe(true);
  const texts = dmesg_read(cpu, 0).map((record) => record.text);
  expect(texts).toHaveLength(2);
  expect(texts[0]).toMatch(/^WARNING: CPU: 0 at warn_here core\/debug\/warn\.test\.ts:\d+$/);
});

test("a bug is logged and ends the thread", () => {
  const cpu = boot_bare();
  expect(() => BUG(cpu, "impossible")).toThrow(KernelBug);
  expect(() => BUG_ON(cpu, true, "impossible")).toThrow(/^kernel BUG at .*warn\.test\.ts:\d+: impossible$/);
  expect(dmesg_read(cpu, 0).map((record) => record.level)).toEqual([LOG_BUG, LOG_BUG]);
});

test("a violation carries its rule", () => {
  const cpu = boot_bare();
  violation(cpu, "dma-after-unmap", "map 5");
  expect(dmesg_read(cpu, 0)).toMatchObject([{ level: LOG_VIOLATION, text: "dma-after-unmap: map 5" }]);
});

test("did it warn? the log answers, from any position on", () => {
  const cpu = boot_bare();
  WARN(cpu, true, "before");
  const from = dmesg_next(cpu);
  expect(warnings(cpu, from)).toEqual([]);
  printk(cpu, LOG_INFO, "nothing wrong");
  WARN(cpu, true, "a warning");
  violation(cpu, "rule", "a violation");
  expect(warnings(cpu, from)).toEqual([expect.stringMatching(/: a warning$/), "rule: a violation"]);
  expect(warnings(cpu, 0)).toHaveLength(3);
});

test("clear_warn_once makes every site warn again, once", () => {
  const cpu = boot_bare();
  for (let i = 0; i < 3; i++) {
    warn_here(cpu, true);
    warn_here(cpu, true);
    expect(warnings(cpu, 0)).toHaveLength(i + 1);
    clear_warn_once(cpu);
  }
});
