/**
 * The VRAM buffers that I/O tasks lend to the adversary: a table in shared memory.
 *
 * Invariant: an entry is non-zero only while its task holds a reference to the buffer; whoever takes one
 * from the table gets a reference of its own under the lock.
 */
import { dma_buf_put, get_dma_buf } from "@ringside/core/dma/buf";
import { vram_dmabuf, type VramBufPtr } from "@ringside/core/dma/exporters/vram";
import { kernel_static } from "@ringside/core/debug/image";
import { spin_lock, spin_unlock } from "@ringside/core/lock/spinlock";
import type { Cpu } from "@ringside/core/sched/cpu";

const SLOTS = 256;
const TABLE = kernel_static("stress_registry", 128 + SLOTS * 4);
const LOCK = TABLE;
// Guarded by LOCK:
const BUFFERS = TABLE + 128;

/** Lends a buffer. False when the table is full. */
export function registry_add(cpu: Cpu, buf: VramBufPtr): boolean {
  return registry_swap(cpu, 0, buf);
}

/** Takes a buffer back. The adversary may still work on it with its own reference. */
export function registry_remove(cpu: Cpu, buf: VramBufPtr): void {
  registry_swap(cpu, buf, 0);
}

function registry_swap(cpu: Cpu, from: number, to: number): boolean {
  let found = false;
  spin_lock(cpu, LOCK);
  for (let i = 0; i < SLOTS && !found; i++) {
    if (cpu.mem.read(BUFFERS + i * 4) !== from) continue;
    cpu.mem.write(BUFFERS + i * 4, to);
    found = true;
  }
  spin_unlock(cpu, LOCK);
  return found;
}

/** A random buffer with a reference for the caller, or 0. */
export function registry_borrow(cpu: Cpu): VramBufPtr {
  const start = cpu.random32() % SLOTS;
  let buf = 0;
  spin_lock(cpu, LOCK);
  for (let i = 0; i < SLOTS && buf === 0; i++) buf = cpu.mem.read(BUFFERS + ((start + i) % SLOTS) * 4);
  if (buf !== 0) get_dma_buf(cpu, vram_dmabuf(cpu, buf as VramBufPtr));
  spin_unlock(cpu, LOCK);
  return buf as VramBufPtr;
}

export function registry_return(cpu: Cpu, buf: VramBufPtr): void {
  dma_buf_put(cpu, vram_dmabuf(cpu, buf));
}
