/**
 * Allocation flags (include/linux/gfp_types.h). Only three bits mean something here: __GFP_ZERO clears the
 * memory, __GFP_DIRECT_RECLAIM says the caller may sleep (checked, never used: nothing is reclaimed), and
 * __GFP_NOWARN keeps a failure out of the log.
 */
import type { Cpu } from "../sched/cpu.ts";
import { might_sleep } from "../sched/schedule.ts";
import { PAGE_SHIFT, PAGE_SIZE } from "./memory-map.ts";

export const __GFP_HIGH = 0x20;
export const __GFP_IO = 0x40;
export const __GFP_FS = 0x80;
export const __GFP_ZERO = 0x100;
export const __GFP_DIRECT_RECLAIM = 0x400;
export const __GFP_KSWAPD_RECLAIM = 0x800;
export const __GFP_NOWARN = 0x2000;
export const GFP_ATOMIC = 0x820;
export const GFP_NOWAIT = 0x2800;
export const GFP_NOIO = 0xc00;
export const GFP_KERNEL = 0xcc0;

/** Warns when an allocation that may sleep is made where sleeping is forbidden. */
export function might_alloc(cpu: Cpu, gfp: number): void {
  if ((gfp & __GFP_DIRECT_RECLAIM) !== 0) might_sleep(cpu);
}

/** The order of the smallest block of pages that holds `bytes`. */
export function get_order(bytes: number): number {
  return bytes <= PAGE_SIZE ? 0 : 32 - Math.clz32((bytes - 1) >>> PAGE_SHIFT);
}
