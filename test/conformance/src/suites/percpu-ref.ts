/**
 * percpu_ref: the laws that the comments of lib/percpu-refcount.c and include/linux/percpu-refcount.h state. There is
 * no public test of them, so case names are ours: "verb: law/mode", where mode says what a shard is: "atomic", a word
 * that is changed by a read-modify-write, or "owner", a plain word that only its CPU writes, as this_cpu_add does.
 *
 * The parts: percpu-ref-table.ts (the counter), percpu-ref-switch.ts (modes and lives), percpu-ref-load.ts (threads).
 */
import type { KernelConfig } from "@ringside/core/mm/memory-map";
import type { Case, Suite } from "../suite.ts";
import { LOAD_CASES, LOOKUP_CASE } from "./percpu-ref-load.ts";
import { SWITCH_CASES } from "./percpu-ref-switch.ts";
import { TABLE_CASES } from "./percpu-ref-table.ts";

function in_mode(test: Case, config: Partial<KernelConfig>): Case {
  return { ...test, name: `${test.name}/${config.percpu ?? ""}`, config };
}

function all_in_mode(percpu: KernelConfig["percpu"]): Case[] {
  const shared = [...TABLE_CASES, ...SWITCH_CASES, ...LOAD_CASES];
  return [...shared.map((test) => in_mode(test, { percpu })), in_mode(LOOKUP_CASE, { percpu, kasan: true })];
}

export const suite: Suite = {
  name: "percpu_ref",
  source: "lib/percpu-refcount.c",
  cases: [...all_in_mode("atomic"), ...all_in_mode("owner")],
};
