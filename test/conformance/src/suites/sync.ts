/**
 * sync: tools/testing/selftests/sync. Timelines, fences and merged fences through descriptors, as a program has them.
 *
 * The threads of the stress tests are bodies on CPUs; they do so many rounds a second of their time, where the selftest
 * has a fixed count (given with each case) that takes a native machine about as long.
 */
import {
  FENCE_STATUS_ACTIVE,
  FENCE_STATUS_SIGNALED,
  sw_sync_fence_create,
  sw_sync_fence_destroy,
  sw_sync_fence_is_valid,
  sw_sync_timeline_create,
  sw_sync_timeline_destroy,
  sw_sync_timeline_inc,
  sw_sync_timeline_is_valid,
  sync_fence_count_with_status,
  sync_merge,
  sync_wait,
} from "@ringside/core/dma/sync-user";
import type { Cpu } from "@ringside/core/sched/cpu";
import type { Checks } from "../checks.ts";
import type { Suite } from "../suite.ts";
import {
  CONSUMER_BODIES,
  merge_stress_random_merge,
  stress_two_threads_shared_timeline,
} from "./sync-stress.ts";

function new_timeline(cpu: Cpu, t: Checks): number {
  const timeline = sw_sync_timeline_create(cpu);
  t.ok(sw_sync_timeline_is_valid(cpu, timeline), "Failure allocating timeline");
  return timeline;
}

function new_fence(cpu: Cpu, t: Checks, timeline: number, value: number): number {
  const fence = sw_sync_fence_create(cpu, timeline, "allocFence", value);
  t.ok(sw_sync_fence_is_valid(cpu, fence), "Failure allocating fence");
  return fence;
}

// sync_alloc.c

function alloc_timeline(cpu: Cpu, t: Checks): void {
  sw_sync_timeline_destroy(cpu, new_timeline(cpu, t));
}

function alloc_fence(cpu: Cpu, t: Checks): void {
  const timeline = new_timeline(cpu, t);
  sw_sync_fence_destroy(cpu, new_fence(cpu, t, timeline, 1));
  sw_sync_timeline_destroy(cpu, timeline);
}

function alloc_fence_negative(cpu: Cpu, t: Checks): void {
  const timeline = sw_sync_timeline_create(cpu);
  t.ok(timeline > 0, "Failure allocating timeline");
  t.ok(sw_sync_fence_create(cpu, -1, "fence", 1) < 0, "Success allocating negative fence");
  sw_sync_timeline_destroy(cpu, timeline);
}

// sync_fence.c

function fence_one_timeline_wait(cpu: Cpu, t: Checks): void {
  const timeline = new_timeline(cpu, t);
  const fence = new_fence(cpu, t, timeline, 5);
  t.equal(sync_wait(cpu, fence, 0), 0, "waiting at 0");
  t.equal(sw_sync_timeline_inc(cpu, timeline, 1), 0, "advancing from 0 to 1");
  t.equal(sync_wait(cpu, fence, 0), 0, "waiting at 1");
  t.equal(sw_sync_timeline_inc(cpu, timeline, 4), 0, "signaling the fence");
  t.ok(sync_wait(cpu, fence, 0) > 0, "Failure waiting on fence");
  t.equal(sw_sync_timeline_inc(cpu, timeline, 10), 0, "going further");
  t.ok(sync_wait(cpu, fence, 0) > 0, "Failure waiting ahead");
  sw_sync_fence_destroy(cpu, fence);
  sw_sync_timeline_destroy(cpu, timeline);
}

function active(cpu: Cpu, fence: number): number {
  return sync_fence_count_with_status(cpu, fence, FENCE_STATUS_ACTIVE);
}
function signaled(cpu: Cpu, fence: number): number {
  return sync_fence_count_with_status(cpu, fence, FENCE_STATUS_SIGNALED);
}

function fence_one_timeline_merge(cpu: Cpu, t: Checks): void {
  const timeline = new_timeline(cpu, t);
  const [a, b, c] = [1, 2, 3].map((value) => new_fence(cpu, t, timeline, value)) as [number, number, number];
  const ab = sync_merge(cpu, "mergeFence", b, a);
  const d = sync_merge(cpu, "mergeFence", c, ab);
  t.ok(sw_sync_fence_is_valid(cpu, d), "Failure merging fences");
  // One timeline: the latest stands for all.
  for (const fence of [a, b, c, d]) t.equal(active(cpu, fence), 1, "active fences of a, b, c, d");
  sw_sync_timeline_inc(cpu, timeline, 1);
  t.equal(signaled(cpu, a), 1, "signaled fences of a");
  t.equal(active(cpu, d), 1, "d signaled too early! active");
  sw_sync_timeline_inc(cpu, timeline, 1);
  t.equal(signaled(cpu, b), 1, "signaled fences of b");
  t.equal(active(cpu, d), 1, "d signaled too early! active");
  sw_sync_timeline_inc(cpu, timeline, 1);
  t.equal(signaled(cpu, c), 1, "signaled fences of c");
  t.equal(active(cpu, d), 0, "active fences of d");
  t.equal(signaled(cpu, d), 1, "signaled fences of d");
  for (const fence of [d, ab, c, b, a]) sw_sync_fence_destroy(cpu, fence);
  sw_sync_timeline_destroy(cpu, timeline);
}

// sync_merge.c

function fence_merge_same_fence(cpu: Cpu, t: Checks): void {
  const timeline = new_timeline(cpu, t);
  const fence = new_fence(cpu, t, timeline, 5);
  const merged = sync_merge(cpu, "mergeFence", fence, fence);
  t.ok(sw_sync_fence_is_valid(cpu, merged), "Failure merging fence");
  t.equal(signaled(cpu, merged), 0, "fence signaled too early! signaled");
  sw_sync_timeline_inc(cpu, timeline, 5);
  t.equal(signaled(cpu, merged), 1, "signaled fences of the merged one");
  sw_sync_fence_destroy(cpu, merged);
  sw_sync_fence_destroy(cpu, fence);
  sw_sync_timeline_destroy(cpu, timeline);
}

// sync_wait.c

function fence_multi_timeline_wait(cpu: Cpu, t: Checks): void {
  const timelines = [new_timeline(cpu, t), new_timeline(cpu, t), new_timeline(cpu, t)];
  const [a, b, c] = timelines.map((timeline) => new_fence(cpu, t, timeline, 5)) as [number, number, number];
  const ab = sync_merge(cpu, "mergeFence", b, a);
  const merged = sync_merge(cpu, "mergeFence", c, ab);
  t.ok(sw_sync_fence_is_valid(cpu, merged), "Failure merging fence from various timelines");
  t.equal(active(cpu, merged), 3, "Fence signaled too early! active");
  t.equal(sync_wait(cpu, merged, 0), 0, "waiting on fence until timeout");
  for (const [i, timeline] of timelines.entries()) {
    t.equal(sw_sync_timeline_inc(cpu, timeline, 5), 0, "advancing a timeline");
    t.equal(active(cpu, merged), 2 - i, "active fences");
    t.equal(signaled(cpu, merged), 1 + i, "signaled fences");
  }
  t.ok(sync_wait(cpu, merged, 100) > 0, "Failure waiting on signaled fence");
  for (const fence of [merged, ab, c, b, a]) sw_sync_fence_destroy(cpu, fence);
  for (const timeline of timelines) sw_sync_timeline_destroy(cpu, timeline);
}

export const suite: Suite = {
  name: "sync",
  source: "tools/testing/selftests/sync",
  cases: [
    { name: "alloc_timeline", bodies: [alloc_timeline] },
    { name: "alloc_fence", bodies: [alloc_fence] },
    { name: "alloc_fence_negative", bodies: [alloc_fence_negative] },
    { name: "fence_one_timeline_wait", bodies: [fence_one_timeline_wait] },
    { name: "fence_one_timeline_merge", bodies: [fence_one_timeline_merge] },
    { name: "fence_merge_same_fence", bodies: [fence_merge_same_fence] },
    { name: "fence_multi_timeline_wait", bodies: [fence_multi_timeline_wait] },
    {
      name: "stress_two_threads_shared_timeline",
      // 65536 rounds there.
      bodies: [stress_two_threads_shared_timeline, stress_two_threads_shared_timeline],
      seconds: 4,
    },
    {
      name: "consumer_stress_multi_producer_single_consumer",
      // 4096 rounds there.
      bodies: CONSUMER_BODIES,
      seconds: 4,
    },
    {
      name: "merge_stress_random_merge",
      // 32768 merges there.
      bodies: [merge_stress_random_merge],
      seconds: 4,
    },
  ],
};
