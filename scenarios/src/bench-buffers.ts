/**
 * The registered buffers of a measurement: `count` of one kind and size, in slots 0 ... count-1 of a ring.
 *
 * Interface: bench_buffers_register, bench_buffer_base for what an SQE says; with no I/O in flight
 * bench_buffers_unregister, which waits until the kernel has let go of them.
 */
import { errname, IS_ERR } from "@ringside/core/debug/errno";
import { dma_buf_fd, type DmaBufPtr } from "@ringside/core/dma/buf";
import { udmabuf_create } from "@ringside/core/dma/exporters/udmabuf";
import { token_counters } from "@ringside/core/dma/token-oracle";
import { close_fd } from "@ringside/core/fs/fdtable";
import { __GFP_ZERO, GFP_KERNEL } from "@ringside/core/mm/gfp";
import { PAGE_SIZE } from "@ringside/core/mm/memory-map";
import { alloc_pages_exact, free_pages_exact } from "@ringside/core/mm/page-alloc";
import { type Cpu, stack_pop, stack_push } from "@ringside/core/sched/cpu";
import { schedule_timeout } from "@ringside/core/sched/schedule";
import { set_current_state, TASK_UNINTERRUPTIBLE } from "@ringside/core/sched/task";
import { REGBUF_DESC_SIZE, type RegbufDescPtr } from "@ringside/uring-emu/abi/register";
import {
  type IoUring,
  io_uring_register_buffers_sparse,
  io_uring_register_buffers_update_desc,
  io_uring_register_dmabuf,
  io_uring_unregister_buffers,
  regbuf_desc_empty,
  regbuf_desc_uaddr,
} from "@ringside/uring-emu/liburing";
import { sparse_create } from "./bench-sparse.ts";
import {
  buffer_create,
  buffer_destroy,
  buffer_register,
  KIND_VRAM,
  type StressBuffer,
} from "./stress-buffer.ts";

/** Pages that were there before; the token goes when its last map has. */
export const BUFFER_UDMABUF = 0;
/** Ordinary pages: mapped for the device and unmapped by each I/O. */
export const BUFFER_REGISTERED = 1;
/** Memory of an exporter that may invalidate; lent to whoever looks into the stress registry. */
export const BUFFER_VRAM = 2;
/** More addresses than pages (bench-sparse.ts). */
export const BUFFER_SPARSE = 3;

/** The kind that the workload argument `buffer` names. */
export function bench_buffer_kind(name: string): number {
  const kind = ["dmabuf", "registered", "vram", "sparse"].indexOf(name);
  if (kind < 0) throw new Error(`bench: buffer ${name}: expected dmabuf, registered, vram or sparse`);
  return kind;
}

/** Tokens are gone by then, or something hangs. */
const RELEASE_MS = 30_000;
const RELEASE_POLL_MS = 0.1;

export class BenchBuffers {
  readonly kind: number;
  readonly count: number;
  /** Of each buffer, whole pages. */
  readonly bytes: number;
  /** One run of pages for all buffers of the first two kinds. */
  pages: number = 0;
  readonly vram: StressBuffer[] = [];

  constructor(kind: number, count: number, bytes: number) {
    this.kind = kind;
    this.count = count;
    this.bytes = Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE;
  }
}

function checked(what: string, value: number): number {
  if (IS_ERR(value)) throw new Error(`bench: ${what} failed with ${errname(value)}`);
  return value;
}

/** Makes and registers all of them, for I/O on `target_fd`. Throws when memory is short. */
export function bench_buffers_register(cpu: Cpu, ring: IoUring, b: BenchBuffers, target_fd: number): void {
  if (b.kind === BUFFER_UDMABUF || b.kind === BUFFER_REGISTERED) {
    b.pages = alloc_pages_exact(cpu, b.count * b.bytes, GFP_KERNEL | __GFP_ZERO);
    if (b.pages === 0) throw new Error(`bench: no memory for ${b.count} buffers of ${b.bytes} bytes`);
  }
  checked("register_buffers_sparse", io_uring_register_buffers_sparse(cpu, ring, b.count));
  for (let i = 0; i < b.count; i++) register_one(cpu, ring, b, i, target_fd);
}

function register_one(cpu: Cpu, ring: IoUring, b: BenchBuffers, i: number, target_fd: number): void {
  if (b.kind === BUFFER_VRAM) {
    const buffer = buffer_create(cpu, KIND_VRAM, b.bytes);
    b.vram.push(buffer);
    checked("registering", buffer_register(cpu, ring, i, buffer, target_fd));
  } else if (b.kind === BUFFER_REGISTERED) {
    const desc = stack_push(cpu, REGBUF_DESC_SIZE) as RegbufDescPtr;
    regbuf_desc_uaddr(cpu, desc, b.pages + i * b.bytes, b.bytes);
    checked("registering", io_uring_register_buffers_update_desc(cpu, ring, i, desc, 0, 1));
    stack_pop(cpu, desc);
  } else {
    const created =
      b.kind === BUFFER_SPARSE
        ? sparse_create(cpu, b.bytes)
        : udmabuf_create(cpu, b.pages + i * b.bytes, b.bytes);
    const fd = checked("dma_buf_fd", dma_buf_fd(cpu, checked("exporting", created) as DmaBufPtr));
    checked("registering", io_uring_register_dmabuf(cpu, ring, i, fd, target_fd));
    // The token holds the buffer; a table of 16384 would use up the descriptors.
    close_fd(cpu, fd);
  }
}

/** What an SQE says for byte 0 of buffer `i`: an address, or 0, the offset into a dma-buf. */
export function bench_buffer_base(b: BenchBuffers, i: number): number {
  return b.kind === BUFFER_REGISTERED ? b.pages + i * b.bytes : 0;
}

/**
 * Empties the table, waits until the kernel has let go of all tokens, frees the memory. The work that releases a
 * mapped token sleeps until another work of the same queue has unmapped: no more of them at a time than there are
 * threads for (ARCHITECTURE.md, notes about the token).
 */
export function bench_buffers_unregister(cpu: Cpu, ring: IoUring, b: BenchBuffers): void {
  const desc = stack_push(cpu, REGBUF_DESC_SIZE) as RegbufDescPtr;
  regbuf_desc_empty(cpu, desc);
  const together = Math.max(1, cpu.config.kthreads >> 1);
  for (let i = 0; i < b.count && b.count > together && b.kind !== BUFFER_REGISTERED; i++) {
    checked("emptying a slot", io_uring_register_buffers_update_desc(cpu, ring, i, desc, 0, 1));
    if (i % together === together - 1) wait_tokens(cpu, b.count - i - 1);
  }
  stack_pop(cpu, desc);
  checked("unregister_buffers", io_uring_unregister_buffers(cpu, ring));
  for (const buffer of b.vram) buffer_destroy(cpu, buffer);
  wait_tokens(cpu, 0);
  if (b.pages !== 0) free_pages_exact(cpu, b.pages, b.count * b.bytes);
}

/** Waits until no more than `left` tokens of the machine, other tasks' too, are there. */
function wait_tokens(cpu: Cpu, left: number): void {
  const end = cpu.now() + RELEASE_MS;
  for (;;) {
    const { created, released } = token_counters(cpu);
    if (created - released <= left) return;
    if (cpu.now() > end) throw new Error(`bench: tokens were not released in ${RELEASE_MS} ms`);
    set_current_state(cpu, TASK_UNINTERRUPTIBLE);
    schedule_timeout(cpu, RELEASE_POLL_MS);
  }
}
