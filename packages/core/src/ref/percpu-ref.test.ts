/**
 * percpu_ref: what ends or endangers a machine, so that it has no place among the laws of the conformance suite
 * "percpu_ref", which are all the others.
 */
import { beforeEach, expect, test } from "vitest";
import { kernel_static, kernel_symbol } from "../debug/image.ts";
import { KernelBug } from "../debug/warn.ts";
import { GFP_KERNEL } from "../mm/slab.ts";
import type { Cpu } from "../sched/cpu.ts";
import { boot_solo, dmesg } from "../testing/solo.ts";
import {
  percpu_ref_exit,
  percpu_ref_init,
  percpu_ref_kill,
  PERCPU_REF_ALLOW_REINIT,
  percpu_ref_put,
  percpu_ref_resurrect,
  PERCPU_REF_SIZE,
  percpu_ref_switch_to_atomic_sync,
  percpu_ref_switch_to_percpu,
  type PercpuRefPtr,
} from "./percpu-ref.ts";

const REF = kernel_static("test_percpu_ref", PERCPU_REF_SIZE) as PercpuRefPtr;
const RELEASE = kernel_symbol(test_release);
function test_release(): void {}

let cpu: Cpu;
beforeEach(() => {
  cpu = boot_solo();
});
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
