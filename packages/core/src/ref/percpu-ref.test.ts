/**
 * percpu_ref: what ends or endangers a machine, so that it has no place among the laws of the conformance suite
 * "percpu_ref", which are all the others.
 */
import { beforeEach, expect, test } from "vitest";
import { kernel_static, kernel_symbol } from "../debug/image.ts";
import { KernelBug } from "../debug/warn.ts";
import { GFP_KERNEL } from "../mm/slab.ts";
import { rcu_barrier, rcu_read_lock_held } from "../rcu/rcu.ts";
import type { Cpu } from "../sched/cpu.ts";
import { boot_solo, dmesg } from "../testing/solo.ts";
import {
  percpu_ref_exit,
  percpu_ref_get,
  percpu_ref_get_many,
  percpu_ref_init,
  percpu_ref_is_dying,
  percpu_ref_is_zero,
  percpu_ref_kill,
  PERCPU_REF_ALLOW_REINIT,
  percpu_ref_put,
  percpu_ref_put_many,
  percpu_ref_resurrect,
  PERCPU_REF_SIZE,
  percpu_ref_switch_to_atomic_sync,
  percpu_ref_switch_to_percpu,
  percpu_ref_tryget,
  percpu_ref_tryget_live,
  percpu_ref_tryget_many,
  type PercpuRefPtr,
} from "./percpu-ref.ts";

const REF = kernel_static("test_percpu_ref", PERCPU_REF_SIZE) as PercpuRefPtr;
/** Releases so far. */
const RELEASED = kernel_static("test_percpu_ref_released", 4);
const RELEASE = kernel_symbol(test_release);
function test_release(on: Cpu): void {
  // Its caller's read section is open, whether or not anybody counts sections.
  on.mem.write(RELEASED, on.mem.read(RELEASED) + (rcu_read_lock_held(on) ? 1 : 100));
}

let cpu: Cpu;
beforeEach(() => {
  cpu = boot_solo();
});

/** What the counter's verbs say, from percpu mode over the kill to the end. */
function life(): unknown[] {
  init(PERCPU_REF_ALLOW_REINIT);
  const said: unknown[] = [];
  const say = (...words: unknown[]): void => {
    said.push([...words, cpu.mem.read(RELEASED), cpu.rcu_nesting]);
  };
  percpu_ref_get_many(cpu, REF, 5);
  say(percpu_ref_tryget(cpu, REF), percpu_ref_tryget_many(cpu, REF, 2), percpu_ref_tryget_live(cpu, REF));
  percpu_ref_put_many(cpu, REF, 4);
  percpu_ref_kill(cpu, REF);
  say(percpu_ref_tryget(cpu, REF), percpu_ref_tryget_live(cpu, REF), percpu_ref_is_zero(cpu, REF));
  rcu_barrier(cpu);
  say(percpu_ref_tryget_many(cpu, REF, 3), percpu_ref_tryget_live(cpu, REF), percpu_ref_is_dying(cpu, REF));
  percpu_ref_get(cpu, REF);
  percpu_ref_put_many(cpu, REF, 9);
  say(percpu_ref_is_zero(cpu, REF));
  percpu_ref_put(cpu, REF);
  say(percpu_ref_is_zero(cpu, REF), percpu_ref_tryget(cpu, REF), percpu_ref_tryget_live(cpu, REF));
  percpu_ref_exit(cpu, REF);
  return said;
}
function init(flags: number): void {
  expect(percpu_ref_init(cpu, REF, RELEASE, flags, GFP_KERNEL)).toBe(0);
}

test("exit while a switch is in progress warns: the switch still reads the shards, RCU has the head", () => {
  cpu = boot_solo({ lockdep: true });
  init(PERCPU_REF_ALLOW_REINIT);
  percpu_ref_kill(cpu, REF);
  percpu_ref_exit(cpu, REF);
  expect(dmesg(cpu)).toEqual([
    expect.stringContaining("percpu_ref_free_shards"),
    expect.stringContaining("object type: rcu_head hint: percpu_ref_switch_to_atomic_rcu"),
  ]);
});

test("back to percpu mode without shards is a BUG", () => {
  init(0);
  percpu_ref_switch_to_atomic_sync(cpu, REF);
  percpu_ref_switch_to_percpu(cpu, REF);
  expect(dmesg(cpu), "it ended dead: nothing to switch").toEqual([]);
  expect(() => percpu_ref_resurrect(cpu, REF)).toThrow(KernelBug);
});

test("a kill of a dead reference in atomic mode puts below 0, and does not release again", () => {
  init(PERCPU_REF_ALLOW_REINIT);
  percpu_ref_switch_to_atomic_sync(cpu, REF);
  percpu_ref_kill(cpu, REF);
  percpu_ref_kill(cpu, REF);
  percpu_ref_put(cpu, REF);
  expect(dmesg(cpu)).toEqual([
    expect.stringContaining("percpu_ref_kill_and_confirm called more than once on test_release!"),
  ]);
});

test.for([
  ["watched, its shards atomic", true, "atomic"],
  ["unwatched, its shards atomic", false, "atomic"],
  ["watched, its shards of an owner", true, "owner"],
  ["unwatched, its shards of an owner", false, "owner"],
] as const)(
  "a reference %s: the counts are the same, and release runs in one read section",
  ([, lockdep, percpu]) => {
    cpu = boot_solo({ lockdep, percpu });
    expect(cpu.rcu_watched).toBe(lockdep);
    expect(life()).toEqual([
      [true, true, true, 0, 0],
      [true, false, false, 0, 0],
      [true, false, true, 0, 0],
      [false, 0, 0],
      [true, false, false, 1, 0],
    ]);
    expect(dmesg(cpu)).toEqual([]);
  },
);
