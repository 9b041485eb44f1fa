/**
 * The stress tests of tools/testing/selftests/sync: two threads that hand a counter to and fro over one timeline, five
 * producers that a consumer waits for together, and many random merges.
 */
import {
  FENCE_STATUS_ACTIVE,
  FENCE_STATUS_ERROR,
  sw_sync_fence_create,
  sw_sync_fence_destroy,
  sw_sync_fence_is_valid,
  sw_sync_timeline_create,
  sw_sync_timeline_destroy,
  sw_sync_timeline_inc,
  sw_sync_timeline_is_valid,
  sync_fence_count_with_status,
  sync_fence_size,
  sync_merge,
  sync_wait,
} from "@ringside/core/dma/sync-user";
import { spin_lock, spin_unlock } from "@ringside/core/lock/spinlock";
import type { Cpu } from "@ringside/core/sched/cpu";
import { cond_resched } from "@ringside/core/sched/schedule";
import { msleep } from "@ringside/core/sched/delay";
import type { Checks } from "../checks.ts";
import type { Body } from "../suite.ts";

// In the scratch memory. COUNTER is plain: the fences order the accesses, or it gets damaged.
const COUNTER = 0;
/** A body failed: all end. */
const FAILED = 128;
const LOCK = 256;
const TIMELINES = 384;

function fail(cpu: Cpu, t: Checks): void {
  cpu.mem.storeRelease(t.scratch + FAILED, 1);
}
function failed(cpu: Cpu, t: Checks): boolean {
  return cpu.mem.loadAcquire(t.scratch + FAILED) !== 0;
}

function new_fence(cpu: Cpu, t: Checks, timeline: number, value: number): number {
  const fence = sw_sync_fence_create(cpu, timeline, "fence", value);
  t.ok(sw_sync_fence_is_valid(cpu, fence), "Failure allocating fence");
  return fence;
}

function timeline_at(cpu: Cpu, t: Checks, i: number): number {
  return cpu.mem.read(t.scratch + TIMELINES + i * 4);
}

/** Body 0 makes `count` timelines; all bodies meet when they are there. */
function make_timelines(cpu: Cpu, t: Checks, count: number): void {
  for (let i = 0; i < count && t.index === 0; i++) {
    const timeline = sw_sync_timeline_create(cpu);
    t.ok(sw_sync_timeline_is_valid(cpu, timeline), "Failure allocating timeline");
    cpu.mem.write(t.scratch + TIMELINES + i * 4, timeline);
  }
  t.meet();
}

function destroy_timelines(cpu: Cpu, t: Checks, count: number): void {
  t.meet();
  for (let i = 0; i < count && t.index === 0; i++) {
    sw_sync_timeline_destroy(cpu, timeline_at(cpu, t, i));
  }
}

/** An endless sync_wait that a failure elsewhere ends. */
function wait_for(cpu: Cpu, t: Checks, fence: number): boolean {
  for (;;) {
    const ready = sync_wait(cpu, fence, 1000);
    if (ready > 0) return true;
    if (ready < 0 || failed(cpu, t)) return false;
  }
}

const HANDOVERS_A_SECOND = 1024;

/** sync_stress_parallelism.c: the threads take turns by waiting for 2i and 2i+1. */
export function stress_two_threads_shared_timeline(cpu: Cpu, t: Checks): void {
  make_timelines(cpu, t, 1);
  const timeline = timeline_at(cpu, t, 0);
  const iterations = Math.ceil(HANDOVERS_A_SECOND * t.seconds);
  const counter = t.scratch + COUNTER;
  for (let i = 0; i < iterations && !failed(cpu, t); i++) {
    const turn = i * 2 + t.index;
    const fence = new_fence(cpu, t, timeline, turn);
    let good = t.ok(wait_for(cpu, t, fence), "Problem occurred on prior thread");
    if (good) good = t.equal(cpu.mem.read(counter), turn, "Counter got damaged!");
    if (!good) fail(cpu, t);
    cpu.mem.write(counter, turn + 1);
    t.equal(sw_sync_timeline_inc(cpu, timeline, 1), 0, "Advancing timeline");
    sw_sync_fence_destroy(cpu, fence);
  }
  t.meet();
  t.equal(cpu.mem.read(counter), iterations * 2, "the counter at the end");
  t.note(`CPU ${t.index}: ${iterations} rounds`);
  destroy_timelines(cpu, t, 1);
}

const PRODUCERS = 5;
const CONSUMER_TIMELINE = PRODUCERS;
const ROUNDS_A_SECOND = 96;
/** As many looks as that, and a rest: threads outnumber cores. */
const LOOKS = 16;

function rounds(t: Checks): number {
  // Not a multiple of 8, so that each kind of waiting is used by somebody.
  const count = Math.ceil(ROUNDS_A_SECOND * t.seconds);
  return count % 8 === 0 ? count + 1 : count;
}

/** busy_wait_on_fence: by asking, again and again. */
function busy_wait(cpu: Cpu, t: Checks, fence: number): boolean {
  for (let look = 1; !failed(cpu, t); look++) {
    const errors = sync_fence_count_with_status(cpu, fence, FENCE_STATUS_ERROR);
    if (!t.equal(errors, 0, "errors on the fence")) return false;
    if (sync_fence_count_with_status(cpu, fence, FENCE_STATUS_ACTIVE) === 0) return true;
    if (look % LOOKS === 0) msleep(cpu, 1);
    cond_resched(cpu);
  }
  return false;
}

function wait_somehow(cpu: Cpu, t: Checks, fence: number, busy: boolean): void {
  const done = busy ? busy_wait(cpu, t, fence) : wait_for(cpu, t, fence);
  if (!t.ok(done, "Failure waiting on fence")) fail(cpu, t);
}

/** Waits for the consumer, counts, tells it. */
function producer(cpu: Cpu, t: Checks): void {
  make_timelines(cpu, t, 0);
  const id = t.index - 1;
  const iterations = rounds(t);
  for (let i = 0; i < iterations && !failed(cpu, t); i++) {
    const fence = new_fence(cpu, t, timeline_at(cpu, t, CONSUMER_TIMELINE), i);
    wait_somehow(cpu, t, fence, (iterations + id) % 8 === 0);
    spin_lock(cpu, t.scratch + LOCK);
    cpu.mem.write(t.scratch + COUNTER, cpu.mem.read(t.scratch + COUNTER) + 1);
    spin_unlock(cpu, t.scratch + LOCK);
    t.equal(sw_sync_timeline_inc(cpu, timeline_at(cpu, t, id), 1), 0, "Advancing the producer's timeline");
    sw_sync_fence_destroy(cpu, fence);
  }
  destroy_timelines(cpu, t, 0);
}

/** Waits for all producers at once, finds as many counts, lets them go on. */
function consumer(cpu: Cpu, t: Checks): void {
  make_timelines(cpu, t, PRODUCERS + 1);
  const iterations = rounds(t);
  for (let it = 1; it <= iterations && !failed(cpu, t); it++) {
    const fence = merge_producers(cpu, t, it);
    wait_somehow(cpu, t, fence, it % 8 === 0);
    // Nobody counts now: all wait for us.
    const counter = cpu.mem.read(t.scratch + COUNTER);
    if (!t.equal(counter, PRODUCERS * it, "the counter")) fail(cpu, t);
    const consumer_timeline = timeline_at(cpu, t, CONSUMER_TIMELINE);
    t.equal(sw_sync_timeline_inc(cpu, consumer_timeline, 1), 0, "Releasing producer threads");
    sw_sync_fence_destroy(cpu, fence);
  }
  t.note(`${iterations} rounds`);
  destroy_timelines(cpu, t, PRODUCERS + 1);
}

function merge_producers(cpu: Cpu, t: Checks, value: number): number {
  let fence = new_fence(cpu, t, timeline_at(cpu, t, 0), value);
  for (let i = 1; i < PRODUCERS; i++) {
    const one = new_fence(cpu, t, timeline_at(cpu, t, i), value);
    const merged = sync_merge(cpu, "name", one, fence);
    sw_sync_fence_destroy(cpu, one);
    sw_sync_fence_destroy(cpu, fence);
    fence = merged;
  }
  t.ok(sw_sync_fence_is_valid(cpu, fence), "Failure merging fences");
  return fence;
}

export const CONSUMER_BODIES: readonly Body[] = [consumer, producer, producer, producer, producer, producer];

const TIMELINE_COUNT = 32;
const MERGES_A_SECOND = 512;
/** Where in the scratch memory the last point on each timeline is. */
const LAST_POINT = 1024;

/** sync_stress_merge.c: one fence of so many random points is as large as there are timelines in it. */
export function merge_stress_random_merge(cpu: Cpu, t: Checks): void {
  const last = t.scratch + LAST_POINT;
  make_timelines(cpu, t, TIMELINE_COUNT);
  for (let i = 0; i < TIMELINE_COUNT; i++) cpu.mem.write(last + i * 4, -1);
  // Signaled from the start, so it does not count: it is left out of the first merge.
  let fence = new_fence(cpu, t, timeline_at(cpu, t, 0), 0);
  for (let i = Math.ceil(MERGES_A_SECOND * t.seconds); i > 0; i--) {
    const offset = cpu.random32() % TIMELINE_COUNT;
    const point = 1 + (cpu.random32() % 0x7ffffffe);
    cpu.mem.write(last + offset * 4, Math.max(cpu.mem.read(last + offset * 4), point));
    const one = new_fence(cpu, t, timeline_at(cpu, t, offset), point);
    const merged = sync_merge(cpu, "merge", one, fence);
    sw_sync_fence_destroy(cpu, one);
    sw_sync_fence_destroy(cpu, fence);
    fence = merged;
    if (!t.ok(sw_sync_fence_is_valid(cpu, merged), "Failure creating fence i")) break;
    cond_resched(cpu);
  }
  t.equal(sync_fence_size(cpu, fence), timelines_used(cpu, last), "Quantity of elements");
  for (let i = 0; i < TIMELINE_COUNT; i++) {
    const point = cpu.mem.read(last + i * 4);
    if (point < 0) continue;
    t.equal(sync_wait(cpu, fence, 0), 0, "waiting on fence until timeout");
    sw_sync_timeline_inc(cpu, timeline_at(cpu, t, i), point);
  }
  t.ok(sync_wait(cpu, fence, 0) > 0, "Failure triggering fence");
  sw_sync_fence_destroy(cpu, fence);
  destroy_timelines(cpu, t, TIMELINE_COUNT);
}

function timelines_used(cpu: Cpu, last: number): number {
  let used = 0;
  for (let i = 0; i < TIMELINE_COUNT; i++) if (cpu.mem.read(last + i * 4) >= 0) used++;
  return used;
}
