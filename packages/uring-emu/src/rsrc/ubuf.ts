/**
 * Buffers in user memory (io_uring/rsrc.c, io_sqe_buffer_register): an address range of the machine's RAM
 * whose pages stay pinned while the buffer is registered, freed by their owner or not.
 */
import { EFAULT, EINVAL, ENOMEM, EOVERFLOW } from "@ringside/core/debug/errno";
import { kernel_symbol } from "@ringside/core/debug/image";
import { bvec_set_page, type BioVecPtr } from "@ringside/core/fs/bvec";
import { PAGE_SIZE } from "@ringside/core/mm/memory-map";
import { page_address, page_nr_pages, virt_to_head_page } from "@ringside/core/mm/page";
import { get_page, page_refcount, put_page } from "@ringside/core/mm/page-alloc";
import type { Cpu } from "@ringside/core/sched/cpu";
import {
  IMU_BVEC,
  IMU_DIR,
  IMU_LEN,
  IMU_NR_BVECS,
  IMU_RELEASE,
  IMU_UBUF,
  IO_IMU_DEST_SOURCE,
  io_rsrc_node_alloc,
  io_rsrc_node_discard,
  node_buf,
} from "./node.ts";

/** 1 TiB: an arbitrary limit, but there has to be one. */
const REGBUF_MAX = 2 ** 40;
const U64_MAX = 2 ** 64;

const IO_RELEASE_UBUF = kernel_symbol(io_release_ubuf);

/** io_buffer_validate: 0, also for the empty buffer {0, 0}, or -errno. */
export function io_buffer_validate(base: number, len: number): number {
  if (base === 0) return len === 0 ? 0 : -EFAULT;
  if (len === 0) return -EFAULT;
  if (len > REGBUF_MAX) return -EINVAL;
  return base + len >= U64_MAX ? -EOVERFLOW : 0;
}

/** A node for user memory; 0 for the empty buffer, else -errno. */
export function io_sqe_buffer_register(cpu: Cpu, base: number, len: number): number {
  if (base === 0) return 0;
  const node = io_rsrc_node_alloc(cpu);
  if (node === 0) return -ENOMEM;
  const ret = io_pin_pages(cpu, base, len);
  if (ret < 0) {
    io_rsrc_node_discard(cpu, node);
    return ret;
  }
  const imu = node_buf(cpu, node);
  const page = base & -PAGE_SIZE;
  cpu.mem.write(imu + IMU_UBUF, base);
  cpu.mem.write(imu + IMU_LEN, len);
  cpu.mem.write(imu + IMU_NR_BVECS, 1);
  cpu.mem.write(imu + IMU_DIR, IO_IMU_DEST_SOURCE);
  cpu.mem.write(imu + IMU_RELEASE, IO_RELEASE_UBUF);
  bvec_set_page(cpu, (imu + IMU_BVEC) as BioVecPtr, page, len, base - page);
  return node;
}

/** First address after the run of pages that holds `addr`. */
function run_end(cpu: Cpu, addr: number): number {
  const head = virt_to_head_page(cpu, addr);
  if (head === 0) return (addr & -PAGE_SIZE) + PAGE_SIZE;
  return page_address(cpu, head) + page_nr_pages(cpu, head) * PAGE_SIZE;
}

/** Takes a reference to every run of pages under [base, base + len); -EFAULT if part of it is not memory. */
function io_pin_pages(cpu: Cpu, base: number, len: number): number {
  let at = base;
  while (at < base + len) {
    if (page_refcount(cpu, at) <= 0) {
      io_unpin_pages(cpu, base, at - base);
      return -EFAULT;
    }
    get_page(cpu, at);
    at = run_end(cpu, at);
  }
  return 0;
}

/** Drops what io_pin_pages took. The run's end is looked up first: the put may free the run. */
function io_unpin_pages(cpu: Cpu, base: number, len: number): void {
  let at = base;
  while (at < base + len) {
    const next = run_end(cpu, at);
    put_page(cpu, at);
    at = next;
  }
}

/** (cpu, priv, imu) */
function io_release_ubuf(cpu: Cpu, _priv: number, imu: number): void {
  io_unpin_pages(cpu, cpu.mem.read(imu + IMU_UBUF), cpu.mem.read(imu + IMU_LEN));
}
