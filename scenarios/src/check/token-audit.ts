/**
 * What else the token's text leaves to its callers, to drivers and to luck: a form for each way it goes wrong.
 *
 * All run variant v3-fixed: none of them is about the recheck. "no-slots" and "no-memory" are clean: there the search
 * chooses where an allocation fails.
 */
import {
  FAULT_MISSING_OPS,
  FAULT_RESERVE_FENCES,
  FAULT_SLAB,
  fault_arm,
} from "@ringside/core/debug/fault-inject";
import { kernel_static } from "@ringside/core/debug/image";
import { vram_invalidate, vram_move } from "@ringside/core/dma/exporters/vram";
import { io_dmabuf_map_drop, type IoDmabufMapPtr, io_dmabuf_token_release } from "@ringside/core/dma/token";
import {
  COMPLETION_SIZE,
  complete,
  init_completion,
  wait_for_completion,
} from "@ringside/core/sched/completion";
import type { Cpu } from "@ringside/core/sched/cpu";
import { LEAK } from "./leak.ts";
import type { KernelForm, KernelScenario } from "./scenario.ts";
import {
  check_buffer,
  check_token,
  device_remove,
  device_write,
  token_map,
  token_node_put,
  token_register,
  token_request,
  token_setup,
  token_teardown,
} from "./token-driver.ts";

/** The ring has closed its files. */
const CLOSED = kernel_static("check_ring_closed", COMPLETION_SIZE);
/** A request is queued to the ring's worker thread, with this map. */
const QUEUED = kernel_static("check_ring_queued", COMPLETION_SIZE);
const QUEUED_MAP = kernel_static("check_ring_queued_map", 4);

function setup(cpu: Cpu): void {
  init_completion(cpu, CLOSED);
  init_completion(cpu, QUEUED);
  token_setup(cpu, cpu.config.cpus - 1);
}

function request(cpu: Cpu): void {
  token_request(cpu, 0);
  token_node_put(cpu);
}

function invalidate(cpu: Cpu): void {
  vram_invalidate(cpu, check_buffer(cpu));
}

function move(cpu: Cpu): void {
  vram_move(cpu, check_buffer(cpu));
}

/** Registers once more, with a driver that leaves out an operation. */
function register_poorly(cpu: Cpu): void {
  fault_arm(cpu, FAULT_MISSING_OPS, { times: 1 });
  token_register(cpu);
  token_node_put(cpu);
}

/** Releases the token while a request may be making a map. */
function release_early(cpu: Cpu): void {
  io_dmabuf_token_release(cpu, check_token(cpu));
}

function request_only(cpu: Cpu): void {
  token_request(cpu, 0);
}

/** A request, and the end of the ring: the token goes later, the file of the device now. */
function request_and_close(cpu: Cpu): void {
  request(cpu);
  complete(cpu, CLOSED);
}

/** Nobody has the device open any more: it may be unplugged. */
function unplug(cpu: Cpu): void {
  wait_for_completion(cpu, CLOSED);
  device_remove(cpu);
}

/** A request that cannot be issued without blocking keeps its map, and is queued to the worker thread. */
function submit_and_queue(cpu: Cpu): void {
  cpu.mem.storeRelease(QUEUED_MAP, token_map(cpu));
  complete(cpu, QUEUED);
}

/** The ring's worker thread: a request without a map first, then the queued one. */
function work_off(cpu: Cpu): void {
  wait_for_completion(cpu, QUEUED);
  token_request(cpu, 0);
  const map = cpu.mem.loadAcquire(QUEUED_MAP) as IoDmabufMapPtr;
  device_write(cpu, map);
  io_dmabuf_map_drop(cpu, map);
  token_node_put(cpu);
  token_node_put(cpu);
}

function fail_slots(cpu: Cpu): void {
  fault_arm(cpu, FAULT_RESERVE_FENCES, { times: 2, choice: 2 });
}

function fail_memory(cpu: Cpu): void {
  fault_arm(cpu, FAULT_SLAB, { times: 1, choice: 24 });
}

const correct: KernelForm = {
  summary: "two requests, an exporter that moves the buffer",
  expect: "clean",
  threads: { request, request2: request, exporter: move },
  lastly: token_teardown,
};

/** The WARN of io_dmabuf_token_create and of drop_map: what the forms provoke. */
const EXPECTED = ["at io_dmabuf_token_create", "at io_dmabuf_drop_map"];

export const token_audit: KernelScenario = {
  kind: "kernel",
  name: "token-audit",
  summary:
    "what the token leaves to callers and drivers: errors, release, removal, lack of memory and threads",
  setup,
  kworkers: 3,
  focus: [
    "packages/core/src/dma/token",
    "packages/core/src/rcu/pointer",
    "packages/core/src/ref/",
    "packages/core/src/lock/mutex.ts",
    "scenarios/src/check",
  ],
  forms: {
    correct,
    "no-slots": {
      ...correct,
      summary: "reserving a fence slot may fail: the exporter waits under the reservation",
      start: fail_slots,
      tolerates: EXPECTED,
    },
    "no-memory": {
      ...correct,
      summary: "any one allocation may fail",
      start: fail_memory,
      tolerates: EXPECTED,
    },
    "driver-forgets": {
      summary: "-EINVAL from create leaves the attachment, whose token the caller frees",
      expect: "use-after-free",
      tolerates: [...EXPECTED, LEAK],
      threads: { register: register_poorly, exporter: invalidate },
      lastly: token_teardown,
    },
    "driver-forgets-leak": {
      summary: "-EINVAL from create keeps the buffer for ever",
      expect: "leak",
      tolerates: EXPECTED,
      threads: { register: register_poorly, idle: request_nothing },
      lastly: token_teardown,
    },
    "release-early": {
      summary: "a token is released while a request makes a map, which nobody will ever unmap",
      expect: "leak or use-after-free or data-race or warning",
      threads: { request: request_only, owner: release_early },
      lastly: token_teardown,
    },
    "device-gone": {
      summary: "the device is unplugged between the last close and the end of the token",
      expect: "use-after-free",
      threads: { ring: request_and_close, hotplug: unplug },
      lastly: token_teardown,
    },
    "queued-request": {
      summary: "a queued request keeps its map; the worker thread before it waits for the map's fence",
      expect: "deadlock",
      threads: { ring: submit_and_queue, worker: work_off, exporter: invalidate },
      lastly: token_teardown,
    },
    "no-worker": {
      summary: "no thread for a second kworker: the release waits for the work that is queued behind it",
      expect: "deadlock",
      config: { kthreads: 2 },
      threads: { request, exporter: request_nothing },
      lastly: token_teardown,
    },
  },
};

function request_nothing(_cpu: Cpu): void {}
