/**
 * A fence is signaled while others add callbacks to it, take them off, and wait for it.
 *
 * The rule: a callback that was added runs once, or is removed, never both and never neither; remove says which, and
 * when it says "not removed" the callback has run to its end.
 */
import { kernel_rodata, kernel_static, kernel_symbol } from "@ringside/core/debug/image";
import { kernel_string } from "@ringside/core/debug/strings";
import {
  dma_fence_add_callback,
  DMA_FENCE_CB_SIZE,
  dma_fence_init,
  dma_fence_is_signaled,
  dma_fence_put,
  dma_fence_remove_callback,
  dma_fence_signal,
  DMA_FENCE_SIZE,
  dma_fence_wait,
  type DmaFenceCbPtr,
  type DmaFencePtr,
} from "@ringside/core/dma/fence";
import { GFP_KERNEL, kmalloc } from "@ringside/core/mm/slab";
import type { Cpu } from "@ringside/core/sched/cpu";
import { claim } from "./claim.ts";
import type { KernelScenario } from "./scenario.ts";

/** Address of the fence; constant after setup. */
const FENCE = kernel_static("check_fence", 4);
/** A callback for each CPU, and how often it ran. */
const CALLBACKS = kernel_static("check_fence_callbacks", 2 * 128);
const RAN = DMA_FENCE_CB_SIZE;
/** Was the keeper's callback accepted? */
const KEPT = kernel_static("check_fence_kept", 4);

const NAME = kernel_string("check");
function fence_name(): number {
  return NAME;
}
const NAME_FN = kernel_symbol(fence_name);
const OPS = kernel_rodata("check_fence_ops", [NAME_FN, NAME_FN, 0, 0, 0, 0, 0]);

function count_run(cpu: Cpu, _fence: number, cb: number): void {
  cpu.mem.fetchAdd(cb + RAN, 1);
}
const COUNT_RUN = kernel_symbol(count_run);

function the_fence(cpu: Cpu): DmaFencePtr {
  return cpu.mem.read(FENCE) as DmaFencePtr;
}

function callback_of(cpu: Cpu): DmaFenceCbPtr {
  return (CALLBACKS + (cpu.id & 1) * 128) as DmaFenceCbPtr;
}

function setup(cpu: Cpu): void {
  const fence = kmalloc(cpu, DMA_FENCE_SIZE, GFP_KERNEL) as DmaFencePtr;
  dma_fence_init(cpu, fence, OPS, 0, 1, 1);
  cpu.mem.write(FENCE, fence);
}

function signaler(cpu: Cpu): void {
  dma_fence_signal(cpu, the_fence(cpu));
}

/** Adds a callback and takes it off. */
function remover(cpu: Cpu): void {
  const cb = callback_of(cpu);
  const added = dma_fence_add_callback(cpu, the_fence(cpu), cb, COUNT_RUN) === 0;
  const before = cpu.mem.loadAcquire(cb + RAN);
  const removed = dma_fence_remove_callback(cpu, the_fence(cpu), cb);
  const ran = cpu.mem.loadAcquire(cb + RAN);
  claim(!removed || (added && before === 0), "a callback was removed that had not been added, or had run");
  claim(ran === (added && !removed ? 1 : 0), `added: ${added}, removed: ${removed}, but it ran ${ran} times`);
}

/** Adds a callback and leaves it. */
function keeper(cpu: Cpu): void {
  const added = dma_fence_add_callback(cpu, the_fence(cpu), callback_of(cpu), COUNT_RUN) === 0;
  cpu.mem.write(KEPT, added ? 1 : 0);
}

function waiter(cpu: Cpu): void {
  dma_fence_wait(cpu, the_fence(cpu), false);
  claim(dma_fence_is_signaled(cpu, the_fence(cpu)), "the wait ended before the signal");
}

function lastly(cpu: Cpu): void {
  claim(dma_fence_is_signaled(cpu, the_fence(cpu)), "the fence is not signaled");
  dma_fence_put(cpu, the_fence(cpu));
}

/** As lastly; CPU 1 was the keeper. */
function kept_lastly(cpu: Cpu): void {
  const ran = cpu.mem.read(CALLBACKS + 128 + RAN);
  const kept = cpu.mem.read(KEPT);
  claim(ran === kept, `${kept} callbacks were accepted, ${ran} ran`);
  lastly(cpu);
}

const removing = { signaler, remover };
const keeping = { signaler, keeper };
const waiting = { signaler, waiter };

export const fence_callback: KernelScenario = {
  kind: "kernel",
  name: "fence-callback",
  summary: "a fence is signaled while callbacks are added and removed, and while somebody waits",
  setup,
  kworkers: 0,
  focus: [
    "packages/core/src/dma/fence",
    "packages/core/src/sched/task#set_current_state",
    "packages/core/src/sched/task#wake_up_process",
    "scenarios/src/check",
  ],
  forms: {
    correct: {
      summary: "signal against add and remove, and a waiter",
      expect: "clean",
      threads: { signaler, remover, waiter },
      lastly,
    },
    "correct-remove": {
      summary: "signal against add and remove alone",
      expect: "clean",
      threads: removing,
      lastly,
    },
    "correct-keep": {
      summary: "signal against a callback that stays",
      expect: "clean",
      threads: keeping,
      lastly: kept_lastly,
    },
    "look-outside-lock": {
      summary: "add_callback looks at SIGNALED only before it takes the lock: the callback joins a dead list",
      expect: "out-of-bounds or use-after-free or assertion",
      mutant: "fence-look-outside-lock",
      threads: keeping,
      lastly: kept_lastly,
    },
    "unlocked-remove": {
      summary: "remove_callback does not take the lock: it says that it ran while it still runs",
      expect: "data-race or assertion",
      mutant: "fence-unlocked-remove",
      threads: removing,
      lastly,
    },
    "removed-runs": {
      summary: "a callback that was removed stays on the list and runs all the same",
      expect: "assertion",
      mutant: "fence-callback-after-remove",
      threads: removing,
      lastly,
    },
    "state-after-unlock": {
      summary: "the waiter says that it sleeps after it dropped the lock: the signal in between wakes nobody",
      expect: "deadlock or lost-wakeup",
      mutant: "fence-state-after-unlock",
      threads: waiting,
      lastly,
    },
    "unlocked-signal": {
      summary: "signal does not take the lock: a callback that is being added is lost",
      expect: "data-race or out-of-bounds or assertion",
      mutant: "fence-unlocked-signal",
      threads: keeping,
      lastly: kept_lastly,
    },
  },
};
