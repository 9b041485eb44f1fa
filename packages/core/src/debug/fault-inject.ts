/**
 * Fault injection (lib/fault-inject.c): named places where a machine may be told to fail.
 *
 * The attributes live in shared memory, so a fault armed by one thread strikes any. Each place counts its
 * calls since it was armed: the first `after` pass, then it fails `times` times (-1: for ever), each time
 * with `probability`, or when whoever searches executions chooses so (`choice`).
 *
 * Interface: `if (should_fail(cpu, FAULT_X)) return -ENOMEM;` at the place; fault_arm and fault_disarm in a
 * test; fault_hits tells how often it struck.
 */
import { kernel_static } from "./image.ts";
import { struct_layout } from "./layout.ts";
import type { Cpu } from "../sched/cpu.ts";

export const FAULT_SLAB = 0;
export const FAULT_PAGES = 1;
export const FAULT_RESERVE_FENCES = 2;
export const FAULT_CREATE_TOKEN = 3;
export const FAULT_MISSING_OPS = 4;
export const FAULT_DMA_MAP = 5;
export const FAULT_PRP_POOL = 6;
export const FAULT_TAGS = 7;
/** fail_io_timeout: a completion is swallowed, so that the request times out. */
export const FAULT_IO_TIMEOUT = 8;
/** Room for faults of scenarios: 9 ... 15. */
export const NR_FAULTS = 16;

/** Names for command lines, by number. */
export const FAULT_NAMES: readonly string[] = [
  "slab",
  "pages",
  "reserve-fences",
  "create-token",
  "missing-ops",
  "dma-map",
  "prp-pool",
  "tags",
  "io-timeout",
];

/** One bit per armed fault, so that a machine without faults pays one plain load a place. */
const ARMED = kernel_static("fault_armed", 4);
const ATTRS = kernel_static("fault_attrs", NR_FAULTS * 32);

// Written by fault_arm before the ARMED bit is set.
const AFTER = 0;
/** Of 2^32. 0 means always. */
const THRESHOLD = 4;
// Atomic.
const CALLS = 8;
/** Failures left; negative: no limit. */
const TIMES = 12;
const HITS = 16;
// Written by fault_arm before the ARMED bit is set: not 0 if failing is a choice of the platform, of so many.
const CHOICE = 20;
const FAULT_ATTR_SIZE = 32;

struct_layout("fault_attr", FAULT_ATTR_SIZE, [
  ["after", AFTER, 4],
  ["threshold", THRESHOLD, 4],
  ["calls", CALLS, 4],
  ["times", TIMES, 4],
  ["hits", HITS, 4],
  ["choice", CHOICE, 4],
]);

export interface FaultPlan {
  /** Calls that still succeed. Default 0. */
  readonly after?: number;
  /** Failures from then on; -1: all. Default 1. */
  readonly times?: number;
  /** Chance of each, in (0, 1]. Default 1. */
  readonly probability?: number;
  /** Sides of a die (2 ... 255) that whoever searches executions throws: one side strikes. Elsewhere none does. */
  readonly choice?: number;
}

function fault_attr(fault: number): number {
  return ATTRS + fault * FAULT_ATTR_SIZE;
}

/** Arms `fault` and zeroes its counts. */
export function fault_arm(cpu: Cpu, fault: number, plan: FaultPlan): void {
  const attr = fault_attr(fault);
  fault_disarm(cpu, fault);
  const { after = 0, times = 1, probability = 1, choice = 0 } = plan;
  cpu.mem.write(attr + AFTER, after);
  cpu.mem.write(attr + CHOICE, choice);
  cpu.mem.write(
    attr + THRESHOLD,
    probability >= 1 ? 0 : Math.max(1, Math.floor(probability * 0x1_0000_0000)) | 0,
  );
  cpu.mem.storeRelease(attr + CALLS, 0);
  cpu.mem.storeRelease(attr + HITS, 0);
  cpu.mem.storeRelease(attr + TIMES, times);
  // Pairs with the loadAcquire in fault_strikes: whoever sees the bit sees the plan.
  cpu.mem.fetchOr(ARMED, 1 << fault);
}

/** Nothing fails any more; the counts stay readable. */
export function fault_disarm(cpu: Cpu, fault: number): void {
  cpu.mem.fetchAnd(ARMED, ~(1 << fault));
}

/** Is it armed at all? For loops that ask should_fail in every round: look once, and ask only then. */
export function fault_armed(cpu: Cpu, fault: number): boolean {
  return (cpu.mem.readOnce(ARMED) & (1 << fault)) !== 0;
}

/** True when this call shall fail. */
export function should_fail(cpu: Cpu, fault: number): boolean {
  return fault_armed(cpu, fault) && fault_strikes(cpu, fault);
}

function fault_strikes(cpu: Cpu, fault: number): boolean {
  // Pairs with the fetchOr in fault_arm.
  if ((cpu.mem.loadAcquire(ARMED) & (1 << fault)) === 0) return false;
  const attr = fault_attr(fault);
  if (cpu.mem.fetchAdd(attr + CALLS, 1) < cpu.mem.read(attr + AFTER)) return false;
  const threshold = cpu.mem.read(attr + THRESHOLD) >>> 0;
  if (threshold !== 0 && cpu.random32() >= threshold) return false;
  const sides = cpu.mem.read(attr + CHOICE);
  if (sides !== 0 && cpu.platform.choose?.(sides) !== 1) return false;
  if (!take_one(cpu, attr + TIMES)) return false;
  cpu.mem.fetchAdd(attr + HITS, 1);
  return true;
}

/** Takes one of the failures left, if any. */
function take_one(cpu: Cpu, times: number): boolean {
  for (;;) {
    const left = cpu.mem.loadAcquire(times);
    if (left < 0) return true;
    if (left === 0) return false;
    if (cpu.mem.compareExchange(times, left, left - 1) === left) return true;
  }
}

/** How often the fault has struck since it was armed. */
export function fault_hits(cpu: Cpu, fault: number): number {
  return cpu.mem.loadAcquire(fault_attr(fault) + HITS);
}

/** How often the place was passed since it was armed. */
export function fault_calls(cpu: Cpu, fault: number): number {
  return cpu.mem.loadAcquire(fault_attr(fault) + CALLS);
}
