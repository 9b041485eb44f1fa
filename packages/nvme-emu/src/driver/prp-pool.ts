/**
 * The pools PRP lists come from: 256 bytes for up to 32 entries, and whole pages. Each queue has its own,
 * made at probe and visible to the device for good, so that building a command allocates nothing. When a
 * pool is empty the request is tried again later (BLK_STS_RESOURCE).
 *
 * Interface: prp_pools_init, then prp_alloc and prp_free from any CPU.
 */
import { ENOMEM } from "@ringside/core/debug/errno";
import { FAULT_PRP_POOL, should_fail } from "@ringside/core/debug/fault-inject";
import { struct_layout } from "@ringside/core/debug/layout";
import type { DevicePtr } from "@ringside/core/dma/device";
import { dma_alloc_coherent, dma_free_coherent, type Iova } from "@ringside/core/dma/mapping";
import { spin_lock_init, spin_lock_irqsave, spin_unlock_irqrestore } from "@ringside/core/lock/spinlock";
import { GFP_KERNEL } from "@ringside/core/mm/slab";
import { type Cpu, stack_pop, stack_push } from "@ringside/core/sched/cpu";

/** NVME_SMALL_POOL_SIZE: bytes of a small list; it holds 32 entries. */
const NVME_SMALL_POOL_SIZE = 256;
const NVME_LARGE_POOL_SIZE = 4096;

/** Lists per queue. The largest request takes 5 pages; more than one such must fit. */
const NR_SMALL = 256;
const NR_LARGE = 32;

// struct of two pools, small then large. Constant after init:
const BASE = 0;
const DMA = 4;
const BYTES = 8;
/** Guarded by LOCK: first free list, linked by its first word. */
const FREE = 12;
const POOL_SIZE = 16;
const LARGE = POOL_SIZE;
const LOCK = 2 * POOL_SIZE;
export const PRP_POOLS_SIZE: number = LOCK + 4;

struct_layout("nvme_prp_pools", PRP_POOLS_SIZE, [
  ["small.base", BASE, 4],
  ["small.dma", DMA, 4],
  ["small.bytes", BYTES, 4],
  ["small.free", FREE, 4],
  ["large.base", LARGE + BASE, 4],
  ["large.dma", LARGE + DMA, 4],
  ["large.bytes", LARGE + BYTES, 4],
  ["large.free", LARGE + FREE, 4],
  ["lock", LOCK, 4],
]);

/** Returns 0 or -ENOMEM; then prp_pools_destroy frees what there is. `pools` is zeroed. */
export function prp_pools_init(cpu: Cpu, dev: DevicePtr, pools: number): number {
  spin_lock_init(cpu, pools + LOCK, "&pool->lock");
  const error = pool_init(cpu, dev, pools, NVME_SMALL_POOL_SIZE, NR_SMALL);
  return error === 0 ? pool_init(cpu, dev, pools + LARGE, NVME_LARGE_POOL_SIZE, NR_LARGE) : error;
}

function pool_init(cpu: Cpu, dev: DevicePtr, pool: number, size: number, nr: number): number {
  const handle = stack_push(cpu, 4);
  const base = dma_alloc_coherent(cpu, dev, size * nr, handle, GFP_KERNEL);
  const dma = cpu.mem.read(handle);
  stack_pop(cpu, handle);
  if (base === 0) return -ENOMEM;
  cpu.mem.write(pool + BASE, base);
  cpu.mem.write(pool + DMA, dma);
  cpu.mem.write(pool + BYTES, size * nr);
  for (let i = 0; i < nr; i++) cpu.mem.write(base + i * size, i + 1 < nr ? base + (i + 1) * size : 0);
  cpu.mem.write(pool + FREE, base);
  return 0;
}

export function prp_pools_destroy(cpu: Cpu, dev: DevicePtr, pools: number): void {
  for (const pool of [pools, pools + LARGE]) {
    const base = cpu.mem.read(pool + BASE);
    const dma = cpu.mem.read(pool + DMA) as Iova;
    if (base !== 0) dma_free_coherent(cpu, dev, cpu.mem.read(pool + BYTES), base, dma);
    cpu.mem.write(pool + BASE, 0);
  }
}

/** A list, or 0 when the pool is empty. Its contents are undefined. */
export function prp_alloc(cpu: Cpu, pools: number, small: boolean): number {
  if (should_fail(cpu, FAULT_PRP_POOL)) return 0;
  const pool = small ? pools : pools + LARGE;
  spin_lock_irqsave(cpu, pools + LOCK);
  const list = cpu.mem.read(pool + FREE);
  if (list !== 0) cpu.mem.write(pool + FREE, cpu.mem.read(list));
  spin_unlock_irqrestore(cpu, pools + LOCK);
  return list;
}

export function prp_free(cpu: Cpu, pools: number, list: number, small: boolean): void {
  const pool = small ? pools : pools + LARGE;
  spin_lock_irqsave(cpu, pools + LOCK);
  cpu.mem.write(list, cpu.mem.read(pool + FREE));
  cpu.mem.write(pool + FREE, list);
  spin_unlock_irqrestore(cpu, pools + LOCK);
}

/** The address the device knows the list by. */
export function prp_dma(cpu: Cpu, pools: number, list: number, small: boolean): number {
  const pool = small ? pools : pools + LARGE;
  return cpu.mem.read(pool + DMA) + (list - cpu.mem.read(pool + BASE));
}

/** Free lists of a pool: for tests. */
export function prp_pool_free_count(cpu: Cpu, pools: number, small: boolean): number {
  const pool = small ? pools : pools + LARGE;
  let count = 0;
  for (let list = cpu.mem.read(pool + FREE); list !== 0; list = cpu.mem.read(list)) count++;
  return count;
}
