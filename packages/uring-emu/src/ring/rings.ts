/**
 * struct io_rings: the words that user and kernel share (io_uring/io_uring.c). One run of pages holds the
 * indexes, the CQEs and the SQ array; the SQEs have a run of their own.
 *
 *   word          written by   line     pairs
 *   sq.head       kernel       0        kernel storeRelease after it read the SQEs; user loadAcquire
 *   sq.tail       user         128      user storeRelease after it filled SQEs; kernel loadAcquire
 *   sq.flags ...  kernel       256      rare: flags, dropped, CQ overflow
 *   cq.head       user         384      user storeRelease after it read CQEs; kernel loadAcquire
 *   cq.tail       kernel       512      kernel storeRelease after it filled CQEs; user loadAcquire
 *   cq.flags      user         640
 *   constants                  768      masks and sizes
 *
 * Each producer's word has 128 bytes of its own. Heads and tails run freely and are masked on use. Where
 * the words are is not part of the ABI: io_uring_setup returns it in the params.
 */
import { struct_layout } from "@ringside/core/debug/layout";
import type { Cpu } from "@ringside/core/sched/cpu";
import type { Ptr } from "atomics-sync";
import { CQE_SIZE } from "../abi/cqe.ts";
import {
  CQ_OFF_CQES,
  CQ_OFF_FLAGS,
  CQ_OFF_HEAD,
  CQ_OFF_OVERFLOW,
  CQ_OFF_RING_ENTRIES,
  CQ_OFF_RING_MASK,
  CQ_OFF_TAIL,
  PARAMS_CQ_OFF,
  PARAMS_SQ_OFF,
  type ParamsPtr,
  SQ_OFF_ARRAY,
  SQ_OFF_DROPPED,
  SQ_OFF_FLAGS,
  SQ_OFF_HEAD,
  SQ_OFF_RING_ENTRIES,
  SQ_OFF_RING_MASK,
  SQ_OFF_TAIL,
} from "../abi/setup.ts";

export type RingsPtr = Ptr<"io_rings">;

export const RINGS_SQ_HEAD = 0;
export const RINGS_SQ_TAIL = 128;
export const RINGS_SQ_FLAGS = 256;
export const RINGS_SQ_DROPPED = 260;
export const RINGS_CQ_OVERFLOW = 264;
export const RINGS_CQ_HEAD = 384;
export const RINGS_CQ_TAIL = 512;
const RINGS_CQ_FLAGS = 640;
const RINGS_SQ_MASK = 768;
const RINGS_SQ_ENTRIES = 772;
const RINGS_CQ_MASK = 776;
const RINGS_CQ_ENTRIES = 780;
export const RINGS_CQES = 896;

struct_layout("io_rings", RINGS_CQES, [
  ["sq.head", RINGS_SQ_HEAD, 4],
  ["sq.tail", RINGS_SQ_TAIL, 4],
  ["sq_flags", RINGS_SQ_FLAGS, 4],
  ["sq_dropped", RINGS_SQ_DROPPED, 4],
  ["cq_overflow", RINGS_CQ_OVERFLOW, 4],
  ["cq.head", RINGS_CQ_HEAD, 4],
  ["cq.tail", RINGS_CQ_TAIL, 4],
  ["cq_flags", RINGS_CQ_FLAGS, 4],
  ["sq_ring_mask", RINGS_SQ_MASK, 4],
  ["sq_ring_entries", RINGS_SQ_ENTRIES, 4],
  ["cq_ring_mask", RINGS_CQ_MASK, 4],
  ["cq_ring_entries", RINGS_CQ_ENTRIES, 4],
]);

/** Where the SQ array starts: on a line of its own, after the CQEs. */
export function rings_sq_array_offset(cq_entries: number): number {
  return (RINGS_CQES + cq_entries * CQE_SIZE + 127) & ~127;
}

/** Bytes of the run of pages. */
export function rings_size(sq_entries: number, cq_entries: number, has_array: boolean): number {
  return rings_sq_array_offset(cq_entries) + (has_array ? sq_entries * 4 : 0);
}

/** Fills the constant words of zeroed rings. */
export function rings_init(cpu: Cpu, rings: RingsPtr, sq_entries: number, cq_entries: number): void {
  cpu.mem.write(rings + RINGS_SQ_MASK, sq_entries - 1);
  cpu.mem.write(rings + RINGS_SQ_ENTRIES, sq_entries);
  cpu.mem.write(rings + RINGS_CQ_MASK, cq_entries - 1);
  cpu.mem.write(rings + RINGS_CQ_ENTRIES, cq_entries);
}

/** Tells the user where everything is. */
export function rings_fill_offsets(
  cpu: Cpu,
  params: ParamsPtr,
  cq_entries: number,
  has_array: boolean,
): void {
  const mem = cpu.mem;
  const sq = params + PARAMS_SQ_OFF;
  mem.write(sq + SQ_OFF_HEAD, RINGS_SQ_HEAD);
  mem.write(sq + SQ_OFF_TAIL, RINGS_SQ_TAIL);
  mem.write(sq + SQ_OFF_RING_MASK, RINGS_SQ_MASK);
  mem.write(sq + SQ_OFF_RING_ENTRIES, RINGS_SQ_ENTRIES);
  mem.write(sq + SQ_OFF_FLAGS, RINGS_SQ_FLAGS);
  mem.write(sq + SQ_OFF_DROPPED, RINGS_SQ_DROPPED);
  mem.write(sq + SQ_OFF_ARRAY, has_array ? rings_sq_array_offset(cq_entries) : 0);
  const cq = params + PARAMS_CQ_OFF;
  mem.write(cq + CQ_OFF_HEAD, RINGS_CQ_HEAD);
  mem.write(cq + CQ_OFF_TAIL, RINGS_CQ_TAIL);
  mem.write(cq + CQ_OFF_RING_MASK, RINGS_CQ_MASK);
  mem.write(cq + CQ_OFF_RING_ENTRIES, RINGS_CQ_ENTRIES);
  mem.write(cq + CQ_OFF_OVERFLOW, RINGS_CQ_OVERFLOW);
  mem.write(cq + CQ_OFF_CQES, RINGS_CQES);
  mem.write(cq + CQ_OFF_FLAGS, RINGS_CQ_FLAGS);
}
