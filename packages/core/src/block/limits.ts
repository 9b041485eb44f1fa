/**
 * struct queue_limits (include/linux/blkdev.h): what one request to a device may look like. It is the head of
 * struct request_queue, so a queue pointer is a limits pointer too. Constant once the disk is added.
 */
import type { Ptr } from "atomics-sync";
import { struct_layout } from "../debug/layout.ts";
import type { Cpu } from "../sched/cpu.ts";

export type QueueLimitsPtr = Ptr<"queue_limits">;

export const SECTOR_SHIFT = 9;
export const SECTOR_SIZE = 512;

/** Largest request in bytes, from the device (MDTS): a multiple of the logical block. */
const MAX_HW_BYTES = 0;
/** Bytes of a logical block. */
const LOGICAL_BLOCK_SIZE = 4;
/** Bits that must be 0 in every memory address. */
const DMA_ALIGNMENT = 8;
/** Segments inside a request start and end on multiples of this plus 1; 0: they may have gaps. */
const VIRT_BOUNDARY_MASK = 12;
/** Segments of one request. */
const MAX_SEGMENTS = 16;
const FEATURES = 20;
export const QUEUE_LIMITS_SIZE = 24;

/** The device has a volatile write cache: flushes mean something. */
export const BLK_FEAT_WRITE_CACHE = 1;

struct_layout("queue_limits", QUEUE_LIMITS_SIZE, [
  ["max_hw_bytes", MAX_HW_BYTES, 4],
  ["logical_block_size", LOGICAL_BLOCK_SIZE, 4],
  ["dma_alignment", DMA_ALIGNMENT, 4],
  ["virt_boundary_mask", VIRT_BOUNDARY_MASK, 4],
  ["max_segments", MAX_SEGMENTS, 4],
  ["features", FEATURES, 4],
]);

/** Limits as a driver states them. */
export interface QueueLimits {
  readonly max_hw_bytes: number;
  readonly logical_block_size: number;
  readonly dma_alignment: number;
  readonly virt_boundary_mask: number;
  readonly max_segments: number;
  readonly features: number;
}

export function queue_limits_set(cpu: Cpu, lim: QueueLimitsPtr, values: QueueLimits): void {
  const mem = cpu.mem;
  mem.write(lim + MAX_HW_BYTES, values.max_hw_bytes);
  mem.write(lim + LOGICAL_BLOCK_SIZE, values.logical_block_size);
  mem.write(lim + DMA_ALIGNMENT, values.dma_alignment);
  mem.write(lim + VIRT_BOUNDARY_MASK, values.virt_boundary_mask);
  mem.write(lim + MAX_SEGMENTS, values.max_segments);
  mem.write(lim + FEATURES, values.features);
}

export function queue_max_bytes(cpu: Cpu, lim: number): number {
  return cpu.mem.read(lim + MAX_HW_BYTES);
}
export function queue_logical_block_size(cpu: Cpu, lim: number): number {
  return cpu.mem.read(lim + LOGICAL_BLOCK_SIZE);
}
export function queue_dma_alignment(cpu: Cpu, lim: number): number {
  return cpu.mem.read(lim + DMA_ALIGNMENT);
}
export function queue_virt_boundary(cpu: Cpu, lim: number): number {
  return cpu.mem.read(lim + VIRT_BOUNDARY_MASK);
}
export function queue_max_segments(cpu: Cpu, lim: number): number {
  return cpu.mem.read(lim + MAX_SEGMENTS);
}
export function queue_has_write_cache(cpu: Cpu, lim: number): boolean {
  return (cpu.mem.read(lim + FEATURES) & BLK_FEAT_WRITE_CACHE) !== 0;
}
