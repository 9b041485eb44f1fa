/**
 * WARN, BUG and violations (include/asm-generic/bug.h): what the kernel says when the impossible happens.
 * A WARN is logged and the code goes on; a BUG logs and ends the thread, which stops the machine.
 *
 * Interface: `if (WARN_ON_ONCE(cpu, condition)) return;` as in C. The log is queryable: debug/dmesg.ts.
 */
import { kernel_static } from "./image.ts";
import { SITE_RECORDS } from "../mm/memory-map.ts";
import type { Cpu } from "../sched/cpu.ts";
import { LOG_BUG, LOG_VIOLATION, LOG_WARN, printk } from "./dmesg.ts";
import { caller_site, site_text } from "./site.ts";

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
