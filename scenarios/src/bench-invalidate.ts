/**
 * What an invalidation costs the exporter that asks for it: from the call to the fence's signal, and on to the map
 * gone. The I/O that the buffer carries meanwhile is another CPU's (bench-io with buffer vram), or there is none.
 */
import { errname } from "@ringside/core/debug/errno";
import { bdev_open } from "@ringside/core/block/fops";
import {
  dma_buf_invalidate_mappings,
  dma_buf_put,
  type DmaBufPtr,
  dma_buf_resv,
  get_dma_buf,
} from "@ringside/core/dma/buf";
import { type VramBufPtr, vram_dmabuf } from "@ringside/core/dma/exporters/vram";
import {
  DMA_RESV_USAGE_BOOKKEEP,
  dma_resv_lock,
  dma_resv_unlock,
  dma_resv_wait_timeout,
} from "@ringside/core/dma/resv";
import { token_counters } from "@ringside/core/dma/token-oracle";
import { close_fd } from "@ringside/core/fs/fdtable";
import { O_DIRECT, O_RDWR } from "@ringside/core/fs/file";
import type { Cpu } from "@ringside/core/sched/cpu";
import { MAX_SCHEDULE_TIMEOUT, schedule_timeout } from "@ringside/core/sched/schedule";
import { set_current_state, TASK_UNINTERRUPTIBLE } from "@ringside/core/sched/task";
import { flush_workqueue, system_wq } from "@ringside/core/sched/workqueue";
import { nvme_disk } from "@ringside/nvme-emu/driver/dev";
import {
  IoUring,
  io_uring_cq_advance,
  io_uring_cqe_res,
  io_uring_get_sqe,
  io_uring_prep_read_fixed,
  io_uring_queue_exit,
  io_uring_queue_init,
  io_uring_register_buffers_sparse,
  io_uring_submit,
  io_uring_wait_cqe,
} from "@ringside/uring-emu/liburing";
import type { CqePtr } from "@ringside/uring-emu/abi/cqe";
import { buffer_create, buffer_destroy, buffer_register, KIND_VRAM } from "./stress-buffer.ts";
import { registry_borrow } from "./stress-registry.ts";
import { type Args, number_arg, type Result } from "./workload.ts";

const BYTES = 64 << 10;
const BS = 4096;
/** The I/O task maps its buffer anew within this (ms), or has ended. */
const MAP_MS = 2000;
const SAMPLES_MAX = 1 << 16;

interface Samples {
  /** ms, from the call of dma_buf_invalidate_mappings. */
  readonly signaled: number[];
  readonly unmapped: number[];
}

/** One invalidation of a buffer that is mapped. False when nothing was unmapped. */
function invalidate_once(cpu: Cpu, dmabuf: DmaBufPtr, samples: Samples): boolean {
  const resv = dma_buf_resv(cpu, dmabuf);
  const before = token_counters(cpu).unmaps;
  dma_resv_lock(cpu, resv, 0);
  const start = cpu.now();
  dma_buf_invalidate_mappings(cpu, dmabuf);
  dma_resv_wait_timeout(cpu, resv, DMA_RESV_USAGE_BOOKKEEP, false, MAX_SCHEDULE_TIMEOUT);
  const signaled = cpu.now();
  dma_resv_unlock(cpu, resv);
  flush_workqueue(cpu, system_wq(cpu));
  const unmapped = cpu.now();
  if (token_counters(cpu).unmaps === before) return false;
  if (samples.signaled.length < SAMPLES_MAX) {
    samples.signaled.push(signaled - start);
    samples.unmapped.push(unmapped - start);
  }
  return true;
}

function sleep_ms(cpu: Cpu, ms: number): void {
  set_current_state(cpu, TASK_UNINTERRUPTIBLE);
  schedule_timeout(cpu, ms);
}

/** A buffer that an I/O task lends; throws when none does. */
function wait_lent(cpu: Cpu): VramBufPtr {
  const end = cpu.now() + MAP_MS;
  for (;;) {
    const buf = registry_borrow(cpu);
    if (buf !== 0) return buf;
    if (cpu.now() > end) throw new Error("bench: nobody lends a buffer");
    sleep_ms(cpu, 0.1);
  }
}

/** Until a map is alive; false when none comes. */
function wait_mapped(cpu: Cpu): boolean {
  const end = cpu.now() + MAP_MS;
  for (;;) {
    const { maps, unmaps } = token_counters(cpu);
    if (maps !== unmaps) return true;
    if (cpu.now() > end) return false;
    sleep_ms(cpu, 0.1);
  }
}

/**
 * args: ms; pauseMs between two invalidations (the period is never shorter than one). Takes the buffer of an I/O
 * task, which has to end later. Results: signaled, unmapped: ms, a number an invalidation; seconds.
 */
export function bench_invalidate(cpu: Cpu, args: Args): Result {
  const samples: Samples = { signaled: [], unmapped: [] };
  const ms = number_arg(args, "ms");
  const pause = number_arg(args, "pauseMs");
  const buf = wait_lent(cpu);
  const dmabuf = vram_dmabuf(cpu, buf);
  const start = cpu.now();
  let next = start;
  let now = start;
  while (now - start < ms) {
    if (!wait_mapped(cpu)) break;
    invalidate_once(cpu, dmabuf, samples);
    next += pause;
    now = cpu.now();
    if (next > now) sleep_ms(cpu, next - now);
    else next = now;
    now = cpu.now();
  }
  dma_buf_put(cpu, dmabuf);
  return { ...samples, seconds: (now - start) / 1000 };
}

/** args: ms. As bench_invalidate, of a buffer of its own: one I/O maps it, then nothing else happens. */
export function bench_invalidate_idle(cpu: Cpu, args: Args): Result {
  const samples: Samples = { signaled: [], unmapped: [] };
  const ms = number_arg(args, "ms");
  const ring = new IoUring();
  check("queue_init", io_uring_queue_init(cpu, 1, ring, 0));
  check("register_buffers_sparse", io_uring_register_buffers_sparse(cpu, ring, 1));
  const fd = check("open", bdev_open(cpu, nvme_disk(cpu), O_RDWR | O_DIRECT));
  const buffer = buffer_create(cpu, KIND_VRAM, BYTES);
  check("registering", buffer_register(cpu, ring, 0, buffer, fd));
  const dmabuf = vram_dmabuf(cpu, buffer.vram);
  get_dma_buf(cpu, dmabuf);
  const start = cpu.now();
  let now = start;
  for (; now - start < ms; now = cpu.now()) {
    read_once(cpu, ring, fd);
    if (!invalidate_once(cpu, dmabuf, samples)) throw new Error("bench: an invalidation unmapped nothing");
  }
  dma_buf_put(cpu, dmabuf);
  io_uring_queue_exit(cpu, ring);
  buffer_destroy(cpu, buffer);
  close_fd(cpu, fd);
  return { ...samples, seconds: (now - start) / 1000 };
}

function check(what: string, ret: number): number {
  if (ret < 0) throw new Error(`bench: ${what} failed with ${errname(ret)}`);
  return ret;
}

function read_once(cpu: Cpu, ring: IoUring, fd: number): void {
  io_uring_prep_read_fixed(cpu, io_uring_get_sqe(cpu, ring), fd, 0, BS, 0, 0);
  check("submit", io_uring_submit(cpu, ring));
  const cqe = check("wait_cqe", io_uring_wait_cqe(cpu, ring)) as CqePtr;
  check("the I/O", io_uring_cqe_res(cpu, cqe));
  io_uring_cq_advance(cpu, ring, 1);
}
