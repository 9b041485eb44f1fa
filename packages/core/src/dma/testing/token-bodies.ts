/** What the CPUs do in token-threads.test.ts: users of one token, and exporters that invalidate it. */
import { FAULT_RESERVE_FENCES, fault_arm } from "../../debug/fault-inject.ts";
import { IS_ERR } from "../../debug/errno.ts";
import { kernel_static } from "../../debug/image.ts";
import { fput } from "../../fs/file.ts";
import { GFP_KERNEL, kzalloc } from "../../mm/slab.ts";
import { type Leak, kmem_leaks, kmem_mark } from "../../mm/slab-report.ts";
import { rcu_barrier } from "../../rcu/rcu.ts";
import type { Cpu } from "../../sched/cpu.ts";
import { cond_resched, schedule_timeout } from "../../sched/schedule.ts";
import { set_current_state, TASK_UNINTERRUPTIBLE } from "../../sched/task.ts";
import { dma_buf_invalidate_mappings, dma_buf_put, type DmaBufPtr, dma_buf_resv } from "../buf.ts";
import { dma_fence_counters } from "../fence.ts";
import { DMA_RESV_USAGE_BOOKKEEP, dma_resv_lock, dma_resv_unlock, dma_resv_wait_timeout } from "../resv.ts";
import {
  IO_DMABUF_TOKEN_SIZE,
  io_dmabuf_create_map,
  io_dmabuf_get_map,
  io_dmabuf_map_drop,
  io_dmabuf_token_create,
  io_dmabuf_token_release,
  type IoDmabufTokenPtr,
} from "../token.ts";
import { type TokenCounters, token_counters } from "../token-oracle.ts";
import { fixture_buffer, fixture_file } from "./token-fixture.ts";

const TOKEN = kernel_static("test_token", 4);
const DMABUF = kernel_static("test_dmabuf", 4);
const DONE = kernel_static("test_exporters_done", 4);

export function boot_token(cpu: Cpu): void {
  kmem_mark(cpu);
  const dmabuf = fixture_buffer(cpu, 65536);
  const token = kzalloc(cpu, IO_DMABUF_TOKEN_SIZE, GFP_KERNEL) as IoDmabufTokenPtr;
  const file = fixture_file(cpu, true);
  const error = io_dmabuf_token_create(cpu, file, token, dmabuf, 0);
  if (error !== 0) throw new Error(`token_create: ${error}`);
  fput(cpu, file);
  cpu.mem.storeRelease(DMABUF, dmabuf);
  cpu.mem.storeRelease(TOKEN, token);
}

function nap(cpu: Cpu, ms: number): void {
  set_current_state(cpu, TASK_UNINTERRUPTIBLE);
  schedule_timeout(cpu, ms);
}

/** Gets, or creates when there is none; holds it a little; drops it. Until the exporters are done. */
export function use_token(cpu: Cpu): number {
  const token = cpu.mem.loadAcquire(TOKEN) as IoDmabufTokenPtr;
  let uses = 0;
  while (cpu.mem.loadAcquire(DONE) === 0) {
    let map = io_dmabuf_get_map(cpu, token);
    if (map === 0) map = io_dmabuf_create_map(cpu, token);
    if (IS_ERR(map)) throw new Error(`create_map: ${map}`);
    // Some requests take long: they are in flight while the exporter invalidates.
    if (cpu.random32() % 64 === 0) nap(cpu, 1);
    io_dmabuf_map_drop(cpu, map);
    uses++;
    cond_resched(cpu);
  }
  return uses;
}

/** Invalidates `rounds` times; waits for the fences under the lock when `wait`, else leaves them pending. */
export function invalidate_token(cpu: Cpu, rounds: number, wait: boolean): void {
  const resv = dma_buf_resv(cpu, cpu.mem.loadAcquire(DMABUF) as DmaBufPtr);
  for (let i = 0; i < rounds; i++) {
    dma_resv_lock(cpu, resv, 0);
    dma_buf_invalidate_mappings(cpu, cpu.mem.loadAcquire(DMABUF) as DmaBufPtr);
    if (wait) dma_resv_wait_timeout(cpu, resv, DMA_RESV_USAGE_BOOKKEEP, false, 10_000);
    dma_resv_unlock(cpu, resv);
    nap(cpu, 1);
  }
  cpu.mem.storeRelease(DONE, 1);
}

/** As invalidate_token, while fence slots cannot be reserved. */
export function invalidate_without_slots(cpu: Cpu, rounds: number): void {
  fault_arm(cpu, FAULT_RESERVE_FENCES, { after: 0, times: rounds });
  invalidate_token(cpu, rounds, false);
}

export interface TokenEnd {
  readonly counters: TokenCounters;
  readonly fencesPending: number;
  readonly leaks: readonly Leak[];
}

export function finish_token(cpu: Cpu): TokenEnd {
  io_dmabuf_token_release(cpu, cpu.mem.loadAcquire(TOKEN) as IoDmabufTokenPtr);
  // The release runs on a kworker; it is over when the driver's book says so.
  for (let i = 0; i < 5000 && token_counters(cpu).released === 0; i++) nap(cpu, 1);
  dma_buf_put(cpu, cpu.mem.loadAcquire(DMABUF) as DmaBufPtr);
  rcu_barrier(cpu);
  rcu_barrier(cpu);
  const { initialised, signalled } = dma_fence_counters(cpu);
  return { counters: token_counters(cpu), fencesPending: initialised - signalled, leaks: kmem_leaks(cpu) };
}
