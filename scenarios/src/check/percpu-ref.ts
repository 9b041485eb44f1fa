/**
 * A resource under a percpu_ref: users look it up and use it, somebody kills it and takes it away when the last user
 * is through.
 *
 * The object is found through an RCU pointer. Nothing frees it after a grace period of its own: it may go because the
 * switch to atomic mode has one. So it may not if the ref is in atomic mode from the start.
 */
import { kernel_static, kernel_symbol } from "@ringside/core/debug/image";
import { BUG_ON } from "@ringside/core/debug/warn";
import { GFP_KERNEL, kfree, kzalloc } from "@ringside/core/mm/slab";
import { rcu_assign_pointer, rcu_dereference, rcu_read_lock, rcu_read_unlock } from "@ringside/core/rcu/rcu";
import {
  percpu_ref_exit,
  percpu_ref_get,
  percpu_ref_init,
  PERCPU_REF_INIT_ATOMIC,
  percpu_ref_kill,
  percpu_ref_put,
  type PercpuRefPtr,
  PERCPU_REF_SIZE,
  percpu_ref_tryget_live_rcu,
} from "@ringside/core/ref/percpu-ref";
import {
  COMPLETION_SIZE,
  complete,
  init_completion,
  wait_for_completion,
} from "@ringside/core/sched/completion";
import type { Cpu } from "@ringside/core/sched/cpu";
import { claim } from "./claim.ts";
import type { KernelForm, KernelScenario } from "./scenario.ts";

/** RCU pointer to the object; 0 once it is on its way out. */
const OBJECT = kernel_static("check_ref_object", 4);
/** Completed by the release function: nobody uses the object any more. */
const IDLE = kernel_static("check_ref_idle", COMPLETION_SIZE);
/** 1 while whatever the object stands for is there. */
const PRESENT = kernel_static("check_ref_present", 4);

// struct object
const REF = 0;
const OBJECT_SIZE = PERCPU_REF_SIZE + 8;

const RELEASE = kernel_symbol(object_release);

function object_release(cpu: Cpu): void {
  complete(cpu, IDLE);
}

function ref_of(object: number): PercpuRefPtr {
  return (object + REF) as PercpuRefPtr;
}

function publish(cpu: Cpu, flags: number): void {
  const object = kzalloc(cpu, OBJECT_SIZE, GFP_KERNEL);
  BUG_ON(cpu, object === 0, "no object");
  BUG_ON(cpu, percpu_ref_init(cpu, ref_of(object), RELEASE, flags, GFP_KERNEL) !== 0, "no ref");
  rcu_assign_pointer(cpu, OBJECT, object);
}

function setup(cpu: Cpu): void {
  init_completion(cpu, IDLE);
  cpu.mem.storeRelease(PRESENT, 1);
  publish(cpu, 0);
}

/** As setup, but the ref counts in one place from the start. Runs before the users in place of what setup made. */
function setup_atomic(cpu: Cpu): void {
  const object = cpu.mem.read(OBJECT);
  percpu_ref_exit(cpu, ref_of(object));
  kfree(cpu, object);
  publish(cpu, PERCPU_REF_INIT_ATOMIC);
}

/** What a reference is for. */
function use(cpu: Cpu): void {
  claim(cpu.mem.loadAcquire(PRESENT) === 1, "the resource was used after its last user had gone");
}

/** The object with a reference, or 0. */
function lookup(cpu: Cpu): number {
  rcu_read_lock(cpu);
  let object = rcu_dereference(cpu, OBJECT);
  if (object !== 0 && !percpu_ref_tryget_live_rcu(cpu, ref_of(object))) object = 0;
  rcu_read_unlock(cpu);
  return object;
}

/** Finds the object in a section, and gets the reference after it. */
function lookup_late(cpu: Cpu): number {
  rcu_read_lock(cpu);
  const object = rcu_dereference(cpu, OBJECT);
  rcu_read_unlock(cpu);
  // A moment later: in a section of its own, the get is too late.
  cpu.mem.readOnce(PRESENT);
  if (object !== 0) percpu_ref_get(cpu, ref_of(object));
  return object;
}

function user(cpu: Cpu): void {
  const object = lookup(cpu);
  if (object === 0) return;
  use(cpu);
  percpu_ref_put(cpu, ref_of(object));
}

/** Passes its reference on to a second one, which outlives it. */
function user_twice(cpu: Cpu): void {
  const object = lookup(cpu);
  if (object === 0) return;
  percpu_ref_get(cpu, ref_of(object));
  percpu_ref_put(cpu, ref_of(object));
  use(cpu);
  percpu_ref_put(cpu, ref_of(object));
}

function user_late(cpu: Cpu): void {
  const object = lookup_late(cpu);
  if (object === 0) return;
  use(cpu);
  percpu_ref_put(cpu, ref_of(object));
}

function user_puts_twice(cpu: Cpu): void {
  const object = lookup(cpu);
  if (object === 0) return;
  use(cpu);
  percpu_ref_put(cpu, ref_of(object));
  percpu_ref_put(cpu, ref_of(object));
}

/** Unpublishes, kills, waits for the last put. */
function drain(cpu: Cpu): number {
  const object = cpu.mem.read(OBJECT);
  rcu_assign_pointer(cpu, OBJECT, 0);
  percpu_ref_kill(cpu, ref_of(object));
  wait_for_completion(cpu, IDLE);
  return object;
}

function remove(cpu: Cpu): void {
  const object = drain(cpu);
  cpu.mem.storeRelease(PRESENT, 0);
  percpu_ref_exit(cpu, ref_of(object));
  kfree(cpu, object);
}

/** Takes the resource away when it has killed the ref, whoever still uses it. */
function remove_at_once(cpu: Cpu): void {
  const object = cpu.mem.read(OBJECT);
  rcu_assign_pointer(cpu, OBJECT, 0);
  percpu_ref_kill(cpu, ref_of(object));
  cpu.mem.storeRelease(PRESENT, 0);
  wait_for_completion(cpu, IDLE);
  percpu_ref_exit(cpu, ref_of(object));
  kfree(cpu, object);
}

const correct: KernelForm = {
  summary: "two users, one of whom takes a second reference; removal waits for both",
  expect: "clean",
  threads: { user, user2: user_twice, remover: remove },
};

export const percpu_ref: KernelScenario = {
  kind: "kernel",
  name: "percpu-ref",
  summary: "percpu_ref: lookups and puts on other CPUs while the ref is killed",
  setup,
  kworkers: 1,
  focus: ["packages/core/src/ref/percpu-ref", "packages/core/src/rcu/pointer", "scenarios/src/check"],
  forms: {
    correct,
    owner: { ...correct, summary: "shards are plain words of their CPU", config: { percpu: "owner" } },
    atomic: {
      ...correct,
      summary: "the ref starts in atomic mode: no grace period between the last lookup and the free",
      expect: "data-race or use-after-free",
      start: setup_atomic,
    },
    "get-late": {
      ...correct,
      summary: "the reference is taken after the read section, dead or not",
      expect: "use-after-free or assertion or data-race",
      threads: { user: user_late, user2: user, remover: remove },
    },
    "put-twice": {
      ...correct,
      summary: "one user drops somebody else's reference",
      expect: "data-race or refcount or use-after-free",
      threads: { user: user_puts_twice, user2: user_twice, remover: remove },
    },
    "no-drain": {
      ...correct,
      summary: "removal does not wait for the users",
      expect: "assertion",
      threads: { user, user2: user_twice, remover: remove_at_once },
    },
    "no-grace-period": {
      ...correct,
      summary: "kill sums the shards at once, while CPUs may be inside a get or put",
      expect: "data-race or deadlock",
      mutant: "kill-without-grace-period",
    },
    "sum-by-shard": {
      ...correct,
      summary: "the shards are added to the count one by one",
      expect: "deadlock",
      mutant: "percpu-ref-sum-by-shard",
    },
    "kill-puts-twice": {
      ...correct,
      summary: "kill drops a reference that somebody else holds",
      expect: "refcount or data-race",
      mutant: "percpu-ref-kill-puts-twice",
    },
  },
};
