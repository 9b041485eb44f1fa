/**
 * What is always checked about tokens and maps (invariants I2 to I4, I6 and I7, ARCHITECTURE.md). Looks only,
 * never changes the outcome: a broken rule becomes a violation in the kernel log.
 *
 * Counters are words of their own, bumped on the cold path; the report reads them.
 */
import { kernel_static } from "../debug/image.ts";
import { violation } from "../debug/warn.ts";
import { poll_state_synchronize_rcu } from "../rcu/rcu.ts";
import type { Cpu } from "../sched/cpu.ts";
import { type DmaFencePtr, dma_fence_test_signaled_flag } from "./fence.ts";
import { DMA_RESV_USAGE_BOOKKEEP, dma_resv_has_unsignaled } from "./resv.ts";

const COUNTERS = kernel_static("io_dmabuf_counters", 32);
export const TOKEN_CREATED = 0;
export const TOKEN_RELEASED = 4;
export const TOKEN_MAPS = 8;
export const TOKEN_UNMAPS = 12;
export const TOKEN_INVALIDATIONS = 16;
/** Times create_map went back to wait because a fence appeared before it had the lock. */
export const TOKEN_RETRIES = 20;

export function token_count(cpu: Cpu, counter: number): void {
  cpu.mem.fetchAdd(COUNTERS + counter, 1);
}

export interface TokenCounters {
  readonly created: number;
  readonly released: number;
  readonly maps: number;
  readonly unmaps: number;
  readonly invalidations: number;
  readonly retries: number;
}

export function token_counters(cpu: Cpu): TokenCounters {
  return {
    created: cpu.mem.readOnce(COUNTERS + TOKEN_CREATED),
    released: cpu.mem.readOnce(COUNTERS + TOKEN_RELEASED),
    maps: cpu.mem.readOnce(COUNTERS + TOKEN_MAPS),
    unmaps: cpu.mem.readOnce(COUNTERS + TOKEN_UNMAPS),
    invalidations: cpu.mem.readOnce(COUNTERS + TOKEN_INVALIDATIONS),
    retries: cpu.mem.readOnce(COUNTERS + TOKEN_RETRIES),
  };
}

/** I4: a map is made only when no fence of an earlier generation is pending. Reservation held. */
export function check_no_own_fence(cpu: Cpu, resv: number, fence_ctx: number): void {
  if (dma_resv_has_unsignaled(cpu, resv, DMA_RESV_USAGE_BOOKKEEP, fence_ctx)) {
    violation(cpu, "map-over-fence", "a map was created while a fence of an earlier map is unsignaled");
  }
}

/** I3: publishing over a published map loses it. */
export function check_unpublished(cpu: Cpu, published: number): void {
  if (published !== 0) violation(cpu, "two-maps", "a map was published over a published map");
}

/** I2: a request that still holds the map proves that its fence cannot have retired. */
export function check_map_live(cpu: Cpu, fence: DmaFencePtr): void {
  if (dma_fence_test_signaled_flag(cpu, fence)) {
    violation(cpu, "io-after-fence", "a request held a map whose fence had been signaled");
  }
}

/** Lookups run under RCU only: a map may be freed a grace period after it was unpublished, not sooner. */
export function check_grace_period(cpu: Cpu, cookie: number): void {
  if (cookie !== 0 && !poll_state_synchronize_rcu(cpu, cookie)) {
    violation(
      cpu,
      "map-freed-early",
      "a map was freed before a grace period passed since it was unpublished",
    );
  }
}

/** I6: one unmap a map. */
export function check_unmapped_once(cpu: Cpu, unmaps: number): void {
  if (unmaps !== 0) violation(cpu, "double-unmap", "a map was released twice");
}

/** I7: the token goes after its maps. */
export function check_no_maps(cpu: Cpu, nr_maps: number): void {
  if (nr_maps !== 0) violation(cpu, "token-before-maps", `a token was freed with ${nr_maps} maps alive`);
}
