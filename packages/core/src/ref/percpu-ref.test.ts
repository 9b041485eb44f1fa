/** percpu_ref: its laws on one CPU. Parallel ones are in percpu-ref-threads.test.ts. */
import { beforeEach, describe, expect, test } from "vitest";
import { kernel_static, kernel_symbol } from "../debug/image.ts";
import { GFP_KERNEL } from "../mm/slab.ts";
import { rcu_read_lock, rcu_read_unlock, synchronize_rcu } from "../rcu/rcu.ts";
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
  percpu_ref_kill_and_confirm,
  PERCPU_REF_ALLOW_REINIT,
  PERCPU_REF_INIT_ATOMIC,
  PERCPU_REF_INIT_DEAD,
  percpu_ref_put,
  percpu_ref_put_many,
  percpu_ref_reinit,
  percpu_ref_resurrect,
  PERCPU_REF_SIZE,
  percpu_ref_switch_to_atomic,
  percpu_ref_switch_to_atomic_sync,
  percpu_ref_switch_to_percpu,
  percpu_ref_tryget,
  percpu_ref_tryget_live,
  percpu_ref_tryget_live_rcu,
  percpu_ref_tryget_many,
  type PercpuRefPtr,
} from "./percpu-ref.ts";

const REF = kernel_static("test_percpu_ref", PERCPU_REF_SIZE) as PercpuRefPtr;
let events: string[] = [];
const RELEASE = kernel_symbol(test_release);
const CONFIRM = kernel_symbol(test_confirm);
function test_release(): void {
  events.push("release");
}
function test_confirm(): void {
  events.push("confirm");
}

let cpu: Cpu;
beforeEach(() => {
  cpu = boot_solo();
  events = [];
});
function init(flags: number): void {
  expect(percpu_ref_init(cpu, REF, RELEASE, flags, GFP_KERNEL)).toBe(0);
}
function grace_period(): void {
  synchronize_rcu(cpu);
}

describe("after init", () => {
  test.each([
    [0, false, false],
    [PERCPU_REF_ALLOW_REINIT, false, false],
    [PERCPU_REF_INIT_ATOMIC, false, false],
    [PERCPU_REF_INIT_DEAD, true, true],
    [PERCPU_REF_INIT_ATOMIC | PERCPU_REF_INIT_DEAD, true, true],
  ])("flags %i: dying %s, zero %s", (flags, dying, zero) => {
    init(flags);
    expect(percpu_ref_is_dying(cpu, REF)).toBe(dying);
    expect(percpu_ref_is_zero(cpu, REF)).toBe(zero);
    expect(percpu_ref_tryget_live(cpu, REF)).toBe(!dying);
  });
});

describe("percpu mode", () => {
  test("puts never release, whatever the sum", () => {
    init(0);
    percpu_ref_put_many(cpu, REF, 5);
    expect(percpu_ref_is_zero(cpu, REF)).toBe(false);
    percpu_ref_get_many(cpu, REF, 5);
    expect(events).toEqual([]);
  });

  test("kill releases a grace period later, not before", () => {
    init(0);
    percpu_ref_kill(cpu, REF);
    expect(events).toEqual([]);
    expect(percpu_ref_is_dying(cpu, REF)).toBe(true);
    grace_period();
    expect(events).toEqual(["release"]);
    expect(percpu_ref_is_zero(cpu, REF)).toBe(true);
  });

  test("a held reference defers release to its put", () => {
    init(0);
    percpu_ref_get(cpu, REF);
    percpu_ref_kill(cpu, REF);
    grace_period();
    expect(events).toEqual([]);
    percpu_ref_put(cpu, REF);
    expect(events).toEqual(["release"]);
  });

  test("confirm comes before release, and tryget_live fails after it", () => {
    init(0);
    percpu_ref_get(cpu, REF);
    percpu_ref_kill_and_confirm(cpu, REF, CONFIRM);
    grace_period();
    expect(events).toEqual(["confirm"]);
    expect(percpu_ref_tryget_live(cpu, REF)).toBe(false);
    expect(percpu_ref_tryget(cpu, REF), "dead, but not 0").toBe(true);
    percpu_ref_put_many(cpu, REF, 2);
    expect(events).toEqual(["confirm", "release"]);
    expect(percpu_ref_tryget(cpu, REF), "0").toBe(false);
    expect(percpu_ref_tryget_many(cpu, REF, 3)).toBe(false);
  });

  test("a put too many is reported by the switch", () => {
    init(0);
    percpu_ref_put_many(cpu, REF, 2);
    percpu_ref_kill(cpu, REF);
    grace_period();
    expect(dmesg(cpu)).toEqual([
      expect.stringContaining("percpu ref (test_release) <= 0 (-1) after switching to atomic"),
      "percpu_ref_switch_to_atomic_rcu(): percpu_ref underflow",
    ]);
  });
});

describe("atomic mode", () => {
  test("kill may release at once", () => {
    init(PERCPU_REF_INIT_ATOMIC);
    percpu_ref_kill_and_confirm(cpu, REF, CONFIRM);
    expect(events).toEqual(["confirm", "release"]);
  });

  test("a switch to atomic of a ref without ALLOW_REINIT ends dead", () => {
    init(0);
    percpu_ref_switch_to_atomic_sync(cpu, REF);
    expect(percpu_ref_is_dying(cpu, REF)).toBe(true);
    expect(events).toEqual([]);
  });

  test("switches keep the count; confirm is called at once when it is atomic already", () => {
    init(PERCPU_REF_ALLOW_REINIT);
    percpu_ref_get_many(cpu, REF, 3);
    percpu_ref_switch_to_atomic_sync(cpu, REF);
    percpu_ref_switch_to_atomic(cpu, REF, CONFIRM);
    expect(events).toEqual(["confirm"]);
    percpu_ref_switch_to_percpu(cpu, REF);
    percpu_ref_put_many(cpu, REF, 3);
    percpu_ref_kill(cpu, REF);
    grace_period();
    expect(events).toEqual(["confirm", "release"]);
  });

  test("switch_to_percpu without ALLOW_REINIT warns and does nothing", () => {
    init(0);
    percpu_ref_switch_to_percpu(cpu, REF);
    expect(dmesg(cpu), "already percpu: nothing to do").toEqual([]);
  });
});

describe("a second life", () => {
  test("reinit after 0: live again, released again", () => {
    init(PERCPU_REF_ALLOW_REINIT);
    percpu_ref_kill(cpu, REF);
    grace_period();
    percpu_ref_reinit(cpu, REF);
    expect(percpu_ref_tryget_live(cpu, REF)).toBe(true);
    percpu_ref_put(cpu, REF);
    percpu_ref_kill(cpu, REF);
    grace_period();
    expect(events).toEqual(["release", "release"]);
    expect(dmesg(cpu)).toEqual([]);
  });

  test("resurrect before 0 takes one reference and waits for the switch of the kill", () => {
    init(PERCPU_REF_ALLOW_REINIT);
    percpu_ref_get(cpu, REF);
    percpu_ref_kill(cpu, REF);
    percpu_ref_resurrect(cpu, REF);
    expect(percpu_ref_is_dying(cpu, REF)).toBe(false);
    percpu_ref_put(cpu, REF);
    percpu_ref_kill(cpu, REF);
    grace_period();
    expect(events).toEqual(["release"]);
  });

  test("a killed atomic ref stays atomic when it is resurrected", () => {
    init(PERCPU_REF_INIT_ATOMIC);
    percpu_ref_kill(cpu, REF);
    percpu_ref_reinit(cpu, REF);
    percpu_ref_kill(cpu, REF);
    expect(events, "both at once: no grace period").toEqual(["release", "release"]);
  });
});

describe("misuse warns", () => {
  test("a second kill", () => {
    init(0);
    percpu_ref_get(cpu, REF);
    percpu_ref_kill(cpu, REF);
    percpu_ref_kill(cpu, REF);
    expect(dmesg(cpu)).toEqual([
      expect.stringContaining("percpu_ref_kill_and_confirm called more than once on test_release!"),
    ]);
  });

  test("tryget_live_rcu outside a read section", () => {
    init(0);
    rcu_read_lock(cpu);
    percpu_ref_tryget_live_rcu(cpu, REF);
    rcu_read_unlock(cpu);
    expect(dmesg(cpu)).toEqual([]);
    percpu_ref_tryget_live_rcu(cpu, REF);
    expect(dmesg(cpu)).toHaveLength(1);
  });

  test("resurrect of a live ref, reinit of one that is not 0", () => {
    init(PERCPU_REF_ALLOW_REINIT | PERCPU_REF_INIT_ATOMIC);
    percpu_ref_resurrect(cpu, REF);
    expect(dmesg(cpu)).toHaveLength(1);
    percpu_ref_kill(cpu, REF);
    percpu_ref_reinit(cpu, REF);
    expect(dmesg(cpu)).toHaveLength(2);
  });

  test("exit while a switch is in progress", () => {
    init(PERCPU_REF_ALLOW_REINIT);
    percpu_ref_kill(cpu, REF);
    percpu_ref_exit(cpu, REF);
    expect(dmesg(cpu)).toHaveLength(1);
  });
});

describe("exit", () => {
  test("keeps dead and the final count, twice is fine, and so is a zeroed ref", () => {
    init(0);
    percpu_ref_get(cpu, REF);
    percpu_ref_kill(cpu, REF);
    grace_period();
    percpu_ref_exit(cpu, REF);
    expect(percpu_ref_tryget_live(cpu, REF)).toBe(false);
    expect(percpu_ref_is_dying(cpu, REF)).toBe(true);
    expect(percpu_ref_is_zero(cpu, REF), "one was held").toBe(false);
    percpu_ref_exit(cpu, REF);
    cpu.mem.memset(REF, 0, PERCPU_REF_SIZE);
    percpu_ref_exit(cpu, REF);
    expect(dmesg(cpu)).toEqual([]);
  });
});
