/**
 * A pipelined move, as amdgpu does it: the reservation is dropped at once, with a move fence in it at KERNEL
 * usage; a work item waits for the fences that were there before, copies, switches the table and signals.
 *
 * Whoever maps must wait for the move fence first. One who does not gets pages the buffer is about to leave,
 * which map_dma_buf reports (violation "map-during-move").
 *
 * Invariants: while a move fence is pending, the placement is the work item's alone. The work takes no
 * reservation, allocates nothing and drops no reference of the buffer: somebody may hold the reservation and
 * wait for the fence with it. The buffer lives long enough because its release waits for the fence.
 */
import { ENOMEM } from "../../debug/errno.ts";
import { kernel_rodata, kernel_symbol } from "../../debug/image.ts";
import { struct_layout } from "../../debug/layout.ts";
import { kernel_string } from "../../debug/strings.ts";
import { spin_lock_init } from "../../lock/spinlock.ts";
import { GFP_KERNEL, kfree, kzalloc } from "../../mm/slab.ts";
import { type Cpu, stack_pop, stack_push } from "../../sched/cpu.ts";
import { INIT_WORK, queue_work, system_wq, WORK_STRUCT_SIZE } from "../../sched/workqueue.ts";
import {
  dma_fence_init,
  dma_fence_put,
  type DmaFencePtr,
  dma_fence_signal,
  DMA_FENCE_SIZE,
  dma_fence_wait,
} from "../fence.ts";
import {
  dma_resv_add_fence,
  dma_resv_get_fences,
  dma_resv_lock_interruptible,
  dma_resv_reserve_fences,
  dma_resv_unlock,
  DMA_RESV_USAGE_BOOKKEEP,
  DMA_RESV_USAGE_KERNEL,
} from "../resv.ts";
import {
  type PlacementPtr,
  TTM_PL_SYSTEM,
  TTM_PL_VRAM,
  VRAM_FENCE_CTX,
  VRAM_FENCE_SEQ,
  VRAM_MOVES_PENDING,
  vram_nr_pages,
  vram_place,
  vram_relocate,
  vram_resv,
  type VramBufPtr,
} from "./vram-buf.ts";
import { vram_finish_move, vram_may_move, vram_notify_importers } from "./vram-move.ts";

// struct vram_job: the submitter's until it is queued, then the work item's.
const WORK = 0;
const BUF: number = WORK_STRUCT_SIZE;
const FENCE: number = BUF + 4;
const TARGET: number = BUF + 8;
/** Fences to wait for; an array from kmalloc, or 0. */
const WAIT_COUNT: number = BUF + 12;
const WAIT_FENCES: number = BUF + 16;
const JOB_SIZE: number = BUF + 20;

// struct vram_fence
const FENCE_LOCK: number = DMA_FENCE_SIZE;
const VRAM_FENCE_SIZE: number = DMA_FENCE_SIZE + 4;

struct_layout("vram_job", JOB_SIZE, [
  ["work", WORK, WORK_STRUCT_SIZE],
  ["buf", BUF, 4],
  ["fence", FENCE, 4],
  ["target", TARGET, 4],
  ["wait_count", WAIT_COUNT, 4],
  ["wait_fences", WAIT_FENCES, 4],
]);

const DRIVER_NAME = kernel_string("vram");
const TIMELINE_NAME = kernel_string("vram move");

function vram_fence_driver_name(): number {
  return DRIVER_NAME;
}
function vram_fence_timeline_name(): number {
  return TIMELINE_NAME;
}
const vram_fence_ops = kernel_rodata("vram_fence_ops", [
  kernel_symbol(vram_fence_driver_name),
  kernel_symbol(vram_fence_timeline_name),
  0,
  0,
  0,
  0,
]);

/**
 * Starts a move to other pages: of VRAM, or to system memory if `evict`. Returns 0 when the move is on its way
 * (the move fence is in the reservation), -EINTR, -EBUSY, or -ENOMEM with nothing changed.
 */
export function vram_async_move(cpu: Cpu, buf: VramBufPtr, evict: boolean): number {
  const resv = vram_resv(cpu, buf);
  let error = dma_resv_lock_interruptible(cpu, resv, 0);
  if (error < 0) return error;
  error = vram_may_move(cpu, buf);
  if (error === 0) {
    const job = new_job(cpu, buf, evict ? TTM_PL_SYSTEM : TTM_PL_VRAM);
    if (job === 0) error = -ENOMEM;
    else start(cpu, job);
  }
  dma_resv_unlock(cpu, resv);
  return error;
}

/** All memory the move will need; 0 when there is not enough. */
function new_job(cpu: Cpu, buf: VramBufPtr, kind: number): number {
  const nr = vram_nr_pages(cpu, buf);
  const job = kzalloc(cpu, JOB_SIZE, GFP_KERNEL);
  const fence = kzalloc(cpu, VRAM_FENCE_SIZE, GFP_KERNEL);
  const target = job === 0 || fence === 0 ? 0 : vram_place(cpu, nr, kind);
  if (target === 0) {
    if (job !== 0) kfree(cpu, job);
    if (fence !== 0) kfree(cpu, fence);
    return 0;
  }
  cpu.mem.write(job + BUF, buf);
  cpu.mem.write(job + FENCE, fence);
  cpu.mem.write(job + TARGET, target);
  return job;
}

/** Reservation held. */
function start(cpu: Cpu, job: number): void {
  const buf = cpu.mem.read(job + BUF) as VramBufPtr;
  const fence = cpu.mem.read(job + FENCE) as DmaFencePtr;
  const resv = vram_resv(cpu, buf);
  vram_notify_importers(cpu, buf);
  // After the importers: their fences may have used up room that was reserved before.
  if (!snapshot_fences(cpu, job) || dma_resv_reserve_fences(cpu, resv, 1) < 0) {
    move_now(cpu, job);
    return;
  }
  const seqno = cpu.mem.read(buf + VRAM_FENCE_SEQ) + 1;
  cpu.mem.write(buf + VRAM_FENCE_SEQ, seqno);
  spin_lock_init(cpu, fence + FENCE_LOCK, "&fence->lock");
  const context = cpu.mem.read64(buf + VRAM_FENCE_CTX);
  dma_fence_init(cpu, fence, vram_fence_ops, fence + FENCE_LOCK, context, seqno);
  cpu.mem.fetchAdd(buf + VRAM_MOVES_PENDING, 1);
  dma_resv_add_fence(cpu, resv, fence, DMA_RESV_USAGE_KERNEL);
  INIT_WORK(cpu, job + WORK, MOVE_WORK);
  queue_work(cpu, system_wq(cpu), job + WORK);
}

/** What must be done before the copy: everything that is in the reservation now. False: no memory. */
function snapshot_fences(cpu: Cpu, job: number): boolean {
  const buf = cpu.mem.read(job + BUF) as VramBufPtr;
  const out = stack_push(cpu, 8);
  const error = dma_resv_get_fences(cpu, vram_resv(cpu, buf), DMA_RESV_USAGE_BOOKKEEP, out, out + 4);
  if (error === 0) {
    cpu.mem.write(job + WAIT_COUNT, cpu.mem.read(out));
    cpu.mem.write(job + WAIT_FENCES, cpu.mem.read(out + 4));
  }
  stack_pop(cpu, out);
  return error === 0;
}

/** There is no memory for a fence, and importers were told: waits and moves under the lock instead. */
function move_now(cpu: Cpu, job: number): void {
  const buf = cpu.mem.read(job + BUF) as VramBufPtr;
  drop_fences(cpu, job, false);
  vram_finish_move(cpu, buf, cpu.mem.read(job + TARGET) as PlacementPtr);
  kfree(cpu, cpu.mem.read(job + FENCE));
  kfree(cpu, job);
}

/** Puts the fences of the snapshot, each waited for first if `wait`. */
function drop_fences(cpu: Cpu, job: number, wait: boolean): void {
  const fences = cpu.mem.read(job + WAIT_FENCES);
  const count = cpu.mem.read(job + WAIT_COUNT);
  for (let i = 0; i < count; i++) {
    const fence = cpu.mem.read(fences + 4 * i) as DmaFencePtr;
    if (wait) dma_fence_wait(cpu, fence, false);
    dma_fence_put(cpu, fence);
  }
  if (fences !== 0) kfree(cpu, fences);
}

function vram_move_work(cpu: Cpu, job: number): void {
  const buf = cpu.mem.read(job + BUF) as VramBufPtr;
  const fence = cpu.mem.read(job + FENCE) as DmaFencePtr;
  drop_fences(cpu, job, true);
  vram_relocate(cpu, buf, cpu.mem.read(job + TARGET) as PlacementPtr);
  kfree(cpu, job);
  // The table is switched: a map that sees no pending move reads the new one. Before the signal, or an
  // importer that waited as it should could still find the move pending.
  cpu.mem.fetchSub(buf + VRAM_MOVES_PENDING, 1);
  // The buffer's release waits for this: from here on it may be gone.
  dma_fence_signal(cpu, fence);
  dma_fence_put(cpu, fence);
}
const MOVE_WORK = kernel_symbol(vram_move_work);
