/**
 * struct blk_plug (include/linux/blkdev.h, block/blk-core.c): a task's requests held back for a moment, so
 * that a batch of them costs one lock and one doorbell. Tags for the batch may be taken in one go too.
 *
 * The plug lies on the task's kernel stack; cpu.plug points to it. Whoever is about to sleep flushes it
 * first: what it holds may be what the sleeper waits for.
 *
 * Interface: p = blk_start_plug_nr_ios(cpu, n); submit_bio ...; blk_finish_plug(cpu, p). Nested plugs count
 * for nothing: p is 0 then.
 */
import type { Ptr } from "atomics-sync";
import { kernel_symbol, symbol_call } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
import { blk_mq_free_cached_rqs, blk_mq_issue_list } from "./issue.ts";
import { type HctxPtr, type RequestPtr, rq_set_next } from "./request.ts";

export type PlugPtr = Ptr<"blk_plug">;

// Owned by the task.
/** What schedule() calls, (cpu, plug), before the task sleeps. First, so that it need not know the rest. */
const FLUSH = 0;
/** Requests, linked by rq_next, oldest first. */
const MQ_LIST = 4;
const MQ_TAIL = 8;
const RQ_COUNT = 12;
/** Submissions still expected: tags to take ahead. */
const NR_IOS = 16;
// Tags taken ahead, each with its queue reference: bits of one sbitmap word of one hctx.
const CACHED_HCTX = 20;
const CACHED_BASE = 24;
const CACHED_BITS = 28;
const BLK_PLUG_SIZE = 32;

struct_layout("blk_plug", BLK_PLUG_SIZE, [
  ["flush", FLUSH, 4],
  ["mq_list", MQ_LIST, 4],
  ["mq_tail", MQ_TAIL, 4],
  ["rq_count", RQ_COUNT, 4],
  ["nr_ios", NR_IOS, 4],
  ["cached_hctx", CACHED_HCTX, 4],
  ["cached_base", CACHED_BASE, 4],
  ["cached_bits", CACHED_BITS, 4],
]);

/** BLK_MAX_REQUEST_COUNT: a plug this full is flushed. */
const MAX_REQUEST_COUNT = 32;

const BLK_FLUSH_PLUG = kernel_symbol(__blk_flush_plug);

/** Opens a plug for about `nr_ios` submissions. 0 when one is open already. */
export function blk_start_plug_nr_ios(cpu: Cpu, nr_ios: number): PlugPtr {
  if (cpu.plug !== 0) return 0 as PlugPtr;
  const plug = stack_push(cpu, BLK_PLUG_SIZE);
  cpu.mem.write(plug + FLUSH, BLK_FLUSH_PLUG);
  cpu.mem.write(plug + NR_IOS, nr_ios);
  cpu.plug = plug;
  return plug as PlugPtr;
}

export function blk_start_plug(cpu: Cpu): PlugPtr {
  return blk_start_plug_nr_ios(cpu, 1);
}

/** Sends everything off and closes the plug. */
export function blk_finish_plug(cpu: Cpu, plug: PlugPtr): void {
  if (plug === 0) return;
  __blk_flush_plug(cpu, plug);
  cpu.plug = 0;
  stack_pop(cpu, plug);
}

/** Flushes the open plug, if any. Before every sleep. */
export function blk_flush_plug(cpu: Cpu): void {
  if (cpu.plug !== 0) symbol_call(cpu, cpu.mem.read(cpu.plug + FLUSH), cpu.plug);
}

function __blk_flush_plug(cpu: Cpu, plug: PlugPtr): void {
  blk_mq_flush_plug_list(cpu, plug);
  const bits = cpu.mem.read(plug + CACHED_BITS);
  if (bits === 0) return;
  cpu.mem.write(plug + CACHED_BITS, 0);
  blk_mq_free_cached_rqs(
    cpu,
    cpu.mem.read(plug + CACHED_HCTX) as HctxPtr,
    cpu.mem.read(plug + CACHED_BASE),
    bits,
  );
}

function blk_mq_flush_plug_list(cpu: Cpu, plug: PlugPtr): void {
  const list = cpu.mem.read(plug + MQ_LIST) as RequestPtr;
  if (list === 0) return;
  cpu.mem.write(plug + MQ_LIST, 0);
  cpu.mem.write(plug + MQ_TAIL, 0);
  cpu.mem.write(plug + RQ_COUNT, 0);
  blk_mq_issue_list(cpu, list);
}

/** Holds `rq` back; a full plug is flushed. */
export function blk_add_rq_to_plug(cpu: Cpu, plug: PlugPtr, rq: RequestPtr): void {
  const mem = cpu.mem;
  const tail = mem.read(plug + MQ_TAIL) as RequestPtr;
  if (tail === 0) mem.write(plug + MQ_LIST, rq);
  else rq_set_next(cpu, tail, rq);
  mem.write(plug + MQ_TAIL, rq);
  const count = mem.read(plug + RQ_COUNT) + 1;
  mem.write(plug + RQ_COUNT, count);
  if (count >= MAX_REQUEST_COUNT) blk_mq_flush_plug_list(cpu, plug);
}

/** A tag taken ahead for `hctx`, or -1. */
export function blk_plug_cached_tag(cpu: Cpu, plug: PlugPtr, hctx: HctxPtr): number {
  const bits = cpu.mem.read(plug + CACHED_BITS);
  if (bits === 0 || cpu.mem.read(plug + CACHED_HCTX) !== hctx) return -1;
  cpu.mem.write(plug + CACHED_BITS, bits & (bits - 1));
  return cpu.mem.read(plug + CACHED_BASE) + 31 - Math.clz32(bits & -bits);
}

/** True when tags of another queue are kept: they are freed before more are taken. */
export function blk_plug_has_cached(cpu: Cpu, plug: PlugPtr): boolean {
  return cpu.mem.read(plug + CACHED_BITS) !== 0;
}

/** How many tags to take in one go, 1 ... 32; counts them off. */
export function blk_plug_wanted(cpu: Cpu, plug: PlugPtr): number {
  const nr = cpu.mem.read(plug + NR_IOS);
  if (nr <= 1) return 1;
  const take = nr < MAX_REQUEST_COUNT ? nr : MAX_REQUEST_COUNT;
  cpu.mem.write(plug + NR_IOS, nr - take);
  return take;
}

/** Keeps the tags `base` + `bits` of `hctx`, each with a queue reference. */
export function blk_plug_cache_tags(
  cpu: Cpu,
  plug: PlugPtr,
  hctx: HctxPtr,
  base: number,
  bits: number,
): void {
  cpu.mem.write(plug + CACHED_HCTX, hctx);
  cpu.mem.write(plug + CACHED_BASE, base);
  cpu.mem.write(plug + CACHED_BITS, bits);
}
