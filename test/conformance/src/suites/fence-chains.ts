/** struct fence_chains of drivers/dma-buf/st-dma-fence-chain.c: a chain of nodes, each with a fence of its own. */
import {
  dma_fence_enable_signaling,
  dma_fence_get,
  dma_fence_put,
  dma_fence_signal,
  type DmaFencePtr,
} from "@ringside/core/dma/fence";
import { dma_fence_chain_alloc, dma_fence_chain_init } from "@ringside/core/dma/fence-chain";
import { mock_fence } from "@ringside/core/dma/testing/mock-fence";
import { GFP_KERNEL, kcalloc, kfree } from "@ringside/core/mm/slab";
import type { Cpu } from "@ringside/core/sched/cpu";
import { cond_resched } from "@ringside/core/sched/schedule";

/** Words at `fc`, in memory all bodies see. */
const LENGTH = 0;
const FENCES = 4;
const CHAINS = 8;

export function chain_length(cpu: Cpu, fc: number): number {
  return cpu.mem.read(fc + LENGTH);
}
export function fence_of(cpu: Cpu, fc: number, i: number): DmaFencePtr {
  return cpu.mem.read(cpu.mem.read(fc + FENCES) + i * 4) as DmaFencePtr;
}
export function chain_of(cpu: Cpu, fc: number, i: number): DmaFencePtr {
  return cpu.mem.read(cpu.mem.read(fc + CHAINS) + i * 4) as DmaFencePtr;
}
export function chain_tail(cpu: Cpu, fc: number): DmaFencePtr {
  return chain_of(cpu, fc, chain_length(cpu, fc) - 1);
}

/** A node; 0 when out of memory. It takes references of its own. */
export function mock_chain(cpu: Cpu, prev: DmaFencePtr, fence: DmaFencePtr, seqno: number): DmaFencePtr {
  const chain = dma_fence_chain_alloc(cpu);
  if (chain === 0) return chain;
  dma_fence_chain_init(cpu, chain, dma_fence_get(cpu, prev), dma_fence_get(cpu, fence), seqno);
  return chain;
}

/** Makes `count` nodes; node i has number first + i * step. Enables signaling on each. */
export function fence_chains_init(cpu: Cpu, fc: number, count: number, first: number, step: number): void {
  const fences = kcalloc(cpu, count, 4, GFP_KERNEL);
  const chains = kcalloc(cpu, count, 4, GFP_KERNEL);
  let tail = 0 as DmaFencePtr;
  for (let i = 0; i < count; i++) {
    const fence = mock_fence(cpu, 0, 0);
    tail = mock_chain(cpu, tail, fence, first + i * step);
    cpu.mem.write(fences + i * 4, fence);
    cpu.mem.write(chains + i * 4, tail);
    dma_fence_enable_signaling(cpu, tail);
    cond_resched(cpu);
  }
  cpu.mem.write(fc + LENGTH, count);
  cpu.mem.write(fc + FENCES, fences);
  cpu.mem.write(fc + CHAINS, chains);
}

export function fence_chains_fini(cpu: Cpu, fc: number): void {
  const count = chain_length(cpu, fc);
  for (let i = 0; i < count; i++) {
    dma_fence_signal(cpu, fence_of(cpu, fc, i));
    dma_fence_put(cpu, fence_of(cpu, fc, i));
    cond_resched(cpu);
  }
  for (let i = 0; i < count; i++) dma_fence_put(cpu, chain_of(cpu, fc, i));
  kfree(cpu, cpu.mem.read(fc + FENCES));
  kfree(cpu, cpu.mem.read(fc + CHAINS));
}

/** Puts the fences, not the nodes, in random order (Fisher-Yates). */
export function randomise_fences(cpu: Cpu, fc: number): void {
  const fences = cpu.mem.read(fc + FENCES);
  for (let left = chain_length(cpu, fc) - 1; left > 0; left--) {
    const other = cpu.random32() % (left + 1);
    const fence = cpu.mem.read(fences + left * 4);
    cpu.mem.write(fences + left * 4, cpu.mem.read(fences + other * 4));
    cpu.mem.write(fences + other * 4, fence);
  }
}
