/** Laws of the kernel log. */
import { expect, test } from "vitest";
import { bare_parts, boot_bare } from "../testing/bare.ts";
import { DMESG_RECORD_SIZE, DMESG_RECORDS } from "../mm/memory-map.ts";
import { run_mm_roles } from "../testing/mm-threads.ts";
import { dmesg_clear, dmesg_next, dmesg_read, LOG_BUG, LOG_INFO, LOG_WARN, printk } from "./dmesg.ts";

test("what is logged is read back in order, with level and CPU", () => {
  const cpu = boot_bare();
  expect(dmesg_read(cpu, 0)).toEqual([]);
  printk(cpu, LOG_INFO, "first");
  printk(cpu, LOG_BUG, "");
  printk(cpu, LOG_WARN, "third\nof two lines");
  expect(dmesg_read(cpu, 0)).toEqual([
    { level: LOG_INFO, cpu: 0, time: 0, text: "first" },
    { level: LOG_BUG, cpu: 0, time: 0, text: "" },
    { level: LOG_WARN, cpu: 0, time: 0, text: "third\nof two lines" },
  ]);
  expect(dmesg_read(cpu, 2)).toHaveLength(1);
});

test("a long text is cut inside its record", () => {
  const cpu = boot_bare();
  printk(cpu, LOG_INFO, "x".repeat(2000));
  printk(cpu, LOG_INFO, "next");
  const [long, next] = dmesg_read(cpu, 0);
  expect(long?.text).toMatch(/^x+$/);
  expect(long?.text.length).toBeGreaterThan(400);
  expect(long?.text.length).toBeLessThan(DMESG_RECORD_SIZE);
  expect(next?.text).toBe("next");
});

test("a full log keeps the oldest records and drops the rest", () => {
  const cpu = boot_bare();
  for (let i = 0; i < DMESG_RECORDS + 10; i++) printk(cpu, LOG_INFO, `${i}`);
  const log = dmesg_read(cpu, 0);
  expect(log).toHaveLength(DMESG_RECORDS - 1);
  expect(log.at(-1)?.text).toBe(`${DMESG_RECORDS - 2}`);
});

test("threads that log at once lose nothing and mix nothing; equal sites have equal numbers", async () => {
  const parts = bare_parts({ cpus: 4 });
  const cpu = boot_bare({}, parts);
  const roles = [1, 2, 3].map((id) => ({ parts, id, role: "log" as const, steps: 300, shared: 0, words: 0 }));
  const sites = await run_mm_roles(roles);
  expect(new Set(sites).size).toBe(1);
  const log = dmesg_read(cpu, 0);
  expect(log).toHaveLength(900);
  for (const id of [1, 2, 3]) {
    const lines = log.filter((record) => record.cpu === id).map((record) => record.text);
    expect(lines).toEqual(Array.from({ length: 300 }, (_, i) => `cpu ${id} line ${i} ${"x".repeat(i % 50)}`));
  }
});

test("a cleared log starts anew, also when it was full", () => {
  const cpu = boot_bare();
  dmesg_clear(cpu);
  for (const count of [3, DMESG_RECORDS + 10, 1]) {
    for (let i = 0; i < count; i++) printk(cpu, LOG_INFO, `${count}: ${i}`);
    expect(dmesg_next(cpu)).toBe(Math.min(count, DMESG_RECORDS - 1));
    expect(dmesg_read(cpu, 0)).toHaveLength(dmesg_next(cpu));
    expect(dmesg_read(cpu, 0)[0]?.text).toBe(`${count}: 0`);
    dmesg_clear(cpu);
    expect(dmesg_read(cpu, 0)).toEqual([]);
    expect(dmesg_next(cpu)).toBe(0);
  }
});
