/**
 * Flushing a device's IOTLB (the invalidation queue and its wait descriptor, drivers/iommu/intel/dmar.c): two
 * sequence numbers. REQUESTED counts flushes asked for, ACKED is the last one the device has carried out. A
 * flush covers the whole IOTLB and one acknowledgement may answer many requests.
 *
 * The chain that makes memory reuse safe, link by link:
 *   host clears the entry -> bumps REQUESTED -> device sees it, forgets its copies, walks only from then on
 *   -> device releases ACKED -> host acquires it -> the I/O address and the page may be used for something else.
 * The device polls between commands and holds no translated address across a poll, so the acknowledgement
 * also says that no DMA through the old translation is under way.
 *
 * A device that does not run (RUNNING is not STARTED) starts with no copies, or looks at REQUESTED before it next uses
 * one: nobody waits for it.
 *
 * Interface, host: `seq = iommu_flush_post(cpu, flush)`, `iommu_flush_wait(cpu, flush, seq)`; safe in any
 * context. Device side: iommu-device.ts.
 */
import { BACKOFF_SLEEP_ROUND, backoff } from "atomics-sync";
import { struct_layout } from "../debug/layout.ts";
import { WARN_ONCE } from "../debug/warn.ts";
import type { Cpu } from "../sched/cpu.ts";
import { in_atomic, schedule_timeout } from "../sched/schedule.ts";
import { kick_task, task_is_sleeping, task_of_cpu, TASK_UNINTERRUPTIBLE } from "../sched/task.ts";
import {
  finish_wait,
  init_waitqueue_head,
  prepare_to_wait,
  wait_entry_push,
  waitqueue_active,
  wake_up_all,
} from "../sched/wait.ts";

// Written by any CPU, read by the device at every poll.
const REQUESTED = 0;
// Written by the device alone.
const ACKED = 128;
// Written by the device when it starts and stops.
const RUNNING = 256;
const DEVICE_CPU = 260;
// Tasks that sleep until ACKED moves; it has its own lock.
const WAITERS = 384;
// How many wait on ACKED itself, since they may not sleep as tasks do.
const SLEEPERS = 400;
export const IOMMU_FLUSH_SIZE = 512;

struct_layout("iommu_flush", IOMMU_FLUSH_SIZE, [
  ["requested", REQUESTED, 4],
  ["acked", ACKED, 4],
  ["running", RUNNING, 4],
  ["device_cpu", DEVICE_CPU, 4],
  ["waiters", WAITERS, 12],
  ["sleepers", SLEEPERS, 4],
]);

/** RUNNING: nobody answers, or will touch these words. */
const STOPPED = 0;
const STARTED = 1;
/** Nobody answers; the device still wakes those who wait. */
const STOPPING = 2;
/** How long a device may take to answer. */
const ANSWER_MS = 10_000;
/** Rounds of backoff that last about ANSWER_MS: nearly all of them sleep 1 ms. */
const BACKOFF_ROUNDS = ANSWER_MS;
const EVERYBODY = 0x7fffffff;

export function iommu_flush_init(cpu: Cpu, flush: number): void {
  init_waitqueue_head(cpu, flush + WAITERS);
}

/** Asks for a flush of what was unmapped before. Returns its number. Does not wait. */
export function iommu_flush_post(cpu: Cpu, flush: number): number {
  // Full order: pairs with the loadAcquire in iommu_flush_requested. A device that sees the number sees the
  // cleared entries; else it could forget its copy, walk, and copy the old entry again.
  return (cpu.mem.fetchAdd(flush + REQUESTED, 1) + 1) | 0;
}

/** The number a flush posted from now on will have at least. */
export function iommu_flush_next(cpu: Cpu, flush: number): number {
  return (cpu.mem.loadAcquire(flush + REQUESTED) + 1) | 0;
}

/** The last flush carried out. If there is nobody to carry them out, asking is enough. */
export function iommu_flush_acked(cpu: Cpu, flush: number): number {
  // REQUESTED before RUNNING, as a host that posts and then looks: see iommu_flush_wait.
  const requested = cpu.mem.loadAcquire(flush + REQUESTED);
  if (cpu.mem.loadAcquire(flush + RUNNING) !== STARTED) return requested;
  // Pairs with the storeRelease in iommu_flush_ack: the page is reused only after the device's last access.
  return cpu.mem.loadAcquire(flush + ACKED);
}

/** Is `acked` flush `seq` or a later one? Numbers wrap. */
export function iommu_flush_covers(acked: number, seq: number): boolean {
  return ((acked - seq) | 0) >= 0;
}

function iommu_flush_done(cpu: Cpu, flush: number, seq: number): boolean {
  return iommu_flush_covers(iommu_flush_acked(cpu, flush), seq);
}

/** Returns when flush `seq` is carried out. Sleeps where that is allowed, else backs off. */
export function iommu_flush_wait(cpu: Cpu, flush: number, seq: number): void {
  // Pairs with the exchange in iommu_flush_start. We bumped REQUESTED (full order), then read RUNNING; the
  // device sets RUNNING (full order), then walks. If we read that it does not run, its walks see our cleared entries.
  if (cpu.mem.loadAcquire(flush + RUNNING) !== STARTED) return;
  const device = task_of_cpu(cpu, cpu.mem.readOnce(flush + DEVICE_CPU));
  // A device announces its sleep, then tests iommu_flush_pending once more: it sees our request, or we see
  // that it sleeps.
  if (task_is_sleeping(cpu, device)) kick_task(cpu, device);
  // An awake device answers within a command or two.
  for (let i = cpu.flush_spin.rounds; i > 0; i--) {
    if (iommu_flush_covers(cpu.mem.loadAcquire(flush + ACKED), seq)) {
      cpu.flush_spin.won();
      return;
    }
    cpu.mem.pause();
  }
  const before = cpu.now();
  // A kick ends also the sleep of a device that does not announce it.
  kick_task(cpu, device);
  const done =
    in_atomic(cpu) || cpu.rcu_nesting !== 0 ? back_off(cpu, flush, seq) : sleep_until_done(cpu, flush, seq);
  cpu.flush_spin.lost(cpu.now() - before);
  WARN_ONCE(cpu, !done, "iommu: the device did not acknowledge an IOTLB flush");
}

/** For interrupt handlers and spinlock holders: no schedule(), but the core is left to the device. */
function back_off(cpu: Cpu, flush: number, seq: number): boolean {
  cpu.mem.fetchAdd(flush + SLEEPERS, 1);
  let round = BACKOFF_SLEEP_ROUND;
  for (let i = 0; i < BACKOFF_ROUNDS; i++) {
    const acked = cpu.mem.loadAcquire(flush + ACKED);
    if (iommu_flush_done(cpu, flush, seq)) break;
    round = backoff(cpu.mem, flush + ACKED, acked, round);
  }
  cpu.mem.fetchSub(flush + SLEEPERS, 1);
  return iommu_flush_done(cpu, flush, seq);
}

function sleep_until_done(cpu: Cpu, flush: number, seq: number): boolean {
  const entry = wait_entry_push(cpu);
  let left = ANSWER_MS;
  for (;;) {
    prepare_to_wait(cpu, flush + WAITERS, entry, TASK_UNINTERRUPTIBLE);
    if (left === 0 || iommu_flush_done(cpu, flush, seq)) break;
    left = schedule_timeout(cpu, left);
  }
  finish_wait(cpu, flush + WAITERS, entry);
  return iommu_flush_done(cpu, flush, seq);
}

/** Before the words are freed: lets a device that is stopping finish. False when one still runs. */
export function iommu_flush_quiesce(cpu: Cpu, flush: number): boolean {
  let round = 0;
  // Pairs with the storeRelease in iommu_flush_stop, the device's last access to these words.
  while (cpu.mem.loadAcquire(flush + RUNNING) === STOPPING) {
    round = backoff(cpu.mem, flush + RUNNING, STOPPING, round);
  }
  return cpu.mem.loadAcquire(flush + RUNNING) === STOPPED;
}

/** Device: the number of the last flush asked for. */
export function iommu_flush_requested(cpu: Cpu, flush: number): number {
  return cpu.mem.loadAcquire(flush + REQUESTED);
}

/** Device: flushes up to `seq` are carried out; wakes who sleeps for one. */
export function iommu_flush_ack(cpu: Cpu, flush: number, seq: number): void {
  cpu.mem.storeRelease(flush + ACKED, seq);
  // Pairs with prepare_to_wait in sleep_until_done: it queues, then reads ACKED; we store ACKED, then look at
  // the queue. One of the two sees the other, or the waiter would sleep on for ANSWER_MS. And with the fetchAdd in
  // back_off, whose sleep would last its whole round.
  cpu.mem.fence();
  if (waitqueue_active(cpu, flush + WAITERS)) wake_up_all(cpu, flush + WAITERS);
  if (cpu.mem.loadAcquire(flush + SLEEPERS) !== 0) cpu.mem.notify(flush + ACKED, EVERYBODY);
}

/** Device: from here on this thread answers. Its IOTLB is empty. Returns the flush it is up to date with. */
export function iommu_flush_start(cpu: Cpu, flush: number): number {
  cpu.mem.writeOnce(flush + DEVICE_CPU, cpu.id);
  cpu.mem.exchange(flush + RUNNING, STARTED);
  const seq = iommu_flush_requested(cpu, flush);
  iommu_flush_ack(cpu, flush, seq);
  return seq;
}

/** Device: this thread translates no more, and touches these words no more. */
export function iommu_flush_stop(cpu: Cpu, flush: number): void {
  cpu.mem.exchange(flush + RUNNING, STOPPING);
  iommu_flush_ack(cpu, flush, iommu_flush_requested(cpu, flush));
  cpu.mem.storeRelease(flush + RUNNING, STOPPED);
}
