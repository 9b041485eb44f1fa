/**
 * The CPU's own access to a dma-buf (drivers/dma-buf/dma-buf.c): begin, end and kernel mappings. The contract
 * is in buf.ts.
 */
import { EINVAL, IS_ERR } from "../debug/errno.ts";
import { symbol_call } from "../debug/image.ts";
import { BUG_ON, WARN_ON, WARN_ON_ONCE } from "../debug/warn.ts";
import type { Cpu } from "../sched/cpu.ts";
import { MAX_SCHEDULE_TIMEOUT } from "../sched/schedule.ts";
import { __dma_buf_lock, __dma_buf_unlock } from "./buf-attach.ts";
import {
  DMA_BUF_OPS_BEGIN_CPU_ACCESS,
  DMA_BUF_OPS_END_CPU_ACCESS,
  DMA_BUF_OPS_VMAP,
  DMA_BUF_OPS_VUNMAP,
  DMA_BUF_VMAP_PTR,
  DMA_BUF_VMAPPING_COUNTER,
  dma_buf_op,
  dma_buf_resv,
  type DmaBufPtr,
} from "./buf-struct.ts";
import { DMA_BIDIRECTIONAL, DMA_TO_DEVICE } from "./direction.ts";
import {
  dma_resv_assert_held,
  dma_resv_assert_not_held,
  dma_resv_usage_rw,
  dma_resv_wait_timeout,
} from "./resv.ts";

/**
 * Before the CPU touches the buffer: the exporter makes it coherent, then devices are waited for, writers of
 * it only if the CPU just reads. Reservation not held. 0 or -errno, -ERESTARTSYS among them.
 */
export function dma_buf_begin_cpu_access(cpu: Cpu, dmabuf: DmaBufPtr, direction: number): number {
  if (WARN_ON(cpu, dmabuf === 0)) return -EINVAL;
  const resv = dma_buf_resv(cpu, dmabuf);
  dma_resv_assert_not_held(cpu, resv);
  const op = dma_buf_op(cpu, dmabuf, DMA_BUF_OPS_BEGIN_CPU_ACCESS);
  const error = op === 0 ? 0 : symbol_call(cpu, op, dmabuf, direction);
  if (error !== 0) return error;
  const write = direction === DMA_BIDIRECTIONAL || direction === DMA_TO_DEVICE;
  const left = dma_resv_wait_timeout(cpu, resv, dma_resv_usage_rw(write), true, MAX_SCHEDULE_TIMEOUT);
  return left < 0 ? left : 0;
}

/** After it. Reservation not held. 0 or -errno. */
export function dma_buf_end_cpu_access(cpu: Cpu, dmabuf: DmaBufPtr, direction: number): number {
  if (WARN_ON(cpu, dmabuf === 0)) return -EINVAL;
  dma_resv_assert_not_held(cpu, dma_buf_resv(cpu, dmabuf));
  const op = dma_buf_op(cpu, dmabuf, DMA_BUF_OPS_END_CPU_ACCESS);
  return op === 0 ? 0 : symbol_call(cpu, op, dmabuf, direction);
}

/** A kernel address of the whole buffer; nests. Reservation held. An address, or -errno. */
export function dma_buf_vmap(cpu: Cpu, dmabuf: DmaBufPtr): number {
  if (WARN_ON(cpu, dmabuf === 0)) return -EINVAL;
  dma_resv_assert_held(cpu, dma_buf_resv(cpu, dmabuf));
  const op = dma_buf_op(cpu, dmabuf, DMA_BUF_OPS_VMAP);
  if (op === 0) return -EINVAL;
  const users = cpu.mem.read(dmabuf + DMA_BUF_VMAPPING_COUNTER);
  if (users === 0) {
    const address = symbol_call(cpu, op, dmabuf);
    if (WARN_ON_ONCE(cpu, IS_ERR(address))) return address;
    cpu.mem.write(dmabuf + DMA_BUF_VMAP_PTR, address);
  }
  cpu.mem.write(dmabuf + DMA_BUF_VMAPPING_COUNTER, users + 1);
  return cpu.mem.read(dmabuf + DMA_BUF_VMAP_PTR);
}

/** Undoes one dma_buf_vmap. Reservation held. */
export function dma_buf_vunmap(cpu: Cpu, dmabuf: DmaBufPtr, address: number): void {
  if (WARN_ON(cpu, dmabuf === 0)) return;
  dma_resv_assert_held(cpu, dma_buf_resv(cpu, dmabuf));
  const users = cpu.mem.read(dmabuf + DMA_BUF_VMAPPING_COUNTER);
  BUG_ON(cpu, users === 0, "dma_buf_vunmap: vmapping_counter == 0");
  BUG_ON(cpu, cpu.mem.read(dmabuf + DMA_BUF_VMAP_PTR) !== address, "dma_buf_vunmap: not the address of vmap");
  cpu.mem.write(dmabuf + DMA_BUF_VMAPPING_COUNTER, users - 1);
  if (users !== 1) return;
  const op = dma_buf_op(cpu, dmabuf, DMA_BUF_OPS_VUNMAP);
  if (op !== 0) symbol_call(cpu, op, dmabuf, address);
  cpu.mem.write(dmabuf + DMA_BUF_VMAP_PTR, 0);
}

/** As dma_buf_vmap; takes the reservation. */
export function dma_buf_vmap_unlocked(cpu: Cpu, dmabuf: DmaBufPtr): number {
  if (WARN_ON(cpu, dmabuf === 0)) return -EINVAL;
  const resv = dma_buf_resv(cpu, dmabuf);
  dma_resv_assert_not_held(cpu, resv);
  const locked = __dma_buf_lock(cpu, resv);
  const address = dma_buf_vmap(cpu, dmabuf);
  __dma_buf_unlock(cpu, resv, locked);
  return address;
}
/** As dma_buf_vunmap; takes the reservation. */
export function dma_buf_vunmap_unlocked(cpu: Cpu, dmabuf: DmaBufPtr, address: number): void {
  if (WARN_ON(cpu, dmabuf === 0)) return;
  const resv = dma_buf_resv(cpu, dmabuf);
  dma_resv_assert_not_held(cpu, resv);
  const locked = __dma_buf_lock(cpu, resv);
  dma_buf_vunmap(cpu, dmabuf, address);
  __dma_buf_unlock(cpu, resv, locked);
}
