/**
 * What the blk-mq cases share: a RAM disk, requests without a bio whose ends are counted, and waiting with a limit.
 *
 * Interface: body 0 does `add_disk`, then t.meet(); the others use disk_queue(cpu); at the end t.meet() and body 0
 * does ram_disk_remove.
 */
import { bdev_get_queue, disk_part0 } from "@ringside/core/block/disk";
import { RQ_END_IO_FREE } from "@ringside/core/block/complete";
import { blk_execute_rq, blk_execute_rq_nowait, blk_mq_alloc_request } from "@ringside/core/block/execute";
import { blk_mq_free_request } from "@ringside/core/block/complete";
import { HCTX_TYPE_DEFAULT, queue_hctx, type RequestQueuePtr } from "@ringside/core/block/queue";
import {
  type HctxPtr,
  hctx_tags,
  type RequestPtr,
  rq_end_io_data,
  rq_set_end_io,
} from "@ringside/core/block/request";
import { blk_mq_tags_busy } from "@ringside/core/block/tags";
import { IS_ERR } from "@ringside/core/debug/errno";
import { kernel_symbol } from "@ringside/core/debug/image";
import type { Cpu } from "@ringside/core/sched/cpu";
import { msleep } from "@ringside/core/sched/delay";
import { ram_disk, ram_disk_add, type RamDiskOptions } from "@ringside/core/testing/ram-disk";
import type { Checks } from "../checks.ts";

/** An operation without data: REQ_OP_DRV_IN. */
export const OP = 34;
/** Longer than anything here takes, unless it hangs. */
const LIMIT_MS = 10_000;

/** In the scratch memory: words for the cases, then slots of {how often the request ended, its status}. */
export const WORDS = 0;
const SLOTS = 2048;

export function word(t: Checks, i: number): number {
  return t.scratch + WORDS + 128 * i;
}

export function slot(t: Checks, i: number): number {
  return t.scratch + SLOTS + 8 * i;
}

export function add_disk(cpu: Cpu, t: Checks, options: RamDiskOptions): RequestQueuePtr {
  const disk = ram_disk_add(cpu, options);
  t.ok(!IS_ERR(disk), "the disk is there");
  return disk_queue(cpu);
}

export function disk_queue(cpu: Cpu): RequestQueuePtr {
  return bdev_get_queue(cpu, disk_part0(ram_disk(cpu)));
}

/** Tags in use of the first hardware queue. */
export function busy(cpu: Cpu): number {
  return blk_mq_tags_busy(
    cpu,
    hctx_tags(cpu, queue_hctx(cpu, disk_queue(cpu), HCTX_TYPE_DEFAULT, 0) as HctxPtr),
  );
}

const NOTE_END = kernel_symbol(blk_mq_case_end_io);
function blk_mq_case_end_io(cpu: Cpu, rq: RequestPtr, status: number): number {
  const at = rq_end_io_data(cpu, rq);
  cpu.mem.write(at + 4, status);
  cpu.mem.fetchAdd(at, 1);
  return RQ_END_IO_FREE;
}

/** A request whose end is noted in slot `i`; or ERR_PTR. */
export function make(cpu: Cpu, t: Checks, q: RequestQueuePtr, i: number, flags: number = 0): RequestPtr {
  const rq = blk_mq_alloc_request(cpu, q, OP, flags);
  if (!IS_ERR(rq)) rq_set_end_io(cpu, rq, NOTE_END, slot(t, i));
  return rq;
}

/** Makes and sends it. */
export function send(cpu: Cpu, t: Checks, q: RequestQueuePtr, i: number): RequestPtr {
  const rq = make(cpu, t, q, i);
  if (t.ok(!IS_ERR(rq), "a request")) blk_execute_rq_nowait(cpu, rq, false);
  return rq;
}

/** Sends one and waits: its status, or -errno. */
export function execute(cpu: Cpu, q: RequestQueuePtr): number {
  const rq = blk_mq_alloc_request(cpu, q, OP, 0);
  if (IS_ERR(rq)) return rq;
  const status = blk_execute_rq(cpu, rq, false);
  blk_mq_free_request(cpu, rq);
  return status;
}

export function ends(cpu: Cpu, t: Checks, i: number): number {
  return cpu.mem.loadAcquire(slot(t, i));
}
export function status_of(cpu: Cpu, t: Checks, i: number): number {
  return cpu.mem.read(slot(t, i) + 4);
}

/** Waits until the word is at least `value`; false when that takes too long. */
export function wait_word(cpu: Cpu, at: number, value: number, ms: number = LIMIT_MS): boolean {
  const limit = cpu.now() + ms;
  while (cpu.mem.loadAcquire(at) < value) {
    if (cpu.now() > limit) return false;
    msleep(cpu, 1);
  }
  return true;
}

/** Waits until the request of slot `i` has ended, and checks that it did so once. Its status, or -1. */
export function wait_end(cpu: Cpu, t: Checks, i: number): number {
  if (!t.ok(wait_word(cpu, slot(t, i), 1), `request ${i} ends`)) return -1;
  t.equal(ends(cpu, t, i), 1, `ends of request ${i}`);
  return status_of(cpu, t, i);
}
