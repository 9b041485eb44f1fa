/**
 * WARN, BUG and violations (include/asm-generic/bug.h): what the kernel says when the impossible happens.
 * A WARN is logged and the code goes on; a BUG logs and ends the thread, which stops the machine.
 *
 * Interface: `if (WARN_ON_ONCE(cpu, condition)) return;` as in C. Did it warn? `const from = dmesg_next(cpu)`
 * before, `warnings(cpu, from)` after; `clear_warn_once(cpu)` makes every site warn again.
 */
import { kernel_static } from "./image.ts";
import { SITE_RECORDS } from "../mm/memory-map.ts";
import type { Cpu } from "../sched/cpu.ts";
import { dmesg_read, LOG_BUG, LOG_VIOLATION, LOG_WARN, printk } from "./dmesg.ts";
import { caller_site, site_id, site_text } from "./site.ts";

/** One bit per site that has warned already. */
const WARNED = kernel_static("warned_sites", SITE_RECORDS / 8);

/** Thrown by BUG: the thread is dead, the machine stops and names it. */
export class KernelBug extends Error {
  override readonly name: string = "KernelBug";
}

function warn_at(cpu: Cpu, site: number, text: string): void {
  const suffix = text === "" ? "" : `: ${text}`;
  printk(cpu, LOG_WARN, `WARNING: CPU: ${cpu.id} at ${site_text(cpu, site)}${suffix}`);
}

/** True the first time a site gets here. */
function first_time(cpu: Cpu, site: number): boolean {
  const bit = 1 << (site & 31);
  return (cpu.mem.fetchOr(WARNED + (site >> 5) * 4, bit) & bit) === 0;
}

export function WARN(cpu: Cpu, condition: boolean, text: string): boolean {
  if (condition) warn_at(cpu, caller_site(cpu), text);
  return condition;
}

export function WARN_ON(cpu: Cpu, condition: boolean): boolean {
  if (condition) warn_at(cpu, caller_site(cpu), "");
  return condition;
}

/** Warns once per calling site; returns the condition every time. */
export function WARN_ONCE(cpu: Cpu, condition: boolean, text: string): boolean {
  if (condition) {
    const site = caller_site(cpu);
    if (first_time(cpu, site)) warn_at(cpu, site, text);
  }
  return condition;
}

export function WARN_ON_ONCE(cpu: Cpu, condition: boolean): boolean {
  return WARN_ONCE(cpu, condition, "");
}

/** The WARN_ONCE of a function that warns for its callers: once for all who use `key`, and says who was first. */
export function WARN_ONCE_KEY(cpu: Cpu, key: string, text: string): void {
  if (first_time(cpu, site_id(cpu, key))) warn_at(cpu, caller_site(cpu), text);
}

export function BUG(cpu: Cpu, text: string): never {
  const message = `kernel BUG at ${site_text(cpu, caller_site(cpu))}: ${text}`;
  printk(cpu, LOG_BUG, message);
  throw new KernelBug(message);
}

export function BUG_ON(cpu: Cpu, condition: boolean, text: string): void {
  if (condition) BUG(cpu, text);
}

/** An oracle saw a protocol rule broken. `rule` is its short name, stable for tests. */
export function violation(cpu: Cpu, rule: string, text: string): void {
  printk(cpu, LOG_VIOLATION, `${rule}: ${text}`);
}

/** What went wrong since the log was at `from` (dmesg_next): texts of warnings, bugs and violations, oldest first. */
export function warnings(cpu: Cpu, from: number): string[] {
  const texts: string[] = [];
  for (const record of dmesg_read(cpu, from)) if (record.level >= LOG_WARN) texts.push(record.text);
  return texts;
}

/** Every site that warns once may do so again (/sys/kernel/debug/clear_warn_once). */
export function clear_warn_once(cpu: Cpu): void {
  cpu.mem.memset(WARNED, 0, SITE_RECORDS / 8);
}
