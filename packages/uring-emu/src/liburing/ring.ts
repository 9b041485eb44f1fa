/**
 * The ring as its user sees it (liburing, src/setup.c and src/queue.c): struct io_uring with private copies of
 * the indexes. It belongs to one task; two tasks that share a ring need a lock around it.
 *
 * Ordering, in four lines:
 *   sq.tail  we fill SQEs, then storeRelease; the kernel's loadAcquire in io_submit_sqes sees them whole
 *   sq.head  the kernel has read SQEs, then storeRelease; our loadAcquire in io_uring_get_sqe may reuse them
 *   cq.tail  the kernel fills CQEs, then storeRelease; our loadAcquire in io_uring_cq_ready sees them whole
 *   cq.head  we have read CQEs, then storeRelease; the kernel's loadAcquire in io_cq_free may reuse them
 *
 * Where C returns a pointer through an argument, these return the pointer, or -errno.
 */
import { EINVAL } from "@ringside/core/debug/errno";
import { path_count, PATH_INDEX_RELOADS } from "@ringside/core/debug/path-counters";
import { close_fd } from "@ringside/core/fs/fdtable";
import { type Cpu, stack_pop, stack_push } from "@ringside/core/sched/cpu";
import type { CqePtr } from "../abi/cqe.ts";
import {
  CQ_OFF_CQES,
  CQ_OFF_HEAD,
  CQ_OFF_OVERFLOW,
  CQ_OFF_RING_ENTRIES,
  CQ_OFF_TAIL,
  IORING_OFF_SQ_RING,
  IORING_OFF_SQES,
  IORING_SETUP_NO_SQARRAY,
  PARAMS_CQ_OFF,
  PARAMS_FEATURES,
  PARAMS_FLAGS,
  PARAMS_SIZE,
  PARAMS_SQ_OFF,
  type ParamsPtr,
  SQ_OFF_ARRAY,
  SQ_OFF_DROPPED,
  SQ_OFF_FLAGS,
  SQ_OFF_HEAD,
  SQ_OFF_RING_ENTRIES,
  SQ_OFF_TAIL,
} from "../abi/setup.ts";
import type { SqePtr } from "../abi/sqe.ts";
import { io_uring_mmap, io_uring_setup } from "../ring/setup.ts";

const INDEX_RELOADS = PATH_INDEX_RELOADS;

/** struct io_uring; of one thread. Addresses are constant after queue_init, indexes are ours. */
export class IoUring {
  ring_fd: number = -1;
  flags: number = 0;
  features: number = 0;
  // struct io_uring_sq
  sq_khead: number = 0;
  sq_ktail: number = 0;
  sq_kflags: number = 0;
  sq_kdropped: number = 0;
  sqes: number = 0;
  sq_entries: number = 0;
  sq_mask: number = 0;
  /** SQEs handed to the kernel, and SQEs given out by get_sqe. */
  sqe_head: number = 0;
  sqe_tail: number = 0;
  /** Private copy of the kernel's head: re-read when the SQ seems full. */
  sq_cached_khead: number = 0;
  // struct io_uring_cq
  cq_khead: number = 0;
  cq_ktail: number = 0;
  cq_koverflow: number = 0;
  cqes: number = 0;
  cq_entries: number = 0;
  cq_mask: number = 0;
  /** CQEs taken. */
  cq_head: number = 0;
  /** Private copy of the kernel's tail: re-read when no CQE seems left. */
  cq_cached_ktail: number = 0;
}

/** A ring of `entries` SQEs. 0 or -errno. */
export function io_uring_queue_init(cpu: Cpu, entries: number, ring: IoUring, flags: number): number {
  const params = stack_push(cpu, PARAMS_SIZE) as ParamsPtr;
  cpu.mem.write(params + PARAMS_FLAGS, flags);
  const ret = io_uring_queue_init_params(cpu, entries, ring, params);
  stack_pop(cpu, params);
  return ret;
}

/** Asks for a ring without SQ array, which nobody needs, and takes one with it from a kernel that says -EINVAL. */
export function io_uring_queue_init_params(
  cpu: Cpu,
  entries: number,
  ring: IoUring,
  params: ParamsPtr,
): number {
  const flags = cpu.mem.read(params + PARAMS_FLAGS);
  cpu.mem.write(params + PARAMS_FLAGS, flags | IORING_SETUP_NO_SQARRAY);
  let fd = io_uring_setup(cpu, entries, params);
  if (fd === -EINVAL && (flags & IORING_SETUP_NO_SQARRAY) === 0) {
    cpu.mem.write(params + PARAMS_FLAGS, flags);
    fd = io_uring_setup(cpu, entries, params);
  }
  if (fd < 0) return fd;
  const ret = io_uring_queue_mmap(cpu, fd, params, ring);
  if (ret !== 0) close_fd(cpu, fd);
  return ret;
}

/** Fills `ring` in for a ring that exists, from the params that its setup filled in. 0 or -errno. */
export function io_uring_queue_mmap(cpu: Cpu, fd: number, params: ParamsPtr, ring: IoUring): number {
  const mem = cpu.mem;
  const rings = io_uring_mmap(cpu, fd, IORING_OFF_SQ_RING);
  if (rings < 0) return rings;
  const sqes = io_uring_mmap(cpu, fd, IORING_OFF_SQES);
  const sq = params + PARAMS_SQ_OFF;
  const cq = params + PARAMS_CQ_OFF;
  ring.ring_fd = fd;
  ring.flags = mem.read(params + PARAMS_FLAGS);
  ring.features = mem.read(params + PARAMS_FEATURES);
  ring.sq_khead = rings + mem.read(sq + SQ_OFF_HEAD);
  ring.sq_ktail = rings + mem.read(sq + SQ_OFF_TAIL);
  ring.sq_kflags = rings + mem.read(sq + SQ_OFF_FLAGS);
  ring.sq_kdropped = rings + mem.read(sq + SQ_OFF_DROPPED);
  ring.sqes = sqes;
  ring.sq_entries = mem.read(rings + mem.read(sq + SQ_OFF_RING_ENTRIES));
  ring.sq_mask = ring.sq_entries - 1;
  ring.sqe_head = 0;
  ring.sqe_tail = 0;
  ring.sq_cached_khead = 0;
  ring.cq_khead = rings + mem.read(cq + CQ_OFF_HEAD);
  ring.cq_ktail = rings + mem.read(cq + CQ_OFF_TAIL);
  ring.cq_koverflow = rings + mem.read(cq + CQ_OFF_OVERFLOW);
  ring.cqes = rings + mem.read(cq + CQ_OFF_CQES);
  ring.cq_entries = mem.read(rings + mem.read(cq + CQ_OFF_RING_ENTRIES));
  ring.cq_mask = ring.cq_entries - 1;
  ring.cq_head = 0;
  ring.cq_cached_ktail = 0;
  if ((ring.flags & IORING_SETUP_NO_SQARRAY) !== 0) return 0;
  // The array never changes: entry i is SQE i.
  const array = rings + mem.read(sq + SQ_OFF_ARRAY);
  for (let i = 0; i < ring.sq_entries; i++) mem.write(array + i * 4, i);
  return 0;
}

/** Closes the ring: waits for what is in flight and frees everything. */
export function io_uring_queue_exit(cpu: Cpu, ring: IoUring): void {
  close_fd(cpu, ring.ring_fd);
  ring.ring_fd = -1;
}

/** Looks whether what seems full is. */
function io_uring_sq_full(cpu: Cpu, ring: IoUring, tail: number): boolean {
  // Pairs with the storeRelease at the end of io_submit_sqes: the kernel has read the SQE we now give out.
  ring.sq_cached_khead = cpu.mem.loadAcquire(ring.sq_khead);
  path_count(cpu, INDEX_RELOADS, 1);
  return ((tail - ring.sq_cached_khead) | 0) >= ring.sq_entries;
}

/** The next SQE to fill, or 0 when the SQ is full. Fill all of it: use a prep function. */
export function io_uring_get_sqe(cpu: Cpu, ring: IoUring): SqePtr {
  const tail = ring.sqe_tail;
  if (((tail - ring.sq_cached_khead) | 0) >= ring.sq_entries && io_uring_sq_full(cpu, ring, tail)) {
    return 0 as SqePtr;
  }
  ring.sqe_tail = (tail + 1) | 0;
  return (ring.sqes + ((tail & ring.sq_mask) << 6)) as SqePtr;
}

/** SQEs filled and not consumed. */
export function io_uring_sq_ready(cpu: Cpu, ring: IoUring): number {
  return (ring.sqe_tail - cpu.mem.loadAcquire(ring.sq_khead)) | 0;
}

export function io_uring_sq_space_left(cpu: Cpu, ring: IoUring): number {
  return ring.sq_entries - io_uring_sq_ready(cpu, ring);
}

/** CQEs ready to be taken. */
export function io_uring_cq_ready(cpu: Cpu, ring: IoUring): number {
  // Pairs with the storeRelease in io_commit_cqring: the CQEs below the tail are filled.
  ring.cq_cached_ktail = cpu.mem.loadAcquire(ring.cq_ktail);
  return (ring.cq_cached_ktail - ring.cq_head) | 0;
}

/** The `index`th CQE that is ready; io_uring_for_each_cqe is a loop over it. */
export function io_uring_cqe_at(ring: IoUring, index: number): CqePtr {
  return (ring.cqes + (((ring.cq_head + index) & ring.cq_mask) << 4)) as CqePtr;
}

/** Gives `nr` CQEs back. Do not read them afterwards. */
export function io_uring_cq_advance(cpu: Cpu, ring: IoUring, nr: number): void {
  if (nr === 0) return;
  ring.cq_head = (ring.cq_head + nr) | 0;
  // Pairs with the loadAcquire in io_cq_free: the kernel overwrites them only after we have read them.
  cpu.mem.storeRelease(ring.cq_khead, ring.cq_head);
}

export function io_uring_cqe_seen(cpu: Cpu, ring: IoUring, _cqe: CqePtr): void {
  io_uring_cq_advance(cpu, ring, 1);
}
