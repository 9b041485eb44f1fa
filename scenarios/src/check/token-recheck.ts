/**
 * The recheck of io_dmabuf_create_map: requests make maps while an exporter moves the buffer.
 *
 * The text as posted (variant "v3") takes a pending fence for none when it looks again under the lock. Each form but
 * the correct one is about one consequence, and overlooks those that come before it.
 */
import { vram_async_move, vram_invalidate, vram_move } from "@ringside/core/dma/exporters/vram";
import type { Cpu } from "@ringside/core/sched/cpu";
import { LEAK } from "./leak.ts";
import type { KernelForm, KernelScenario } from "./scenario.ts";
import {
  check_buffer,
  nap,
  token_node_put,
  token_request,
  token_setup,
  token_teardown,
} from "./token-driver.ts";

/** Device time of a slow request: longer than the exporter waits between two actions. */
const SLOW_MS = 10;
const EXPORTER_MS = 2;

function request(cpu: Cpu): void {
  token_request(cpu, 0);
  token_node_put(cpu);
}

function slow_request(cpu: Cpu): void {
  token_request(cpu, SLOW_MS);
  token_node_put(cpu);
}

/** Keeps the node until a slow request is through: its task reaps completions on another CPU than they happen on. */
function request_and_reap(cpu: Cpu): void {
  token_request(cpu, 0);
  nap(cpu, SLOW_MS);
  token_node_put(cpu);
}

/** All CPUs but the exporter's have one request each. */
function setup(cpu: Cpu): void {
  token_setup(cpu, cpu.config.cpus - 1);
}

function move_later(cpu: Cpu): void {
  vram_async_move(cpu, check_buffer(cpu), false);
}

/** As a GPU driver under pressure: a move on its way, and another one. */
function move_twice(cpu: Cpu): void {
  vram_async_move(cpu, check_buffer(cpu), false);
  nap(cpu, EXPORTER_MS);
  vram_move(cpu, check_buffer(cpu));
}

function invalidate(cpu: Cpu): void {
  vram_invalidate(cpu, check_buffer(cpu));
}

function invalidate_and_move(cpu: Cpu): void {
  vram_invalidate(cpu, check_buffer(cpu));
  nap(cpu, EXPORTER_MS);
  vram_move(cpu, check_buffer(cpu));
}

function invalidate_twice(cpu: Cpu): void {
  vram_invalidate(cpu, check_buffer(cpu));
  nap(cpu, EXPORTER_MS);
  vram_invalidate(cpu, check_buffer(cpu));
}

const MAP_DURING_MOVE = "map-during-move";
const MAP_OVER_FENCE = "map-over-fence";
const TOKEN_BEFORE_MAPS = "token-before-maps";
/** The token has no references any more, but is not freed yet: the work gives up, and the map leaks. */
const WARN_OF_WORK = "at io_dmabuf_map_release_work";

/** Two requests, one of them still under way when the buffer moves for the second time. */
const busy: Pick<KernelForm, "config" | "threads" | "lastly"> = {
  config: { variant: "v3-fixed" },
  threads: { slow: slow_request, fast: request, exporter: move_twice },
  lastly: token_teardown,
};

/** A mutant of the token (mutants/src/token.ts). */
function broken(mutant: string, expect: string, summary: string): KernelForm {
  return { ...busy, mutant, expect, summary };
}

/** A consequence of the recheck: found in v3, gone in v3-fixed. */
function consequence(form: Omit<KernelForm, "variants" | "lastly" | "config">): KernelForm {
  return {
    ...form,
    config: { variant: "v3" },
    variants: { "v3-fixed": "clean" },
    lastly: token_teardown,
  };
}

export const token_recheck: KernelScenario = {
  kind: "kernel",
  name: "token-recheck",
  summary: "requests create maps while an exporter moves the buffer",
  setup,
  kworkers: 3,
  focus: [
    "packages/core/src/dma/token",
    "packages/core/src/dma/exporters",
    "packages/core/src/rcu/pointer",
    "packages/core/src/ref/percpu-ref-count",
    "packages/core/src/ref/refcount",
    "packages/core/src/lock/mutex.ts",
    "scenarios/src/check",
  ],
  forms: {
    correct: {
      ...busy,
      summary: "two requests, an exporter that moves the buffer twice",
      expect: "clean",
      variants: { v3: "assertion" },
    },
    a1: consequence({
      summary: "stale placement: a map is made while a move is under way",
      expect: "assertion",
      message: MAP_DURING_MOVE,
      tolerates: [MAP_OVER_FENCE],
      threads: { fast: request, exporter: move_later },
    }),
    a2: consequence({
      summary: "two generations: a map is made while the one before still has I/O in flight",
      expect: "assertion",
      message: MAP_OVER_FENCE,
      tolerates: [],
      threads: { slow: slow_request, fast: request, exporter: invalidate },
    }),
    a3: consequence({
      summary: "the second generation's fence replaces the first one's: the buffer moves under I/O",
      expect: "data-race or assertion",
      tolerates: [MAP_OVER_FENCE],
      threads: { slow: slow_request, fast: request, exporter: invalidate_and_move },
    }),
    a4: consequence({
      summary: "nobody waits for the first generation: the token is freed before its map",
      expect: "use-after-free",
      tolerates: [MAP_OVER_FENCE, TOKEN_BEFORE_MAPS, WARN_OF_WORK, LEAK],
      threads: { slow: slow_request, fast: request_and_reap, exporter: invalidate_twice },
    }),
    "signal-after-unmap": broken(
      "signal-after-unmap",
      "deadlock",
      "the fence waits for who waits for the fence",
    ),
    "map-ref-atomic": broken(
      "map-ref-atomic",
      "assertion or use-after-free",
      "no grace period before a map is freed",
    ),
    "token-ref-after-signal": broken(
      "token-ref-after-signal",
      "assertion",
      "the worker pins the token too late",
    ),
    "kill-before-unpublish": broken("kill-before-unpublish", "assertion", "lookups find a map that is dead"),
    "create-without-get": broken(
      "create-without-get",
      "data-race or use-after-free",
      "who makes a map has no reference",
    ),
    "fence-not-added": broken(
      "fence-not-added",
      "data-race or assertion",
      "an invalidated map leaves no fence behind",
    ),
    "unmap-unlocked": broken("unmap-unlocked", "warning", "a map is unmapped without the reservation"),
    "two-maps": broken("create-without-recheck-of-map", "assertion", "two requests both publish a map"),
  },
};
