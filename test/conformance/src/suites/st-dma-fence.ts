/**
 * st-dma-fence: drivers/dma-buf/st-dma-fence.c, the checks of its KUnit form (default wait, lock of the fence's own),
 * under the names of the selftest. What a fence is: signaled once, callbacks once or never, errors, waits.
 */
import { EIO } from "@ringside/core/debug/errno";
import { kernel_symbol } from "@ringside/core/debug/image";
import {
  dma_fence_add_callback,
  DMA_FENCE_CB_SIZE,
  dma_fence_check_and_signal,
  dma_fence_enable_signaling,
  dma_fence_get_status,
  dma_fence_get_stub,
  dma_fence_is_signaled,
  dma_fence_ops,
  dma_fence_put,
  dma_fence_remove_callback,
  dma_fence_set_error,
  dma_fence_signal,
  dma_fence_test_signaled_flag,
  dma_fence_wait_timeout,
  type DmaFenceCbPtr,
  type DmaFencePtr,
} from "@ringside/core/dma/fence";
import { mock_fence } from "@ringside/core/dma/testing/mock-fence";
import { type Cpu, stack_pop, stack_push } from "@ringside/core/sched/cpu";
import {
  mod_timer,
  TIMER_SIZE,
  timer_delete_sync,
  timer_pending,
  timer_setup,
  type TimerPtr,
} from "@ringside/core/sched/timer";
import type { Checks } from "../checks.ts";
import type { Suite } from "../suite.ts";
import { race_signal_callback } from "./st-dma-fence-race.ts";

/** struct simple_cb. */
const SEEN = DMA_FENCE_CB_SIZE;
const SIMPLE_CB_SIZE = DMA_FENCE_CB_SIZE + 4;
const SIMPLE_CALLBACK = kernel_symbol(simple_callback);

function simple_callback(cpu: Cpu, _fence: number, cb: number): void {
  cpu.mem.fetchAdd(cb + SEEN, 1);
}

/** A fresh fence somebody is interested in; 0 fails the case. */
function enabled_fence(cpu: Cpu, t: Checks): DmaFencePtr {
  const fence = mock_fence(cpu, 0, 0);
  if (t.ok(fence !== 0, "memory for a fence")) dma_fence_enable_signaling(cpu, fence);
  return fence;
}

function sanitycheck(cpu: Cpu, t: Checks): void {
  const fence = enabled_fence(cpu, t);
  dma_fence_signal(cpu, fence);
  dma_fence_put(cpu, fence);
}

function test_signaling(cpu: Cpu, t: Checks): void {
  const fence = enabled_fence(cpu, t);
  t.ok(!dma_fence_is_signaled(cpu, fence), "a new fence is not signaled");
  t.ok(!dma_fence_check_and_signal(cpu, fence), "the first signal is the first");
  t.ok(dma_fence_is_signaled(cpu, fence), "a signaled fence is signaled");
  t.ok(dma_fence_test_signaled_flag(cpu, fence), "its flag says so");
  t.ok(dma_fence_check_and_signal(cpu, fence), "the second signal is not the first");
  t.equal(dma_fence_ops(cpu, fence), 0, "operations of a signaled fence");
  dma_fence_put(cpu, fence);
}

/** A callback cell on the stack. */
function push_cb(cpu: Cpu): DmaFenceCbPtr {
  return stack_push(cpu, SIMPLE_CB_SIZE) as DmaFenceCbPtr;
}

function end(cpu: Cpu, fence: DmaFencePtr, cb: DmaFenceCbPtr): void {
  dma_fence_put(cpu, fence);
  stack_pop(cpu, cb);
}

function test_add_callback(cpu: Cpu, t: Checks): void {
  const cb = push_cb(cpu);
  const fence = mock_fence(cpu, 0, 0);
  t.equal(dma_fence_add_callback(cpu, fence, cb, SIMPLE_CALLBACK), 0, "adding a callback in time");
  t.equal(cpu.mem.read(cb + SEEN), 0, "runs before the signal");
  dma_fence_signal(cpu, fence);
  t.equal(cpu.mem.read(cb + SEEN), 1, "runs after the signal");
  end(cpu, fence, cb);
}

function test_late_add_callback(cpu: Cpu, t: Checks): void {
  const cb = push_cb(cpu);
  const fence = enabled_fence(cpu, t);
  dma_fence_signal(cpu, fence);
  const added = dma_fence_add_callback(cpu, fence, cb, SIMPLE_CALLBACK) === 0;
  t.ok(!added, "a signaled fence took a callback");
  dma_fence_signal(cpu, fence);
  t.equal(cpu.mem.read(cb + SEEN), 0, "runs of a refused callback");
  end(cpu, fence, cb);
}

function test_rm_callback(cpu: Cpu, t: Checks): void {
  const cb = push_cb(cpu);
  const fence = mock_fence(cpu, 0, 0);
  t.equal(dma_fence_add_callback(cpu, fence, cb, SIMPLE_CALLBACK), 0, "adding a callback in time");
  t.ok(dma_fence_remove_callback(cpu, fence, cb), "a callback that waits was not removed");
  dma_fence_signal(cpu, fence);
  t.equal(cpu.mem.read(cb + SEEN), 0, "runs of a removed callback");
  end(cpu, fence, cb);
}

function test_late_rm_callback(cpu: Cpu, t: Checks): void {
  const cb = push_cb(cpu);
  const fence = mock_fence(cpu, 0, 0);
  t.equal(dma_fence_add_callback(cpu, fence, cb, SIMPLE_CALLBACK), 0, "adding a callback in time");
  dma_fence_signal(cpu, fence);
  t.equal(cpu.mem.read(cb + SEEN), 1, "runs after the signal");
  t.ok(!dma_fence_remove_callback(cpu, fence, cb), "a callback that ran was removed");
  end(cpu, fence, cb);
}

function test_status(cpu: Cpu, t: Checks): void {
  const fence = enabled_fence(cpu, t);
  t.equal(dma_fence_get_status(cpu, fence), 0, "status before the signal");
  dma_fence_signal(cpu, fence);
  t.equal(dma_fence_get_status(cpu, fence), 1, "status after the signal");
  dma_fence_put(cpu, fence);
}

function test_error(cpu: Cpu, t: Checks): void {
  const fence = enabled_fence(cpu, t);
  dma_fence_set_error(cpu, fence, -EIO);
  t.equal(dma_fence_get_status(cpu, fence), 0, "status before the signal");
  dma_fence_signal(cpu, fence);
  t.equal(dma_fence_get_status(cpu, fence), -EIO, "status after the signal");
  dma_fence_put(cpu, fence);
}

function test_wait(cpu: Cpu, t: Checks): void {
  const fence = enabled_fence(cpu, t);
  t.equal(dma_fence_wait_timeout(cpu, fence, false, 0), 0, "a wait of 0 before the signal");
  dma_fence_signal(cpu, fence);
  t.equal(dma_fence_wait_timeout(cpu, fence, false, 0), 1, "a wait of 0 after the signal");
  dma_fence_put(cpu, fence);
}

/** struct wait_timer. */
const FENCE = TIMER_SIZE;
const WAIT_TIMER = kernel_symbol(wait_timer);

function wait_timer(cpu: Cpu, timer: number): void {
  dma_fence_signal(cpu, cpu.mem.read(timer + FENCE) as DmaFencePtr);
}

function test_wait_timeout(cpu: Cpu, t: Checks): void {
  const timer = stack_push(cpu, TIMER_SIZE + 8) as TimerPtr;
  const fence = enabled_fence(cpu, t);
  timer_setup(cpu, timer, WAIT_TIMER);
  cpu.mem.write(timer + FENCE, fence);
  t.equal(dma_fence_wait_timeout(cpu, fence, false, 1), 0, "a wait that nobody ends");
  mod_timer(cpu, timer, cpu.now() + 1);
  // HZ jiffies; and what the public test excuses, a timer that did not fire in all that time.
  const left = dma_fence_wait_timeout(cpu, fence, false, 1000);
  t.ok(left > 0 || timer_pending(cpu, timer), "the timer fired and the wait ran out");
  timer_delete_sync(cpu, timer);
  dma_fence_signal(cpu, fence);
  dma_fence_put(cpu, fence);
  stack_pop(cpu, timer);
}

const STUBS = 64;

function test_stub(cpu: Cpu, t: Checks): void {
  for (let i = 0; i < STUBS; i++) {
    const stub = dma_fence_get_stub(cpu);
    t.ok(dma_fence_is_signaled(cpu, stub), "a stub is signaled");
    cpu.mem.write(t.scratch + i * 4, stub);
  }
  for (let i = 0; i < STUBS; i++) dma_fence_put(cpu, cpu.mem.read(t.scratch + i * 4) as DmaFencePtr);
}

export const suite: Suite = {
  name: "st-dma-fence",
  source: "drivers/dma-buf/st-dma-fence.c",
  cases: [
    { name: "sanitycheck", bodies: [sanitycheck] },
    { name: "test_signaling", bodies: [test_signaling] },
    { name: "test_add_callback", bodies: [test_add_callback] },
    { name: "test_late_add_callback", bodies: [test_late_add_callback] },
    { name: "test_rm_callback", bodies: [test_rm_callback] },
    { name: "test_late_rm_callback", bodies: [test_late_rm_callback] },
    { name: "test_status", bodies: [test_status] },
    { name: "test_error", bodies: [test_error] },
    { name: "test_wait", bodies: [test_wait] },
    { name: "test_wait_timeout", bodies: [test_wait_timeout] },
    { name: "test_stub", bodies: [test_stub] },
    // 50 ms in each of two modes.
    { name: "race_signal_callback", bodies: [race_signal_callback, race_signal_callback], seconds: 0.1 },
  ],
};
