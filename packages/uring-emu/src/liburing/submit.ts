/** Submitting and waiting (liburing, src/queue.c): when to enter the kernel, and with what. */
import { EAGAIN } from "@ringside/core/debug/errno";
import type { Cpu } from "@ringside/core/sched/cpu";
import type { CqePtr } from "../abi/cqe.ts";
import { IORING_ENTER_GETEVENTS } from "../abi/enter.ts";
import { IORING_SETUP_IOPOLL, IORING_SQ_CQ_OVERFLOW, IORING_SQ_TASKRUN } from "../abi/setup.ts";
import { io_uring_enter } from "../ring/enter.ts";
import { io_uring_cq_ready, io_uring_cqe_at, type IoUring } from "./ring.ts";

const GETEVENTS = IORING_ENTER_GETEVENTS;
const IOPOLL = IORING_SETUP_IOPOLL;
const NEEDS_FLUSH: number = IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN;

/** Publishes the SQEs filled so far; returns how many the kernel has not consumed. */
function __io_uring_flush_sq(cpu: Cpu, ring: IoUring): number {
  const tail = ring.sqe_tail;
  if (ring.sqe_head !== tail) {
    ring.sqe_head = tail;
    // Pairs with the loadAcquire in io_submit_sqes: the kernel sees the SQEs below the tail filled.
    cpu.mem.storeRelease(ring.sq_ktail, tail);
  }
  return (tail - cpu.mem.readOnce(ring.sq_khead)) | 0;
}

/** The kernel has CQEs for us that only it can put into the CQ. */
export function io_uring_cq_has_overflow(cpu: Cpu, ring: IoUring): boolean {
  return (cpu.mem.readOnce(ring.sq_kflags) & IORING_SQ_CQ_OVERFLOW) !== 0;
}

function cq_ring_needs_enter(cpu: Cpu, ring: IoUring): boolean {
  return (ring.flags & IOPOLL) !== 0 || (cpu.mem.readOnce(ring.sq_kflags) & NEEDS_FLUSH) !== 0;
}

/** Submits. Number of SQEs consumed, or -errno. */
export function io_uring_submit(cpu: Cpu, ring: IoUring): number {
  return io_uring_submit_and_wait(cpu, ring, 0);
}

/** Submits, and waits until `wait_nr` CQEs are ready. */
export function io_uring_submit_and_wait(cpu: Cpu, ring: IoUring, wait_nr: number): number {
  const submitted = __io_uring_flush_sq(cpu, ring);
  const getevents = wait_nr !== 0 || cq_ring_needs_enter(cpu, ring);
  if (submitted === 0 && !getevents) return 0;
  return io_uring_enter(cpu, ring.ring_fd, submitted, wait_nr, getevents ? GETEVENTS : 0, 0, 0);
}

/** Lets the kernel flush what it holds back. 0 or -errno. */
export function io_uring_get_events(cpu: Cpu, ring: IoUring): number {
  return io_uring_enter(cpu, ring.ring_fd, 0, 0, GETEVENTS, 0, 0);
}

export function io_uring_submit_and_get_events(cpu: Cpu, ring: IoUring): number {
  return io_uring_enter(cpu, ring.ring_fd, __io_uring_flush_sq(cpu, ring), 0, GETEVENTS, 0, 0);
}

/** The first ready CQE; without one, waits until `wait_nr` are. -EAGAIN when it need not wait and has none. */
function _io_uring_get_cqe(cpu: Cpu, ring: IoUring, wait_nr: number): CqePtr | number {
  for (let looped = false; ; looped = true) {
    const available = io_uring_cq_ready(cpu, ring);
    if (available !== 0 && available >= wait_nr) return io_uring_cqe_at(ring, 0);
    if (wait_nr === 0 && (looped || !cq_ring_needs_enter(cpu, ring))) return -EAGAIN;
    const ret = io_uring_enter(cpu, ring.ring_fd, 0, wait_nr, GETEVENTS, 0, 0);
    if (ret < 0) return available !== 0 ? io_uring_cqe_at(ring, 0) : ret;
  }
}

/** The first ready CQE, or -EAGAIN. */
export function io_uring_peek_cqe(cpu: Cpu, ring: IoUring): CqePtr | number {
  if (ring.cq_head !== ring.cq_cached_ktail) return io_uring_cqe_at(ring, 0);
  return _io_uring_get_cqe(cpu, ring, 0);
}

/** The first ready CQE; sleeps until there is one. */
export function io_uring_wait_cqe(cpu: Cpu, ring: IoUring): CqePtr | number {
  if (ring.cq_head !== ring.cq_cached_ktail) return io_uring_cqe_at(ring, 0);
  return _io_uring_get_cqe(cpu, ring, 1);
}

/** Sleeps until `wait_nr` CQEs are ready; returns the first. */
export function io_uring_wait_cqe_nr(cpu: Cpu, ring: IoUring, wait_nr: number): CqePtr | number {
  return _io_uring_get_cqe(cpu, ring, wait_nr);
}

/** Puts up to `count` ready CQEs into `cqes`; returns how many. They stay ready until cq_advance. */
export function io_uring_peek_batch_cqe(cpu: Cpu, ring: IoUring, cqes: number[], count: number): number {
  let ready = io_uring_cq_ready(cpu, ring);
  if (ready === 0 && (cpu.mem.readOnce(ring.sq_kflags) & NEEDS_FLUSH) !== 0) {
    io_uring_get_events(cpu, ring);
    ready = io_uring_cq_ready(cpu, ring);
  }
  const nr = ready < count ? ready : count;
  for (let i = 0; i < nr; i++) cqes[i] = io_uring_cqe_at(ring, i);
  return nr;
}
