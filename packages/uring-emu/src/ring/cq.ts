/**
 * Posting CQEs (io_uring/io_uring.c): the CQ, the overflow list behind it, and waking those who wait.
 *
 * Invariants: CQEs appear in the order they were posted: while the overflow list is not empty every new CQE
 * goes there. cq.tail is published once a batch, by io_commit_cqring. All with uring_lock held.
 */
import { struct_layout } from "@ringside/core/debug/layout";
import { path_count, PATH_INDEX_RELOADS } from "@ringside/core/debug/path-counters";
import { GFP_ATOMIC, kfree, kmalloc } from "@ringside/core/mm/slab";
import type { Cpu } from "@ringside/core/sched/cpu";
import { wake_up_all } from "@ringside/core/sched/wait";
import { CQE_FLAGS, CQE_RES, CQE_SIZE, CQE_USER_DATA } from "../abi/cqe.ts";
import { IORING_SQ_CQ_OVERFLOW } from "../abi/setup.ts";
import {
  CHECK_CQ_DROPPED,
  CHECK_CQ_OVERFLOW,
  CTX_CACHED_CQ_HEAD,
  CTX_CACHED_CQ_TAIL,
  CTX_CHECK_CQ,
  CTX_CQ_ENTRIES,
  CTX_CQ_WAIT,
  CTX_CQ_WAIT_TAIL,
  CTX_CQ_WAITERS,
  CTX_CQES,
  CTX_OVERFLOW_FIRST,
  CTX_OVERFLOW_LAST,
  CTX_PUBLISHED_CQ_TAIL,
  CTX_RINGS,
  type RingCtxPtr,
} from "./ctx.ts";
import { REQ_COMP_LIST, REQ_F_CQE_SKIP, REQ_FLAGS, REQ_USER_DATA, type ReqPtr } from "./req.ts";
import { RINGS_CQ_HEAD, RINGS_CQ_OVERFLOW, RINGS_CQ_TAIL, RINGS_SQ_FLAGS } from "./rings.ts";

// struct io_overflow_cqe
const OCQE_NEXT = 0;
const OCQE_CQE = 8;
const OCQE_SIZE = OCQE_CQE + CQE_SIZE;

struct_layout("io_overflow_cqe", OCQE_SIZE, [
  ["list", OCQE_NEXT, 4],
  ["cqe", OCQE_CQE, CQE_SIZE],
]);

const RINGS = CTX_RINGS;
const CQES = CTX_CQES;
const ENTRIES = CTX_CQ_ENTRIES;
const TAIL = CTX_CACHED_CQ_TAIL;
const PUBLISHED = CTX_PUBLISHED_CQ_TAIL;
const HEAD = CTX_CACHED_CQ_HEAD;
const CHECK_CQ = CTX_CHECK_CQ;
const WAITERS = CTX_CQ_WAITERS;
const SHARED_HEAD = RINGS_CQ_HEAD;
const SHARED_TAIL = RINGS_CQ_TAIL;
const OVERFLOWN = CHECK_CQ_OVERFLOW;
const CQE = REQ_USER_DATA;
const NEXT = REQ_COMP_LIST;
const FLAGS = REQ_FLAGS;
const F_CQE_SKIP = REQ_F_CQE_SKIP;
const INDEX_RELOADS = PATH_INDEX_RELOADS;

/** How many CQEs fit in at `tail`; 0 when the CQ is full, or CQEs that were posted before wait for room. */
function io_cq_room(cpu: Cpu, ctx: RingCtxPtr, tail: number): number {
  const mem = cpu.mem;
  if ((mem.read(ctx + CHECK_CQ) & OVERFLOWN) !== 0) return 0;
  return io_cq_free(cpu, ctx, tail);
}

/** The same, for who brings the CQEs that wait. */
function io_cq_free(cpu: Cpu, ctx: RingCtxPtr, tail: number): number {
  const mem = cpu.mem;
  const entries = mem.read(ctx + ENTRIES);
  const used = (tail - mem.read(ctx + HEAD)) >>> 0;
  if (used < entries) return entries - used;
  // Pairs with the storeRelease in io_uring_cq_advance: the user has read the CQEs we now overwrite.
  const head = mem.loadAcquire(mem.read(ctx + RINGS) + SHARED_HEAD);
  mem.write(ctx + HEAD, head);
  path_count(cpu, INDEX_RELOADS, 1);
  const now_used = (tail - head) >>> 0;
  // The head is the user's, who may cheat: one ahead of the tail leaves no room, as one too far behind.
  return now_used < entries ? entries - now_used : 0;
}

/** Takes the CQE at the tail, which is free: its address. */
function io_get_cqe(cpu: Cpu, ctx: RingCtxPtr): number {
  const mem = cpu.mem;
  const tail = mem.read(ctx + TAIL);
  mem.write(ctx + TAIL, (tail + 1) | 0);
  return mem.read(ctx + CQES) + ((tail & (mem.read(ctx + ENTRIES) - 1)) << 4);
}

/**
 * Fills the CQEs of a list of requests, linked by comp_list, each from its words user_data, res, flags. Returns
 * all flags of the requests, or-ed.
 */
export function io_fill_cqes(cpu: Cpu, ctx: RingCtxPtr, first: ReqPtr): number {
  const mem = cpu.mem;
  const cqes = mem.read(ctx + CQES);
  const mask = (mem.read(ctx + ENTRIES) - 1) | 0;
  let tail = mem.read(ctx + TAIL);
  let seen = 0;
  let req: number = first;
  while (req !== 0) {
    // No call inside: the loop is the ring's innermost.
    for (let room = io_cq_room(cpu, ctx, tail); req !== 0 && room > 0; req = mem.read(req + NEXT)) {
      const flags = mem.read(req + FLAGS);
      seen |= flags;
      if ((flags & F_CQE_SKIP) !== 0) continue;
      const cqe = cqes + ((tail & mask) << 4);
      mem.write(cqe, mem.read(req + CQE));
      mem.write(cqe + 4, mem.read(req + CQE + 4));
      mem.write(cqe + 8, mem.read(req + CQE + 8));
      mem.write(cqe + 12, mem.read(req + CQE + 12));
      tail = (tail + 1) | 0;
      room--;
    }
    mem.write(ctx + TAIL, tail);
    if (req === 0 || io_cq_room(cpu, ctx, tail) > 0) continue;
    const flags = mem.read(req + FLAGS);
    seen |= flags;
    if ((flags & F_CQE_SKIP) === 0) io_cqring_add_overflow(cpu, ctx, req + CQE);
    req = mem.read(req + NEXT);
  }
  return seen;
}

/** Keeps the CQE at `from` (user_data, res, flags) until there is room; counts it lost without memory. */
function io_cqring_add_overflow(cpu: Cpu, ctx: RingCtxPtr, from: number): void {
  const mem = cpu.mem;
  const rings = mem.read(ctx + RINGS);
  const ocqe = kmalloc(cpu, OCQE_SIZE, GFP_ATOMIC);
  if (ocqe === 0) {
    mem.writeOnce(rings + RINGS_CQ_OVERFLOW, mem.readOnce(rings + RINGS_CQ_OVERFLOW) + 1);
    mem.writeOnce(ctx + CHECK_CQ, mem.read(ctx + CHECK_CQ) | CHECK_CQ_DROPPED);
    return;
  }
  mem.memcpy(ocqe + OCQE_CQE, from, CQE_SIZE);
  mem.write(ocqe + OCQE_NEXT, 0);
  if (mem.read(ctx + CTX_OVERFLOW_FIRST) === 0) {
    mem.write(ctx + CTX_OVERFLOW_FIRST, ocqe);
    mem.writeOnce(ctx + CHECK_CQ, mem.read(ctx + CHECK_CQ) | CHECK_CQ_OVERFLOW);
    set_sq_flag(cpu, rings, IORING_SQ_CQ_OVERFLOW);
  } else mem.write(mem.read(ctx + CTX_OVERFLOW_LAST) + OCQE_NEXT, ocqe);
  mem.write(ctx + CTX_OVERFLOW_LAST, ocqe);
}

/** The kernel alone writes sq.flags, under uring_lock. */
function set_sq_flag(cpu: Cpu, rings: number, flag: number): void {
  cpu.mem.writeOnce(rings + RINGS_SQ_FLAGS, cpu.mem.readOnce(rings + RINGS_SQ_FLAGS) | flag);
}

/** Moves overflown CQEs into the CQ as far as there is room. uring_lock held. */
export function __io_cqring_overflow_flush(cpu: Cpu, ctx: RingCtxPtr): void {
  const mem = cpu.mem;
  let ocqe = mem.read(ctx + CTX_OVERFLOW_FIRST);
  while (ocqe !== 0) {
    if (io_cq_free(cpu, ctx, mem.read(ctx + TAIL)) === 0) break;
    mem.memcpy(io_get_cqe(cpu, ctx), ocqe + OCQE_CQE, CQE_SIZE);
    const next = mem.read(ocqe + OCQE_NEXT);
    kfree(cpu, ocqe);
    ocqe = next;
  }
  mem.write(ctx + CTX_OVERFLOW_FIRST, ocqe);
  if (ocqe === 0) {
    const rings = mem.read(ctx + RINGS);
    mem.writeOnce(ctx + CHECK_CQ, mem.read(ctx + CHECK_CQ) & ~CHECK_CQ_OVERFLOW);
    mem.writeOnce(rings + RINGS_SQ_FLAGS, mem.readOnce(rings + RINGS_SQ_FLAGS) & ~IORING_SQ_CQ_OVERFLOW);
  }
  io_commit_cqring(cpu, ctx);
}

/** The ring goes: nobody will read them. */
export function io_cqring_overflow_kill(cpu: Cpu, ctx: RingCtxPtr): void {
  let ocqe = cpu.mem.read(ctx + CTX_OVERFLOW_FIRST);
  while (ocqe !== 0) {
    const next = cpu.mem.read(ocqe + OCQE_NEXT);
    kfree(cpu, ocqe);
    ocqe = next;
  }
  cpu.mem.write(ctx + CTX_OVERFLOW_FIRST, 0);
}

/** Publishes the CQEs filled so far and wakes whoever waited for that many. */
export function io_commit_cqring(cpu: Cpu, ctx: RingCtxPtr): void {
  const mem = cpu.mem;
  const tail = mem.read(ctx + TAIL);
  if (tail !== mem.read(ctx + PUBLISHED)) {
    mem.write(ctx + PUBLISHED, tail);
    // Pairs with the loadAcquire in io_uring_cq_ready: who sees the tail sees the CQEs below it.
    mem.storeRelease(mem.read(ctx + RINGS) + SHARED_TAIL, tail);
  }
  // A waiter counts itself under uring_lock before it looks at the tail and sleeps: it sees this tail, or we
  // see it. Overflown CQEs count too: the waiter has to flush them.
  if (mem.read(ctx + WAITERS) !== 0) io_cqring_wake(cpu, ctx, tail);
}

function io_cqring_wake(cpu: Cpu, ctx: RingCtxPtr, tail: number): void {
  const enough = ((tail - cpu.mem.read(ctx + CTX_CQ_WAIT_TAIL)) | 0) >= 0;
  if (enough || cpu.mem.read(ctx + CHECK_CQ) !== 0) wake_up_all(cpu, ctx + CTX_CQ_WAIT);
}

/** Posts a CQE that belongs to no request: `from` holds user_data, the rest is 0. Publishes at once. */
export function io_post_aux_cqe(cpu: Cpu, ctx: RingCtxPtr, from: number): void {
  const mem = cpu.mem;
  if (io_cq_room(cpu, ctx, mem.read(ctx + TAIL)) === 0) io_cqring_add_overflow(cpu, ctx, from);
  else {
    const cqe = io_get_cqe(cpu, ctx);
    mem.write(cqe + CQE_USER_DATA, mem.read(from));
    mem.write(cqe + CQE_USER_DATA + 4, mem.read(from + 4));
    mem.write(cqe + CQE_RES, 0);
    mem.write(cqe + CQE_FLAGS, 0);
  }
  io_commit_cqring(cpu, ctx);
}

/** CQEs the user has not taken yet. Racy: both ends move. */
export function __io_cqring_events_user(cpu: Cpu, ctx: RingCtxPtr): number {
  const rings = cpu.mem.read(ctx + RINGS);
  return (cpu.mem.readOnce(rings + SHARED_TAIL) - cpu.mem.readOnce(rings + SHARED_HEAD)) | 0;
}
