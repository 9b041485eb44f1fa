/** Bodies for block-threads.test.ts: tasks that read, a task that is the device, a task that freezes. */
import { bio_alloc_cache_destroy } from "../block/bio.ts";
import { bdev_get_queue, disk_part0 } from "../block/disk.ts";
import { bdev_open } from "../block/fops.ts";
import { blk_finish_plug, blk_start_plug_nr_ios } from "../block/plug.ts";
import { blk_mq_freeze_queue, blk_mq_unfreeze_queue } from "../block/freeze.ts";
import { HCTX_TYPE_DEFAULT, queue_hctx, queue_nr_hctx } from "../block/queue.ts";
import { type HctxPtr, hctx_tags } from "../block/request.ts";
import { blk_mq_tags_busy } from "../block/tags.ts";
import { EIOCBQUEUED } from "../debug/errno.ts";
import { kernel_static, kernel_symbol, symbol_call } from "../debug/image.ts";
import { close_fd, fget } from "../fs/fdtable.ts";
import { file_op, type FilePtr, FOP_READ_ITER, fput, O_DIRECT, O_RDWR } from "../fs/file.ts";
import { iov_iter_dmabuf_map, IOV_ITER_SIZE, type IovIterPtr, ITER_DEST } from "../fs/iov-iter.ts";
import { init_kiocb, KIOCB_SIZE, type KiocbPtr } from "../fs/kiocb.ts";
import { GFP_KERNEL, kfree, kmem_in_use, kzalloc } from "../mm/slab.ts";
import { rcu_barrier } from "../rcu/rcu.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
import { cond_resched, schedule_timeout } from "../sched/schedule.ts";
import { set_current_state, TASK_UNINTERRUPTIBLE } from "../sched/task.ts";
import {
  ram_disk,
  ram_disk_add,
  ram_disk_complete,
  ram_disk_defer,
  ram_disk_issued,
  ram_disk_remove,
} from "./ram-disk.ts";

const STATE = kernel_static("block_bodies", 512);
const FD = 0;
const BEFORE = 4;
const READERS = 8;
/** Reads completed, and their bytes. */
const COMPLETED = 128;
const BAD = 256;
const MAPPED = 0;
const BYTES = 512;

const DONE = kernel_symbol(count_completion);
function count_completion(cpu: Cpu, kiocb: KiocbPtr, res: number): void {
  if (res !== BYTES) cpu.mem.fetchAdd(STATE + BAD, 1);
  kfree(cpu, kiocb);
  cpu.mem.fetchAdd(STATE + COMPLETED, 1);
}

export function set_up(cpu: Cpu, readers: number, depth: number): void {
  cpu.mem.write(STATE + BEFORE, kmem_in_use(cpu));
  const disk = ram_disk_add(cpu, { queues: 2, depth });
  ram_disk_defer(cpu, true);
  cpu.mem.write(STATE + FD, bdev_open(cpu, disk, O_RDWR | O_DIRECT));
  cpu.mem.storeRelease(STATE + READERS, readers);
}

/** Reads `count` times, in plugged batches; sleeps whenever the tags are all in use. */
export function read_many(cpu: Cpu, _readers: number, _depth: number, count: number): number {
  const file = fget(cpu, cpu.mem.read(STATE + FD));
  const iter = stack_push(cpu, IOV_ITER_SIZE) as IovIterPtr;
  let queued = 0;
  for (let i = 0; i < count; ) {
    const batch = 1 + (cpu.random32() % 12);
    const plug = blk_start_plug_nr_ios(cpu, batch);
    for (let k = 0; k < batch && i < count; k++, i++) {
      if (read_one(cpu, file, iter) === -EIOCBQUEUED) queued++;
    }
    blk_finish_plug(cpu, plug);
    cond_resched(cpu);
  }
  stack_pop(cpu, iter);
  fput(cpu, file);
  cpu.mem.fetchSub(STATE + READERS, 1);
  return queued;
}

function read_one(cpu: Cpu, file: FilePtr, iter: IovIterPtr): number {
  const kiocb = kzalloc(cpu, KIOCB_SIZE, GFP_KERNEL) as KiocbPtr;
  init_kiocb(cpu, kiocb, file, 512 * (cpu.random32() % 64), 0, DONE);
  iov_iter_dmabuf_map(cpu, iter, ITER_DEST, MAPPED, cpu.map.vram + 4096 * cpu.id, BYTES);
  return symbol_call(cpu, file_op(cpu, file, FOP_READ_ITER), kiocb, iter);
}

function all_done(cpu: Cpu): boolean {
  const completed = cpu.mem.loadAcquire(STATE + COMPLETED);
  return cpu.mem.loadAcquire(STATE + READERS) === 0 && completed === ram_disk_issued(cpu);
}

/** The device: completes what is there, in bursts, until nobody reads any more. */
export function complete_all(cpu: Cpu): void {
  while (!all_done(cpu)) {
    if (ram_disk_complete(cpu, 1 + (cpu.random32() % 20)) === 0) cpu.mem.pause();
    cond_resched(cpu);
  }
}

/** Freezes again and again; returns how often the frozen queue was not empty. */
export function freeze_often(
  cpu: Cpu,
  _readers: number,
  _depth: number,
  _count: number,
  times: number,
): number {
  const q = bdev_get_queue(cpu, disk_part0(ram_disk(cpu)));
  let violations = 0;
  for (let i = 0; i < times; i++) {
    blk_mq_freeze_queue(cpu, q);
    for (let h = 0; h < queue_nr_hctx(cpu, q, HCTX_TYPE_DEFAULT); h++) {
      const tags = hctx_tags(cpu, queue_hctx(cpu, q, HCTX_TYPE_DEFAULT, h) as HctxPtr);
      if (blk_mq_tags_busy(cpu, tags) !== 0) violations++;
    }
    blk_mq_unfreeze_queue(cpu, q);
    set_current_state(cpu, TASK_UNINTERRUPTIBLE);
    schedule_timeout(cpu, 1);
  }
  return violations;
}

export interface BlockEnd {
  readonly completed: number;
  readonly bad: number;
  readonly leaked: number;
}

export function tear_down(cpu: Cpu): BlockEnd {
  close_fd(cpu, cpu.mem.read(STATE + FD));
  ram_disk_remove(cpu);
  rcu_barrier(cpu);
  bio_alloc_cache_destroy(cpu);
  return {
    completed: cpu.mem.read(STATE + COMPLETED),
    bad: cpu.mem.read(STATE + BAD),
    leaked: kmem_in_use(cpu) - cpu.mem.read(STATE + BEFORE),
  };
}
