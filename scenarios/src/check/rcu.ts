/**
 * RCU: a reader follows a pointer while a writer replaces what it points to and frees the old one.
 *
 * Grace periods are strict: they wait for open read sections and for nothing else, so what is not in a section is not
 * protected by luck.
 */
import { kernel_static, kernel_symbol } from "@ringside/core/debug/image";
import { GFP_KERNEL, kfree, kmalloc } from "@ringside/core/mm/slab";
import { kfree_rcu } from "@ringside/core/rcu/kfree-rcu";
import {
  call_rcu,
  rcu_assign_pointer,
  rcu_barrier,
  rcu_dereference,
  RCU_HEAD_SIZE,
  type RcuHeadPtr,
  rcu_read_lock,
  rcu_read_unlock,
  synchronize_rcu,
} from "@ringside/core/rcu/rcu";
import type { Cpu } from "@ringside/core/sched/cpu";
import { claim } from "./claim.ts";
import type { KernelScenario } from "./scenario.ts";

/** RCU pointer to the present version. */
const VERSION = kernel_static("check_rcu_version", 4);
/** 1 while the code of callbacks is loaded. */
const LOADED = kernel_static("check_rcu_loaded", 4);

// struct version: two halves that are always equal.
const HEAD = 0;
const LEFT = HEAD + RCU_HEAD_SIZE;
const RIGHT = LEFT + 4;
const VERSION_SIZE = RIGHT + 4;

const FREE_VERSION = kernel_symbol(free_version);

function free_version(cpu: Cpu, head: number): void {
  claim(cpu.mem.loadAcquire(LOADED) === 1, "a callback ran after its module was unloaded");
  kfree(cpu, head - HEAD);
}

function new_version(cpu: Cpu, n: number): number {
  const version = kmalloc(cpu, VERSION_SIZE, GFP_KERNEL);
  cpu.mem.write(version + LEFT, n);
  cpu.mem.write(version + RIGHT, n);
  return version;
}

function setup(cpu: Cpu): void {
  cpu.mem.storeRelease(LOADED, 1);
  cpu.mem.storeRelease(VERSION, new_version(cpu, 1));
}

function teardown(cpu: Cpu): void {
  kfree(cpu, cpu.mem.read(VERSION));
}

/** What a reader does with what it found; it takes a step, so that others may come in between. */
function check(cpu: Cpu, version: number): void {
  cpu.mem.readOnce(LOADED);
  const left = cpu.mem.read(version + LEFT);
  claim(left === cpu.mem.read(version + RIGHT), "a reader saw half a version");
}

function read_twice(cpu: Cpu): void {
  for (let i = 0; i < 2; i++) {
    rcu_read_lock(cpu);
    check(cpu, rcu_dereference(cpu, VERSION));
    rcu_read_unlock(cpu);
  }
}

/** A section in a section: only the outer end counts. */
function read_nested(cpu: Cpu): void {
  rcu_read_lock(cpu);
  const version = rcu_dereference(cpu, VERSION);
  rcu_read_lock(cpu);
  check(cpu, rcu_dereference(cpu, VERSION));
  rcu_read_unlock(cpu);
  check(cpu, version);
  rcu_read_unlock(cpu);
}

function read_unlocked(cpu: Cpu): void {
  check(cpu, rcu_dereference(cpu, VERSION));
}

function read_late(cpu: Cpu): void {
  rcu_read_lock(cpu);
  const version = rcu_dereference(cpu, VERSION);
  rcu_read_unlock(cpu);
  check(cpu, version);
}

/** Replaces the version; the old one. */
function put_version(cpu: Cpu, n: number): number {
  const old = cpu.mem.read(VERSION);
  rcu_assign_pointer(cpu, VERSION, new_version(cpu, n));
  return old;
}

function write_sync(cpu: Cpu): void {
  const old = put_version(cpu, 2);
  synchronize_rcu(cpu);
  kfree(cpu, old);
  // Version 3 is freed by a callback.
  kfree_rcu(cpu, put_version(cpu, 3), HEAD);
}

function write_free(cpu: Cpu): void {
  kfree(cpu, put_version(cpu, 2));
}

/** Publishes by a store that orders nothing. */
function write_unordered(cpu: Cpu): void {
  const old = cpu.mem.read(VERSION);
  cpu.mem.writeOnce(VERSION, new_version(cpu, 2));
  synchronize_rcu(cpu);
  kfree(cpu, old);
}

/** The grace period is over before the old version is out of reach. */
function write_early(cpu: Cpu): void {
  synchronize_rcu(cpu);
  kfree(cpu, put_version(cpu, 2));
}

function write_inside(cpu: Cpu): void {
  rcu_read_lock(cpu);
  const old = put_version(cpu, 2);
  synchronize_rcu(cpu);
  rcu_read_unlock(cpu);
  kfree(cpu, old);
}

/** A module that frees by callback, and goes away. */
function unload(cpu: Cpu): void {
  call_rcu(cpu, (put_version(cpu, 2) + HEAD) as RcuHeadPtr, FREE_VERSION);
  rcu_barrier(cpu);
  cpu.mem.storeRelease(LOADED, 0);
}

/** It waits for readers, but not for its callbacks. */
function unload_without_barrier(cpu: Cpu): void {
  call_rcu(cpu, (put_version(cpu, 2) + HEAD) as RcuHeadPtr, FREE_VERSION);
  cpu.mem.storeRelease(LOADED, 0);
}

export const rcu: KernelScenario = {
  kind: "kernel",
  name: "rcu",
  summary: "RCU: readers follow a pointer while a writer replaces and frees what it points to",
  setup,
  kworkers: 1,
  focus: ["packages/core/src/rcu", "scenarios/src/check"],
  forms: {
    correct: {
      summary: "two readers; a writer frees after synchronize_rcu, and by kfree_rcu",
      expect: "clean",
      threads: { reader: read_twice, reader2: read_nested, writer: write_sync },
      lastly: teardown,
    },
    barrier: {
      summary: "callbacks are waited for before their code goes",
      expect: "clean",
      threads: { reader: read_twice, writer: unload },
      lastly: teardown,
    },
    "no-grace-period": {
      summary: "the old version is freed at once",
      expect: "use-after-free",
      threads: { reader: read_twice, writer: write_free },
      lastly: teardown,
    },
    "early-grace-period": {
      summary: "the grace period comes before the pointer changes",
      expect: "use-after-free",
      threads: { reader: read_twice, writer: write_early },
      lastly: teardown,
    },
    "no-read-lock": {
      summary: "a reader without a read section",
      expect: "use-after-free",
      threads: { reader: read_unlocked, writer: write_sync },
      lastly: teardown,
    },
    "read-late": {
      summary: "a reader goes on after its read section",
      expect: "use-after-free",
      threads: { reader: read_late, writer: write_sync },
      lastly: teardown,
    },
    "no-release": {
      summary: "a version is published by a store without order",
      expect: "data-race",
      threads: { reader: read_twice, writer: write_unordered },
      lastly: teardown,
    },
    "wait-inside": {
      summary: "a writer waits for a grace period inside a read section",
      expect: "rcu",
      threads: { reader: read_twice, writer: write_inside },
      lastly: teardown,
    },
    "no-barrier": {
      summary: "a module goes away with callbacks queued",
      expect: "assertion",
      threads: { reader: read_twice, writer: unload_without_barrier },
      lastly: teardown,
    },
    "gp-is-none": {
      summary: "the grace period waits for nobody",
      expect: "use-after-free",
      mutant: "rcu-gp-is-none",
      threads: { reader: read_twice, reader2: read_nested, writer: write_sync },
      lastly: teardown,
    },
    "skips-a-cpu": {
      summary: "the grace period does not wait for CPU 0",
      expect: "use-after-free",
      mutant: "rcu-skips-a-cpu",
      threads: { reader: read_twice, reader2: read_nested, writer: write_sync },
      lastly: teardown,
    },
    "barrier-early": {
      summary: "rcu_barrier returns at once",
      expect: "assertion",
      mutant: "rcu-barrier-early",
      threads: { reader: read_twice, writer: unload },
      lastly: teardown,
    },
  },
};
