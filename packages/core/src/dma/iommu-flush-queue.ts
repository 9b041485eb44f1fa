/**
 * The flush queue of lazy mode (drivers/iommu/dma-iommu.c, the fq_* functions): unmapped I/O addresses are
 * parked until a flush that began after their entries were cleared is acknowledged. Flushes are asked for once
 * per FQ_BATCH addresses, or by a timer, so an unmap hardly ever waits.
 *
 * The price is lazy mode's known hole: until that flush, the device may still use the old translation, while
 * the memory behind it may already be someone else's. What never happens: the I/O address itself is reused.
 *
 * Interface: queue_iova for each unmapped range; fq_drain before the domain goes.
 */
import { kernel_symbol } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { spin_lock_init, spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import type { Cpu } from "../sched/cpu.ts";
import {
  mod_timer,
  timer_delete_sync,
  TIMER_HOUSEKEEPING,
  type TimerPtr,
  timer_setup,
  TIMER_SIZE,
} from "../sched/timer.ts";
import {
  iommu_flush_acked,
  iommu_flush_covers,
  iommu_flush_next,
  iommu_flush_post,
  iommu_flush_wait,
} from "./iommu-flush.ts";
import { type Iova, iova_free } from "./iova.ts";

/** Parked ranges at most (IOVA_FQ_SIZE is 256 per CPU). */
export const FQ_ENTRIES = 128;
/** Ranges that share a flush: a quarter of the queue, so that it never fills while the device keeps up. */
const FQ_BATCH = 32;
const FQ_MASK = FQ_ENTRIES - 1;
/**
 * A parked range waits about this long for its flush (IOVA_FQ_TIMEOUT). The timer is the housekeeping CPU's: the one
 * that armed it may leave the kernel for good.
 */
export const FQ_TIMEOUT_MS = 10;

const LOCK = 0;
// Constant after fq_init:
const FLUSH = 8;
const IOVAD = 12;
const TIMER = 16;
// Guarded by LOCK. HEAD and TAIL run freely; entries below POSTED have had their flush asked for.
const HEAD = 40;
const TAIL = 44;
const POSTED = 48;
const TIMER_ON = 52;
const RING = 128;
/** An entry: the range and the number of the first flush that covers it. */
const IOVA = 0;
const PAGES = 4;
const SEQ = 8;
const ENTRY_SIZE = 12;
export const FLUSH_QUEUE_SIZE: number = RING + FQ_ENTRIES * ENTRY_SIZE;

struct_layout("iova_fq", FLUSH_QUEUE_SIZE, [
  ["lock", LOCK, 4],
  ["flush", FLUSH, 4],
  ["iovad", IOVAD, 4],
  ["timer", TIMER, TIMER_SIZE],
  ["head", HEAD, 4],
  ["tail", TAIL, 4],
  ["posted", POSTED, 4],
  ["timer_on", TIMER_ON, 4],
  ["entries", RING, FQ_ENTRIES * ENTRY_SIZE],
]);

export function fq_init(cpu: Cpu, fq: number, flush: number, iovad: number): void {
  spin_lock_init(cpu, fq + LOCK);
  cpu.mem.write(fq + FLUSH, flush);
  cpu.mem.write(fq + IOVAD, iovad);
  timer_setup(cpu, (fq + TIMER) as TimerPtr, FQ_FLUSH_TIMEOUT, TIMER_HOUSEKEEPING);
}

function fq_entry(fq: number, position: number): number {
  return fq + RING + (position & FQ_MASK) * ENTRY_SIZE;
}

/** Frees what an acknowledged flush covers. Lock held. */
function fq_ring_free(cpu: Cpu, fq: number): void {
  const acked = iommu_flush_acked(cpu, cpu.mem.read(fq + FLUSH));
  const tail = cpu.mem.read(fq + TAIL);
  let head = cpu.mem.read(fq + HEAD);
  // Flushes are acknowledged in order, so the first entry that must wait ends it.
  while (head !== tail) {
    const entry = fq_entry(fq, head);
    if (!iommu_flush_covers(acked, cpu.mem.read(entry + SEQ))) break;
    iova_free(cpu, cpu.mem.read(fq + IOVAD), cpu.mem.read(entry + IOVA) as Iova, cpu.mem.read(entry + PAGES));
    head = (head + 1) | 0;
  }
  cpu.mem.write(fq + HEAD, head);
}

/** Asks for the flush of everything parked. Lock held. Returns its number. */
function fq_post(cpu: Cpu, fq: number): number {
  cpu.mem.write(fq + POSTED, cpu.mem.read(fq + TAIL));
  return iommu_flush_post(cpu, cpu.mem.read(fq + FLUSH));
}

/**
 * Makes room for a batch, if need be by waiting for a flush. Lock held on entry and return, not while waiting:
 * others may use up the room meanwhile.
 */
function fq_make_room(cpu: Cpu, fq: number): void {
  for (;;) {
    fq_ring_free(cpu, fq);
    if (((cpu.mem.read(fq + TAIL) - cpu.mem.read(fq + HEAD)) | 0) <= FQ_ENTRIES - FQ_BATCH) return;
    // The oldest entry's batch is full, so its flush has been asked for.
    const seq = cpu.mem.read(fq_entry(fq, cpu.mem.read(fq + HEAD)) + SEQ);
    spin_unlock_irqrestore(cpu, fq + LOCK);
    iommu_flush_wait(cpu, cpu.mem.read(fq + FLUSH), seq);
    spin_lock_irqsave(cpu, fq + LOCK);
  }
}

/** Parks a range whose entries are clear. It is freed after the next flush. */
export function queue_iova(cpu: Cpu, fq: number, iova: Iova, pages: number): void {
  spin_lock_irqsave(cpu, fq + LOCK);
  // Looking for acknowledgements once a batch is enough, and keeps the common unmap short.
  if ((cpu.mem.read(fq + TAIL) & (FQ_BATCH - 1)) === 0) fq_make_room(cpu, fq);
  const tail = cpu.mem.read(fq + TAIL);
  const entry = fq_entry(fq, tail);
  cpu.mem.write(entry + IOVA, iova);
  cpu.mem.write(entry + PAGES, pages);
  // Every flush is posted under LOCK, so one with this number is posted after our entries were cleared, and
  // the device that acknowledges it has seen them clear.
  cpu.mem.write(entry + SEQ, iommu_flush_next(cpu, cpu.mem.read(fq + FLUSH)));
  cpu.mem.write(fq + TAIL, (tail + 1) | 0);
  if (((tail + 1 - cpu.mem.read(fq + POSTED)) | 0) >= FQ_BATCH) fq_post(cpu, fq);
  if (cpu.mem.read(fq + TIMER_ON) === 0) fq_arm(cpu, fq);
  spin_unlock_irqrestore(cpu, fq + LOCK);
}

/** Lock held. */
function fq_arm(cpu: Cpu, fq: number): void {
  cpu.mem.write(fq + TIMER_ON, 1);
  mod_timer(cpu, (fq + TIMER) as TimerPtr, cpu.now() + FQ_TIMEOUT_MS);
}

function fq_flush_timeout(cpu: Cpu, timer: number): void {
  const fq = timer - TIMER;
  spin_lock_irqsave(cpu, fq + LOCK);
  cpu.mem.write(fq + TIMER_ON, 0);
  fq_ring_free(cpu, fq);
  const head = cpu.mem.read(fq + HEAD);
  const tail = cpu.mem.read(fq + TAIL);
  const seq = head === tail ? 0 : fq_post(cpu, fq);
  spin_unlock_irqrestore(cpu, fq + LOCK);
  if (head === tail) return;
  // A device asleep is woken and waited for, as the timer does in Linux: the wait is one answer long.
  iommu_flush_wait(cpu, cpu.mem.read(fq + FLUSH), seq);
  spin_lock_irqsave(cpu, fq + LOCK);
  fq_ring_free(cpu, fq);
  if (cpu.mem.read(fq + HEAD) !== cpu.mem.read(fq + TAIL) && cpu.mem.read(fq + TIMER_ON) === 0)
    fq_arm(cpu, fq);
  spin_unlock_irqrestore(cpu, fq + LOCK);
}
const FQ_FLUSH_TIMEOUT = kernel_symbol(fq_flush_timeout);

/** Frees everything parked. Nobody queues any more. */
export function fq_drain(cpu: Cpu, fq: number): void {
  timer_delete_sync(cpu, (fq + TIMER) as TimerPtr);
  spin_lock_irqsave(cpu, fq + LOCK);
  const seq = fq_post(cpu, fq);
  spin_unlock_irqrestore(cpu, fq + LOCK);
  iommu_flush_wait(cpu, cpu.mem.read(fq + FLUSH), seq);
  spin_lock_irqsave(cpu, fq + LOCK);
  fq_ring_free(cpu, fq);
  spin_unlock_irqrestore(cpu, fq + LOCK);
}
