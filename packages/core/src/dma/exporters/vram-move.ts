/**
 * What an exporter does to its importers (ttm_bo_evict, and the controls of a fake GPU exporter for tests):
 * evict, move, invalidate, and hold locks for longer than is polite. Each verb takes and drops the reservation
 * itself; none is called with it held.
 *
 * The order of a move: pages for it, invalidate, wait for every fence, keep the CPU out, copy, switch.
 *
 * Interface: the verbs return 0, -EINTR (a signal came while waiting for the lock), -ENOMEM (no place to go),
 * or -EBUSY (pinned). The buffer is held by the caller.
 */
import { EBUSY, ENOMEM } from "../../debug/errno.ts";
import { WARN_ON } from "../../debug/warn.ts";
import type { Cpu } from "../../sched/cpu.ts";
import { MAX_SCHEDULE_TIMEOUT, schedule_timeout } from "../../sched/schedule.ts";
import { set_current_state, TASK_UNINTERRUPTIBLE } from "../../sched/task.ts";
import { wake_up_all } from "../../sched/wait.ts";
import { dma_buf_invalidate_mappings } from "../buf.ts";
import { DMA_RESV_USAGE_BOOKKEEP, DMA_RESV_USAGE_KERNEL, dma_resv_lock_interruptible } from "../resv.ts";
import { dma_resv_unlock, dma_resv_wait_timeout } from "../resv.ts";
import { VRAM_HOLD_MS_MAX } from "./vram-export.ts";
import {
  type PlacementPtr,
  TTM_PL_SYSTEM,
  TTM_PL_VRAM,
  VRAM_BLOCKED,
  vram_count,
  vram_dmabuf,
  VRAM_INVALIDATIONS,
  VRAM_MOVES_PENDING,
  vram_nr_pages,
  VRAM_PIN_COUNT,
  vram_place,
  vram_relocate,
  vram_residence,
  vram_resv,
  VRAM_WAITQ,
  type VramBufPtr,
} from "./vram-buf.ts";

function lock(cpu: Cpu, buf: VramBufPtr): number {
  return dma_resv_lock_interruptible(cpu, vram_resv(cpu, buf), 0);
}

function unlock(cpu: Cpu, buf: VramBufPtr): void {
  dma_resv_unlock(cpu, vram_resv(cpu, buf));
}

/** Tells importers that their mappings end. Reservation held. */
export function vram_notify_importers(cpu: Cpu, buf: VramBufPtr): void {
  dma_buf_invalidate_mappings(cpu, vram_dmabuf(cpu, buf));
  vram_count(cpu, VRAM_INVALIDATIONS);
}

/**
 * The rest of a move whose importers were told: waits for all who use the old pages (fences of importers, of
 * movers, of everybody else), then goes to the new ones. Reservation held.
 */
export function vram_finish_move(cpu: Cpu, buf: VramBufPtr, target: PlacementPtr): void {
  wait_fences(cpu, buf, DMA_RESV_USAGE_BOOKKEEP);
  vram_relocate(cpu, buf, target);
}

function wait_fences(cpu: Cpu, buf: VramBufPtr, usage: number): void {
  WARN_ON(cpu, dma_resv_wait_timeout(cpu, vram_resv(cpu, buf), usage, false, MAX_SCHEDULE_TIMEOUT) <= 0);
}

/** 0, or -EBUSY when the buffer is pinned. Reservation held. */
export function vram_may_move(cpu: Cpu, buf: VramBufPtr): number {
  return cpu.mem.read(buf + VRAM_PIN_COUNT) !== 0 ? -EBUSY : 0;
}

function move_to(cpu: Cpu, buf: VramBufPtr, kind: number): number {
  const error = vram_may_move(cpu, buf);
  if (error < 0) return error;
  const target = vram_place(cpu, vram_nr_pages(cpu, buf), kind);
  if (target === 0) return -ENOMEM;
  vram_notify_importers(cpu, buf);
  vram_finish_move(cpu, buf, target);
  return 0;
}

/** Moves the buffer to system memory. 0 also if it is there already. */
export function vram_evict(cpu: Cpu, buf: VramBufPtr): number {
  return validate(cpu, buf, TTM_PL_SYSTEM);
}

/** Moves the buffer back to VRAM. 0 also if it is there already. */
export function vram_restore(cpu: Cpu, buf: VramBufPtr): number {
  return validate(cpu, buf, TTM_PL_VRAM);
}

/** Moves the buffer if it is not where it shall be (ttm_bo_validate). */
function validate(cpu: Cpu, buf: VramBufPtr, kind: number): number {
  let error = lock(cpu, buf);
  if (error < 0) return error;
  // A move under way decides where the buffer is.
  if (cpu.mem.loadAcquire(buf + VRAM_MOVES_PENDING) !== 0) wait_fences(cpu, buf, DMA_RESV_USAGE_KERNEL);
  if (vram_residence(cpu, buf) !== kind) error = move_to(cpu, buf, kind);
  unlock(cpu, buf);
  return error;
}

/** Moves the buffer to other pages of VRAM, wherever it is. */
export function vram_move(cpu: Cpu, buf: VramBufPtr): number {
  let error = lock(cpu, buf);
  if (error < 0) return error;
  error = move_to(cpu, buf, TTM_PL_VRAM);
  unlock(cpu, buf);
  return error;
}

/** Invalidates and goes: nobody waits for the fences, nothing moves. */
export function vram_invalidate(cpu: Cpu, buf: VramBufPtr): number {
  return vram_invalidate_and_hold(cpu, buf, 0);
}

/** Invalidates, and keeps the reservation for `ms` more. */
export function vram_invalidate_and_hold(cpu: Cpu, buf: VramBufPtr, ms: number): number {
  const error = lock(cpu, buf);
  if (error < 0) return error;
  vram_notify_importers(cpu, buf);
  hold(cpu, ms);
  unlock(cpu, buf);
  return 0;
}

/** Keeps the reservation for `ms`. */
export function vram_hold_resv(cpu: Cpu, buf: VramBufPtr, ms: number): number {
  const error = lock(cpu, buf);
  if (error < 0) return error;
  hold(cpu, ms);
  unlock(cpu, buf);
  return 0;
}

function hold(cpu: Cpu, ms: number): void {
  let left = Math.min(ms, VRAM_HOLD_MS_MAX);
  while (left > 0) {
    set_current_state(cpu, TASK_UNINTERRUPTIBLE);
    left = schedule_timeout(cpu, left);
  }
}

/** While on, map_dma_buf waits with the reservation held, VRAM_HOLD_MS_MAX at most. */
export function vram_block_map(cpu: Cpu, buf: VramBufPtr, on: boolean): void {
  // Pairs with the loadAcquire in wait_unblocked: a waiter that is queued is woken, one that is not yet sees 0.
  cpu.mem.storeRelease(buf + VRAM_BLOCKED, on ? 1 : 0);
  if (!on) wake_up_all(cpu, buf + VRAM_WAITQ);
}
