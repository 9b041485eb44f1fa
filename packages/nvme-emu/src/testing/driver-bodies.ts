/** Bodies for driver-threads.test.ts: tasks doing verified I/O, the controller, an exporter that invalidates. */
import { bio_alloc_cache_destroy } from "@ringside/core/block/bio";
import { bdev_open } from "@ringside/core/block/fops";
import { blk_finish_plug, blk_start_plug_nr_ios } from "@ringside/core/block/plug";
import { EIOCBQUEUED, IS_ERR } from "@ringside/core/debug/errno";
import { kernel_static, kernel_symbol, symbol_call } from "@ringside/core/debug/image";
import {
  dma_buf_invalidate_mappings,
  dma_buf_put,
  dma_buf_resv,
  type DmaBufPtr,
} from "@ringside/core/dma/buf";
import { udmabuf_create } from "@ringside/core/dma/exporters/udmabuf";
import { DMA_BIDIRECTIONAL, type DmaCounters, dma_counters } from "@ringside/core/dma/mapping";
import { dma_resv_lock, dma_resv_unlock } from "@ringside/core/dma/resv";
import {
  io_dmabuf_create_map,
  io_dmabuf_get_map,
  io_dmabuf_map_drop,
  type IoDmabufMapPtr,
  IO_DMABUF_TOKEN_SIZE,
  io_dmabuf_token_create,
  io_dmabuf_token_release,
  type IoDmabufTokenPtr,
} from "@ringside/core/dma/token";
import { BIO_VEC_SIZE, bvec_set_page, type BioVecPtr } from "@ringside/core/fs/bvec";
import { close_fd, fget } from "@ringside/core/fs/fdtable";
import {
  file_op,
  type FilePtr,
  FOP_IOPOLL,
  FOP_READ_ITER,
  FOP_WRITE_ITER,
  fput,
  O_DIRECT,
  O_RDWR,
} from "@ringside/core/fs/file";
import {
  iov_iter_bvec,
  iov_iter_dmabuf_map,
  IOV_ITER_SIZE,
  type IovIterPtr,
  ITER_DEST,
  ITER_SOURCE,
} from "@ringside/core/fs/iov-iter";
import { init_kiocb, IOCB_HIPRI, KIOCB_SIZE, type KiocbPtr } from "@ringside/core/fs/kiocb";
import { __get_free_pages, free_pages } from "@ringside/core/mm/page-alloc";
import { GFP_KERNEL, kfree, kmem_in_use, kzalloc } from "@ringside/core/mm/slab";
import { rcu_barrier } from "@ringside/core/rcu/rcu";
import { type Cpu, stack_pop, stack_push } from "@ringside/core/sched/cpu";
import { schedule, schedule_timeout } from "@ringside/core/sched/schedule";
import {
  set_current_state,
  task_of_cpu,
  TASK_UNINTERRUPTIBLE,
  wake_up_process,
} from "@ringside/core/sched/task";
import { flush_workqueue, system_wq } from "@ringside/core/sched/workqueue";
import { nvme_controller_thread } from "../controller/thread.ts";
import { nvme_disk } from "../driver/dev.ts";
import { nvme_probe, nvme_remove } from "../driver/probe.ts";

/** Buffer of each task: 1 MiB. */
const ORDER = 8;
const BYTES = 4096 << ORDER;
const MAX_TASKS = 8;

const STATE = kernel_static("driver_bodies", 128 + MAX_TASKS * 128);
const FD = 0;
const BEFORE = 4;
const RUNNING = 8;
const TASKS = 128;
// Per task, a line:
const PAGES = 0;
const DMABUF = 4;
const TOKEN = 8;
/** Completions of batches, and results that are no byte counts. */
const COMPLETED = 12;
const FAILED = 16;

const DONE = kernel_symbol(count_completion);
function count_completion(cpu: Cpu, kiocb: KiocbPtr, res: number): void {
  // The submitter notes its slot behind the kiocb.
  const task = cpu.mem.read(kiocb + KIOCB_SIZE);
  if (res < 0) cpu.mem.fetchAdd(task + FAILED, 1);
  cpu.mem.fetchAdd(task + COMPLETED, 1);
  wake_up_process(cpu, task_of_cpu(cpu, (task - STATE - TASKS) / 128));
}

function task_slot(id: number): number {
  return STATE + TASKS + id * 128;
}

/** The controller, on a thread of its own. */
export function controller(cpu: Cpu): void {
  nvme_controller_thread(cpu, cpu.map.media, cpu.config.media);
}

export function boot_nvme(cpu: Cpu): number {
  cpu.mem.write(STATE + BEFORE, kmem_in_use(cpu));
  const error = nvme_probe(cpu);
  if (error < 0) throw new Error(`probe: ${error}`);
  const fd = bdev_open(cpu, nvme_disk(cpu), O_RDWR | O_DIRECT);
  cpu.mem.write(STATE + FD, fd);
  cpu.mem.storeRelease(STATE + RUNNING, 0);
  const file = fget(cpu, fd);
  for (let id = 0; id < cpu.config.cpus; id++) boot_task(cpu, file, task_slot(id));
  fput(cpu, file);
  return 0;
}

function boot_task(cpu: Cpu, file: FilePtr, task: number): void {
  const pages = __get_free_pages(cpu, GFP_KERNEL, ORDER);
  const dmabuf = udmabuf_create(cpu, pages, BYTES);
  const token = kzalloc(cpu, IO_DMABUF_TOKEN_SIZE, GFP_KERNEL) as IoDmabufTokenPtr;
  const error = io_dmabuf_token_create(cpu, file, token, dmabuf, DMA_BIDIRECTIONAL);
  if (error < 0) throw new Error(`token: ${error}`);
  cpu.mem.write(task + PAGES, pages);
  cpu.mem.write(task + DMABUF, dmabuf);
  cpu.mem.write(task + TOKEN, token);
}

/** A map with a reference, as a request would get it. */
function get_map(cpu: Cpu, task: number): IoDmabufMapPtr {
  const token = cpu.mem.read(task + TOKEN) as IoDmabufTokenPtr;
  const map = io_dmabuf_get_map(cpu, token);
  if (map !== 0) return map;
  const created = io_dmabuf_create_map(cpu, token);
  if (IS_ERR(created)) throw new Error(`create_map: ${created}`);
  return created;
}

/** One synchronous transfer between `offset` of the task's buffer and `pos`; through the dma-buf or not. */
function transfer(
  cpu: Cpu,
  file: FilePtr,
  fop: number,
  pos: number,
  offset: number,
  bytes: number,
  dmabuf: boolean,
): number {
  const task = task_slot(cpu.id);
  const kiocb = stack_push(cpu, KIOCB_SIZE) as KiocbPtr;
  const iter = stack_push(cpu, IOV_ITER_SIZE) as IovIterPtr;
  const bvec = stack_push(cpu, BIO_VEC_SIZE) as BioVecPtr;
  const dir = fop === FOP_READ_ITER ? ITER_DEST : ITER_SOURCE;
  const flags = cpu.config.completion === "poll" ? IOCB_HIPRI : 0;
  init_kiocb(cpu, kiocb, file, pos, flags, 0);
  let map = 0 as IoDmabufMapPtr;
  if (dmabuf) {
    map = get_map(cpu, task);
    iov_iter_dmabuf_map(cpu, iter, dir, map, offset, bytes);
  } else {
    const at = cpu.mem.read(task + PAGES) + offset;
    bvec_set_page(cpu, bvec, at & ~4095, bytes, at & 4095);
    iov_iter_bvec(cpu, iter, dir, bvec, 1, bytes);
  }
  const result = symbol_call(cpu, file_op(cpu, file, fop), kiocb, iter);
  if (dmabuf) io_dmabuf_map_drop(cpu, map);
  stack_pop(cpu, kiocb);
  return result;
}

/** Writes random ranges and reads them back elsewhere in the buffer; returns the number of wrong ones. */
export function verified_io(cpu: Cpu, rounds: number, dmabuf: boolean): number {
  const file = fget(cpu, cpu.mem.read(STATE + FD));
  const pages = cpu.mem.read(task_slot(cpu.id) + PAGES);
  cpu.mem.fetchAdd(STATE + RUNNING, 1);
  let wrong = 0;
  for (let round = 0; round < rounds; round++) {
    const bytes = 512 * (1 + (cpu.random32() % (round % 8 === 0 ? 600 : 16)));
    const from = 4 * (cpu.random32() % 32768);
    const to = BYTES / 2 + 4 * (cpu.random32() % 32768);
    const pos = cpu.id * (1 << 20) + 512 * (cpu.random32() % 1024);
    for (let i = 0; i < bytes; i += 4) cpu.mem.write(pages + from + i, cpu.random32() | 0);
    const written = transfer(cpu, file, FOP_WRITE_ITER, pos, from, bytes, dmabuf);
    const read = transfer(cpu, file, FOP_READ_ITER, pos, to, bytes, dmabuf);
    const equal = cpu.mem.crc32c(pages + from, bytes) === cpu.mem.crc32c(pages + to, bytes);
    if (written !== bytes || read !== bytes || !equal) wrong++;
  }
  fput(cpu, file);
  cpu.mem.fetchSub(STATE + RUNNING, 1);
  return wrong;
}

export interface Rate {
  readonly ios: number;
  readonly failed: number;
  readonly ms: number;
}

/**
 * Random reads of `bytes` in plugged batches, `batch` in flight, for `ms`; with irq or by polling as the
 * machine is configured. `mapping`: dma-buf with the map reference held, or bvecs mapped for each I/O.
 */
export function batched_reads(cpu: Cpu, ms: number, batch: number, bytes: number, dmabuf: boolean): Rate {
  const file = fget(cpu, cpu.mem.read(STATE + FD));
  const task = task_slot(cpu.id);
  const read_iter = file_op(cpu, file, FOP_READ_ITER);
  const iopoll = file_op(cpu, file, FOP_IOPOLL);
  const polled = cpu.config.completion === "poll";
  const stride = KIOCB_SIZE + 8;
  const kiocbs = kzalloc(cpu, stride * batch, GFP_KERNEL);
  const iter = stack_push(cpu, IOV_ITER_SIZE) as IovIterPtr;
  const bvecs = kzalloc(cpu, BIO_VEC_SIZE * batch, GFP_KERNEL);
  const map = dmabuf ? get_map(cpu, task) : (0 as IoDmabufMapPtr);
  const pages = cpu.mem.read(task + PAGES);
  const blocks = (cpu.config.media - bytes) / 512;
  const slots = BYTES / bytes;
  for (let i = 0; i < batch; i++) cpu.mem.write(kiocbs + i * stride + KIOCB_SIZE, task);
  const start = cpu.now();
  let submitted = 0;
  while (cpu.now() - start < ms) {
    const plug = blk_start_plug_nr_ios(cpu, batch);
    for (let i = 0; i < batch; i++) {
      const kiocb = (kiocbs + i * stride) as KiocbPtr;
      const offset = (i % slots) * bytes;
      init_kiocb(cpu, kiocb, file, 512 * (cpu.random32() % blocks), polled ? IOCB_HIPRI : 0, DONE);
      if (dmabuf) iov_iter_dmabuf_map(cpu, iter, ITER_DEST, map, offset, bytes);
      else {
        const bvec = (bvecs + i * BIO_VEC_SIZE) as BioVecPtr;
        bvec_set_page(cpu, bvec, pages + offset, bytes, 0);
        iov_iter_bvec(cpu, iter, ITER_DEST, bvec, 1, bytes);
      }
      if (symbol_call(cpu, read_iter, kiocb, iter) === -EIOCBQUEUED) submitted++;
    }
    blk_finish_plug(cpu, plug);
    while (cpu.mem.loadAcquire(task + COMPLETED) !== submitted) {
      if (polled) symbol_call(cpu, iopoll, kiocbs);
      else {
        set_current_state(cpu, TASK_UNINTERRUPTIBLE);
        if (cpu.mem.loadAcquire(task + COMPLETED) !== submitted) schedule(cpu);
        set_current_state(cpu, 0);
      }
    }
  }
  const elapsed = cpu.now() - start;
  if (dmabuf) io_dmabuf_map_drop(cpu, map);
  stack_pop(cpu, iter);
  kfree(cpu, kiocbs);
  kfree(cpu, bvecs);
  fput(cpu, file);
  return { ios: submitted, failed: cpu.mem.read(task + FAILED), ms: elapsed };
}

/** The exporter: invalidates everybody's maps, again and again, while the tasks run. */
export function invalidate(cpu: Cpu): number {
  let count = 0;
  while (count < 3 || cpu.mem.loadAcquire(STATE + RUNNING) !== 0) {
    for (let id = 0; id < cpu.config.cpus; id++) {
      const dmabuf = cpu.mem.read(task_slot(id) + DMABUF) as DmaBufPtr;
      dma_resv_lock(cpu, dma_buf_resv(cpu, dmabuf), 0);
      dma_buf_invalidate_mappings(cpu, dmabuf);
      dma_resv_unlock(cpu, dma_buf_resv(cpu, dmabuf));
      count++;
    }
    set_current_state(cpu, TASK_UNINTERRUPTIBLE);
    schedule_timeout(cpu, 1);
  }
  return count;
}

export interface DriverEnd {
  readonly leaked: number;
  readonly dma: DmaCounters;
}

export function tear_down(cpu: Cpu): DriverEnd {
  for (let id = 0; id < cpu.config.cpus; id++) {
    const task = task_slot(id);
    io_dmabuf_token_release(cpu, cpu.mem.read(task + TOKEN) as IoDmabufTokenPtr);
    dma_buf_put(cpu, cpu.mem.read(task + DMABUF) as DmaBufPtr);
    free_pages(cpu, cpu.mem.read(task + PAGES), ORDER);
  }
  for (let round = 0; round < 4; round++) {
    rcu_barrier(cpu);
    flush_workqueue(cpu, system_wq(cpu));
  }
  close_fd(cpu, cpu.mem.read(STATE + FD));
  nvme_remove(cpu);
  rcu_barrier(cpu);
  bio_alloc_cache_destroy(cpu);
  return { leaked: kmem_in_use(cpu) - cpu.mem.read(STATE + BEFORE), dma: dma_counters(cpu) };
}
