/**
 * The life of a token: requests look a map up or make one, the exporter takes maps away, and the last user lets the
 * token go. With three threads, and with four.
 *
 * The rules (token-oracle.ts): one map at a time; a map lives until its last request and a grace period; its fence
 * before the exporter goes on; the token after its maps. The broken forms are the mutants of the token: each takes one
 * of the steps that keep a rule.
 */
import { vram_invalidate, vram_move } from "@ringside/core/dma/exporters/vram";
import type { Cpu } from "@ringside/core/sched/cpu";
import type { KernelForm, KernelScenario } from "./scenario.ts";
import { check_buffer, token_node_put, token_request, token_setup, token_teardown } from "./token-driver.ts";

/** A request, then its user is gone. */
function requester(cpu: Cpu): void {
  token_request(cpu);
  token_node_put(cpu);
}

/** A user that is gone without a request. */
function leaver(cpu: Cpu): void {
  token_node_put(cpu);
}

/** The exporter takes the map away and does not wait. */
function invalidator(cpu: Cpu): void {
  vram_invalidate(cpu, check_buffer(cpu));
}

/** The exporter moves the buffer: it waits, with the reservation held, until the map is drained. */
function mover(cpu: Cpu): void {
  vram_move(cpu, check_buffer(cpu));
}

/** All CPUs but the exporter's hold the node. */
function setup(cpu: Cpu): void {
  token_setup(cpu, cpu.config.cpus - 1);
}

const FOCUS: readonly string[] = [
  "packages/core/src/dma/token",
  "packages/core/src/dma/exporters",
  "packages/core/src/rcu/pointer",
  "packages/core/src/ref/percpu-ref-count",
  "packages/core/src/ref/refcount",
  "packages/core/src/lock/ww-mutex",
  "scenarios/src/check",
];

const invalidated = { creator: requester, releaser: leaver, invalidator };
const moved = { creator: requester, releaser: leaver, mover };
const two_invalidated = { first: requester, second: requester, releaser: leaver, invalidator };
const two_moved = { first: requester, second: requester, releaser: leaver, mover };

const AT_THE_END = { lastly: token_teardown };

function correct(summary: string, threads: KernelForm["threads"]): KernelForm {
  return { summary, expect: "clean", threads, ...AT_THE_END };
}

function broken(summary: string, mutant: string, expect: string, threads: KernelForm["threads"]): KernelForm {
  return { summary, mutant, expect, threads, ...AT_THE_END };
}

export const token_lifetime_3: KernelScenario = {
  kind: "kernel",
  name: "token-lifetime-3",
  summary: "a request makes a map, the exporter takes it away, the last user lets the token go",
  setup,
  kworkers: 3,
  focus: FOCUS,
  forms: {
    correct: correct("create against invalidate against release", invalidated),
    "correct-move": correct("create against a move that waits against release", moved),
    "map-ref-atomic": broken(
      "the map's reference starts as one counter: no grace period is left between the last lookup and the free",
      "map-ref-atomic",
      "assertion or use-after-free",
      { creator: requester, other: requester, invalidator },
    ),
    "signal-after-unmap": broken(
      "the worker signals the fence under the reservation that the mover holds while it waits for the fence",
      "signal-after-unmap",
      "deadlock or lost-wakeup",
      moved,
    ),
    "create-without-get": broken(
      "the creator uses the map without a reference and drops somebody else's",
      "create-without-get",
      "refcount or assertion or use-after-free",
      invalidated,
    ),
    "token-ref-after-signal": broken(
      "the worker pins the token after the signal that lets its owner free it",
      "token-ref-after-signal",
      "use-after-free or assertion",
      invalidated,
    ),
    "fence-not-added": broken(
      "an invalidated map leaves no fence behind: the exporter moves the buffer under the device",
      "fence-not-added",
      "assertion or data-race or use-after-free or warning",
      moved,
    ),
    "unmap-unlocked": broken(
      "a map is unmapped without the reservation",
      "unmap-unlocked",
      "warning",
      invalidated,
    ),
  },
};

export const token_lifetime_4: KernelScenario = {
  kind: "kernel",
  name: "token-lifetime-4",
  summary: "two requests share or make maps, the exporter takes them away, the last user lets the token go",
  setup,
  kworkers: 3,
  focus: FOCUS,
  forms: {
    correct: correct("two creators against invalidate against release", two_invalidated),
    "correct-move": correct("two creators against a move that waits against release", two_moved),
    "recheck-removed": broken(
      "create_map does not look for fences once more when it has got the reservation",
      "recheck-removed",
      "assertion",
      two_invalidated,
    ),
    "kill-before-unpublish": broken(
      "the map is killed while lookups still find it: its grace period protects none that come later",
      "kill-before-unpublish",
      "assertion",
      two_invalidated,
    ),
    "two-maps": broken(
      "create_map does not look again whether somebody else has made the map meanwhile",
      "create-without-recheck-of-map",
      "assertion",
      two_invalidated,
    ),
    "map-ref-atomic": broken(
      "the map's reference starts as one counter: no grace period is left between the last lookup and the free",
      "map-ref-atomic",
      "assertion or use-after-free",
      two_invalidated,
    ),
    "kill-without-grace-period": broken(
      "a kill sums the shards at once, while CPUs are inside a get or a put",
      "kill-without-grace-period",
      "refcount or data-race or assertion",
      two_invalidated,
    ),
  },
};
