/** What the CPUs do in threads.test.ts: one ring, used, completed, waited for and closed by several threads. */
import {
  dma_buf_fd,
  dma_buf_invalidate_mappings,
  type DmaBufPtr,
  dma_buf_resv,
} from "@ringside/core/dma/buf";
import { dma_resv_lock, dma_resv_unlock } from "@ringside/core/dma/resv";
import { fixture_buffer } from "@ringside/core/dma/testing/token-fixture";
import { type TokenCounters, token_counters } from "@ringside/core/dma/token-oracle";
import { kernel_static } from "@ringside/core/debug/image";
import { close_fd, open_fd_count } from "@ringside/core/fs/fdtable";
import { __get_free_pages, free_pages } from "@ringside/core/mm/page-alloc";
import { GFP_KERNEL, kfree, kzalloc } from "@ringside/core/mm/slab";
import { type Leak, kmem_leaks, kmem_mark } from "@ringside/core/mm/slab-report";
import { rcu_barrier } from "@ringside/core/rcu/rcu";
import { type Cpu, stack_pop, stack_push } from "@ringside/core/sched/cpu";
import { cond_resched, schedule_timeout } from "@ringside/core/sched/schedule";
import { set_current_state, TASK_UNINTERRUPTIBLE } from "@ringside/core/sched/task";
import type { CqePtr } from "../abi/cqe.ts";
import { IORING_SETUP_COOP_TASKRUN, PARAMS_FLAGS, PARAMS_SIZE, type ParamsPtr } from "../abi/setup.ts";
import { IOSQE_ASYNC } from "../abi/sqe.ts";
import {
  io_uring_cq_advance,
  io_uring_cq_ready,
  io_uring_cqe_at,
  io_uring_cqe_get_data,
  io_uring_cqe_res,
  io_uring_cqe_seen,
  io_uring_get_sqe,
  io_uring_prep_nop,
  io_uring_prep_read_fixed,
  io_uring_queue_exit,
  io_uring_queue_init_params,
  io_uring_queue_mmap,
  io_uring_register_buffers,
  io_uring_register_buffers_sparse,
  io_uring_register_dmabuf,
  io_uring_sqe_set_data,
  io_uring_sqe_set_flags,
  io_uring_submit,
  io_uring_submit_and_wait,
  io_uring_wait_cqe,
  iovec_fill,
  IoUring,
} from "../liburing.ts";
import { FAKE_IRQ, fake_complete_all, fake_file_mode, fake_file_open, fake_irq_cpu } from "./fake-file.ts";

const RING_FD = kernel_static("test_ring_fd", 4);
const PARAMS = kernel_static("test_ring_params", PARAMS_SIZE) as ParamsPtr;
const FILE_FD = kernel_static("test_file_fd", 4);
const DMABUF = kernel_static("test_dmabuf", 4);
const DMABUF_FD = kernel_static("test_dmabuf_fd", 4);
const PAGES = kernel_static("test_pages", 4);
const DONE = kernel_static("test_done", 4);

const DEPTH = 16;
const BYTES = 65536;

function nap(cpu: Cpu, ms: number): void {
  set_current_state(cpu, TASK_UNINTERRUPTIBLE);
  schedule_timeout(cpu, ms);
}

/** Before the bodies: a file whose interrupts go to the last CPU, a dma-buf and some pages. */
export function boot_uring(cpu: Cpu): void {
  kmem_mark(cpu);
  fake_file_mode(cpu, FAKE_IRQ);
  fake_irq_cpu(cpu, cpu.config.cpus - 1);
  cpu.mem.storeRelease(FILE_FD, fake_file_open(cpu));
  const dmabuf = fixture_buffer(cpu, BYTES);
  cpu.mem.storeRelease(DMABUF, dmabuf);
  cpu.mem.storeRelease(DMABUF_FD, dma_buf_fd(cpu, dmabuf));
  cpu.mem.storeRelease(PAGES, __get_free_pages(cpu, GFP_KERNEL, 4));
}

export interface UringEnd {
  readonly leaks: Leak[];
  readonly fds: number;
  readonly counters: TokenCounters;
}

/** After the bodies. */
export function finish_uring(cpu: Cpu): UringEnd {
  close_fd(cpu, cpu.mem.read(FILE_FD));
  close_fd(cpu, cpu.mem.read(DMABUF_FD));
  free_pages(cpu, cpu.mem.read(PAGES), 4);
  for (let i = 0; i < 6; i++) {
    rcu_barrier(cpu);
    nap(cpu, 2);
  }
  return { leaks: kmem_leaks(cpu), fds: open_fd_count(cpu), counters: token_counters(cpu) };
}

/** Opens a ring that other CPUs may use too. */
function open_shared_ring(cpu: Cpu, entries: number): IoUring {
  const ring = new IoUring();
  cpu.mem.write(PARAMS + PARAMS_FLAGS, IORING_SETUP_COOP_TASKRUN);
  const ret = io_uring_queue_init_params(cpu, entries, ring, PARAMS);
  if (ret !== 0) throw new Error(`queue_init: ${ret}`);
  cpu.mem.storeRelease(RING_FD, ring.ring_fd);
  return ring;
}

function join_shared_ring(cpu: Cpu): IoUring {
  while (cpu.mem.loadAcquire(RING_FD) === 0) nap(cpu, 1);
  const ring = new IoUring();
  const ret = io_uring_queue_mmap(cpu, cpu.mem.loadAcquire(RING_FD), PARAMS, ring);
  if (ret !== 0) throw new Error(`queue_mmap: ${ret}`);
  return ring;
}

/** Takes interrupts until the submitters are done: completions arrive on a CPU that is not the submitter's. */
export function take_interrupts(cpu: Cpu, submitters: number): number {
  while (cpu.mem.loadAcquire(DONE) < submitters) {
    set_current_state(cpu, TASK_UNINTERRUPTIBLE);
    schedule_timeout(cpu, 1);
  }
  return fake_complete_all(cpu);
}

function queue_read(cpu: Cpu, ring: IoUring, addr: number, index: number, data: number): void {
  const sqe = io_uring_get_sqe(cpu, ring);
  io_uring_prep_read_fixed(cpu, sqe, cpu.mem.read(FILE_FD), addr, 512, (data & 31) * 512, index);
  io_uring_sqe_set_data(cpu, sqe, data);
  // Now and then a worker issues it.
  if (cpu.random32() % 8 === 0) io_uring_sqe_set_flags(cpu, sqe, IOSQE_ASYNC);
}

/** Keeps DEPTH reads in flight until `total` completed; every CQE exactly once. Returns how many. */
function read_many(cpu: Cpu, ring: IoUring, addr: number, total: number): number {
  const seen = new Set<number>();
  let queued = 0;
  let inflight = 0;
  while (seen.size < total) {
    for (; inflight < DEPTH && queued < total; inflight++) queue_read(cpu, ring, addr, 0, queued++);
    const ret = io_uring_submit_and_wait(cpu, ring, 1 + (cpu.random32() % inflight));
    if (ret < 0) throw new Error(`submit_and_wait: ${ret}`);
    const ready = io_uring_cq_ready(cpu, ring);
    for (let i = 0; i < ready; i++) {
      const cqe = io_uring_cqe_at(ring, i);
      const data = io_uring_cqe_get_data(cpu, cqe);
      if (io_uring_cqe_res(cpu, cqe) !== 512) throw new Error(`res ${io_uring_cqe_res(cpu, cqe)}`);
      if (seen.has(data)) throw new Error(`CQE ${data} twice`);
      seen.add(data);
    }
    io_uring_cq_advance(cpu, ring, ready);
    inflight -= ready;
  }
  return seen.size;
}

function register_pages(cpu: Cpu, ring: IoUring): number {
  const base = cpu.mem.loadAcquire(PAGES);
  const iov = stack_push(cpu, 16);
  iovec_fill(cpu, iov, base, BYTES);
  const ret = io_uring_register_buffers(cpu, ring, iov, 1);
  stack_pop(cpu, iov);
  if (ret !== 0) throw new Error(`register: ${ret}`);
  return base;
}

/** A ring of its own, reads completed by another CPU's interrupts. */
export function read_pages(cpu: Cpu, _submitters: number, total: number): number {
  const ring = new IoUring();
  const params = kzalloc(cpu, PARAMS_SIZE, GFP_KERNEL) as ParamsPtr;
  if (io_uring_queue_init_params(cpu, DEPTH, ring, params) !== 0) throw new Error("queue_init");
  kfree(cpu, params);
  const done = read_many(cpu, ring, register_pages(cpu, ring), total);
  io_uring_queue_exit(cpu, ring);
  cpu.mem.fetchAdd(DONE, 1);
  return done;
}

/** As read_pages into the dma-buf, whose maps come and go. */
export function read_dmabuf(cpu: Cpu, _submitters: number, total: number): number {
  const ring = new IoUring();
  const params = kzalloc(cpu, PARAMS_SIZE, GFP_KERNEL) as ParamsPtr;
  if (io_uring_queue_init_params(cpu, DEPTH, ring, params) !== 0) throw new Error("queue_init");
  kfree(cpu, params);
  io_uring_register_buffers_sparse(cpu, ring, 1);
  const ret = io_uring_register_dmabuf(cpu, ring, 0, cpu.mem.read(DMABUF_FD), cpu.mem.read(FILE_FD));
  if (ret !== 1) throw new Error(`register_dmabuf: ${ret}`);
  const done = read_many(cpu, ring, 0, total);
  io_uring_queue_exit(cpu, ring);
  cpu.mem.fetchAdd(DONE, 1);
  return done;
}

/** The exporter: invalidates while the submitters run. */
export function invalidate_often(cpu: Cpu, submitters: number): number {
  const dmabuf = cpu.mem.loadAcquire(DMABUF) as DmaBufPtr;
  let rounds = 0;
  while (cpu.mem.loadAcquire(DONE) < submitters) {
    dma_resv_lock(cpu, dma_buf_resv(cpu, dmabuf), 0);
    dma_buf_invalidate_mappings(cpu, dmabuf);
    dma_resv_unlock(cpu, dma_buf_resv(cpu, dmabuf));
    rounds++;
    nap(cpu, 1);
  }
  return rounds;
}

/** Submits NOPs one by one; somebody else waits for them. */
export function submit_nops(cpu: Cpu, total: number): void {
  const ring = open_shared_ring(cpu, 8);
  for (let i = 0; i < total; i++) {
    const sqe = io_uring_get_sqe(cpu, ring);
    io_uring_prep_nop(cpu, sqe);
    io_uring_sqe_set_data(cpu, sqe, i);
    if (io_uring_submit(cpu, ring) !== 1) throw new Error("submit");
    if (cpu.random32() % 16 === 0) nap(cpu, 1);
  }
  while (cpu.mem.loadAcquire(DONE) === 0) nap(cpu, 1);
  io_uring_queue_exit(cpu, ring);
}

/** Takes the CQEs of a ring that another task submits to. Returns their user_data in order. */
export function wait_for_nops(cpu: Cpu, total: number): number {
  const ring = join_shared_ring(cpu);
  let next = 0;
  while (next < total) {
    const cqe = io_uring_wait_cqe(cpu, ring) as CqePtr;
    if (cqe < 0) throw new Error(`wait_cqe: ${cqe}`);
    if (io_uring_cqe_get_data(cpu, cqe) === next) next++;
    else throw new Error(`CQE ${io_uring_cqe_get_data(cpu, cqe)}, not ${next}`);
    io_uring_cqe_seen(cpu, ring, cqe);
  }
  cpu.mem.storeRelease(DONE, 1);
  return next;
}

/** Submits reads and leaves for good: completions will lie on its list. */
export function submit_and_leave(cpu: Cpu): number {
  const ring = open_shared_ring(cpu, DEPTH);
  const base = register_pages(cpu, ring);
  for (let i = 0; i < DEPTH; i++) queue_read(cpu, ring, base, 0, i);
  const ret = io_uring_submit(cpu, ring);
  cpu.mem.storeRelease(DONE, 1);
  return ret;
}

/** Takes the interrupts of those reads, then closes the ring. */
export function close_for_another(cpu: Cpu): number {
  while (cpu.mem.loadAcquire(DONE) === 0) cond_resched(cpu);
  nap(cpu, 20);
  return close_fd(cpu, cpu.mem.loadAcquire(RING_FD));
}
