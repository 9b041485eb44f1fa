/**
 * The buffers of one I/O task and how its user side reaches their bytes: VRAM that may move at any time,
 * pages behind udmabuf, and plain user pages.
 *
 * Interface: buffer_create, buffer_register; then buffer_address for I/O, and around short accesses by the
 * task itself buffer_begin / buffer_at / buffer_end; buffer_destroy.
 */
import { IS_ERR } from "@ringside/core/debug/errno";
import { dma_buf_fd, dma_buf_put, type DmaBufPtr, get_dma_buf } from "@ringside/core/dma/buf";
import { udmabuf_create } from "@ringside/core/dma/exporters/udmabuf";
import {
  vram_create,
  vram_dmabuf,
  vram_user_begin,
  vram_user_end,
  vram_user_page,
  type VramBufPtr,
} from "@ringside/core/dma/exporters/vram";
import { close_fd } from "@ringside/core/fs/fdtable";
import { PAGE_SHIFT, PAGE_SIZE } from "@ringside/core/mm/memory-map";
import { __GFP_ZERO, GFP_KERNEL } from "@ringside/core/mm/gfp";
import { alloc_pages_exact, free_pages_exact } from "@ringside/core/mm/page-alloc";
import { type Cpu, stack_pop, stack_push } from "@ringside/core/sched/cpu";
import { REGBUF_DESC_SIZE, type RegbufDescPtr } from "@ringside/uring-emu/abi/register";
import {
  type IoUring,
  io_uring_register_buffers_update_desc,
  io_uring_register_dmabuf,
  regbuf_desc_uaddr,
} from "@ringside/uring-emu/liburing";
import { registry_add, registry_remove } from "./stress-registry.ts";

export const KIND_VRAM = 0;
export const KIND_UDMABUF = 1;
export const KIND_PLAIN = 2;

export interface StressBuffer {
  readonly kind: number;
  readonly bytes: number;
  /** VRAM buffer; 0 for the other kinds. */
  readonly vram: VramBufPtr;
  /** User pages; 0 for VRAM. */
  readonly pages: number;
  /** Descriptor of the dma-buf; -1 for plain pages. */
  readonly fd: number;
}

/** A buffer of at least `bytes`, whole pages. Throws when memory is short: the machine was sized for it. */
export function buffer_create(cpu: Cpu, kind: number, bytes: number): StressBuffer {
  const size = Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE;
  if (kind === KIND_VRAM) return create_vram(cpu, size);
  const pages = alloc_pages_exact(cpu, size, GFP_KERNEL | __GFP_ZERO);
  if (pages === 0) throw new Error(`stress: no memory for a buffer of ${size} bytes`);
  const fd =
    kind === KIND_UDMABUF ? export_fd(cpu, checked(udmabuf_create(cpu, pages, size)) as DmaBufPtr) : -1;
  return { kind, bytes: size, vram: 0 as VramBufPtr, pages, fd };
}

function create_vram(cpu: Cpu, bytes: number): StressBuffer {
  const vram = checked(vram_create(cpu, bytes)) as VramBufPtr;
  get_dma_buf(cpu, vram_dmabuf(cpu, vram));
  const fd = export_fd(cpu, vram_dmabuf(cpu, vram));
  registry_add(cpu, vram);
  return { kind: KIND_VRAM, bytes, vram, pages: 0, fd };
}

function checked(p: number): number {
  if (IS_ERR(p)) throw new Error(`stress: no memory for a dma-buf (${p})`);
  return p;
}

/** The descriptor takes over the caller's reference. */
function export_fd(cpu: Cpu, dmabuf: DmaBufPtr): number {
  const fd = dma_buf_fd(cpu, dmabuf);
  if (fd < 0) throw new Error(`stress: no descriptor for a dma-buf (${fd})`);
  return fd;
}

/** Puts the buffer, for I/O on `target_fd`, into slot `index` of the ring. 1 or -errno. */
export function buffer_register(
  cpu: Cpu,
  ring: IoUring,
  index: number,
  buffer: StressBuffer,
  target_fd: number,
): number {
  if (buffer.kind !== KIND_PLAIN) return io_uring_register_dmabuf(cpu, ring, index, buffer.fd, target_fd);
  const desc = stack_push(cpu, REGBUF_DESC_SIZE) as RegbufDescPtr;
  regbuf_desc_uaddr(cpu, desc, buffer.pages, buffer.bytes);
  const ret = io_uring_register_buffers_update_desc(cpu, ring, index, desc, 0, 1);
  stack_pop(cpu, desc);
  return ret;
}

/** What an SQE says for the byte at `offset`: its address, or the offset itself in a dma-buf. */
export function buffer_address(buffer: StressBuffer, offset: number): number {
  return buffer.kind === KIND_PLAIN ? buffer.pages + offset : offset;
}

export function buffer_destroy(cpu: Cpu, buffer: StressBuffer): void {
  if (buffer.kind === KIND_VRAM) {
    registry_remove(cpu, buffer.vram);
    dma_buf_put(cpu, vram_dmabuf(cpu, buffer.vram));
  }
  if (buffer.fd >= 0) close_fd(cpu, buffer.fd);
  if (buffer.pages !== 0) free_pages_exact(cpu, buffer.pages, buffer.bytes);
}

/** Opens a stretch in which the buffer does not move. No sleeping until buffer_end. */
export function buffer_begin(cpu: Cpu, buffer: StressBuffer): void {
  if (buffer.kind === KIND_VRAM) vram_user_begin(cpu, buffer.vram);
}

/** Address of the byte at `offset`; good to the end of its page and until buffer_end. */
export function buffer_at(cpu: Cpu, buffer: StressBuffer, offset: number): number {
  if (buffer.kind !== KIND_VRAM) return buffer.pages + offset;
  return vram_user_page(cpu, buffer.vram, offset >> PAGE_SHIFT) + (offset & (PAGE_SIZE - 1));
}

export function buffer_end(cpu: Cpu, buffer: StressBuffer): void {
  if (buffer.kind === KIND_VRAM) vram_user_end(cpu, buffer.vram);
}
