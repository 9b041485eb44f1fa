/** Mutants of the lock validator (core/src/lock/lockdep*.ts): what it no longer sees, or sees where nothing is. */
import type { Mutant } from "./mutant.ts";

const LOCKDEP = "packages/core/src/lock/lockdep.ts";
const CHECK = "packages/core/src/lock/lockdep-check.ts";
const GRAPH = "packages/core/src/lock/lockdep-graph.ts";
const SUITE = "locking-selftest";

export const LOCKDEP_MUTANTS: readonly Mutant[] = [
  {
    name: "lockdep-no-order",
    edits: [
      {
        file: CHECK,
        find: "  if (same === NONE) {\n    check_prevs_add(cpu, next);\n",
        replace: "  if (same === NONE) {\n",
      },
    ],
    breaks: "No order of locks is remembered: two locks in both orders go unseen until they deadlock.",
    caughtBy: ["possible circular locking dependency detected"],
    conformance: { suite: SUITE, case: "ABBA_spin" },
  },
  {
    name: "lockdep-direct-cycles-only",
    edits: [
      {
        file: GRAPH,
        find: "    for (let index = cpu.mem.read(class_at(cpu, step.to) + CLASS_FIRST); index !== 0; ) {",
        replace:
          "    for (let index = i > 0 ? 0 : cpu.mem.read(class_at(cpu, step.to) + CLASS_FIRST); index !== 0; ) {",
      },
    ],
    breaks: "The order is followed for one step: a cycle of three locks goes unseen.",
    caughtBy: ["possible circular locking dependency detected"],
    conformance: { suite: SUITE, case: "ABBCCA_spin" },
  },
  {
    name: "lockdep-one-class-twice",
    edits: [{ file: CHECK, find: "    return nest ? NESTED : i;", replace: "    return NESTED;" }],
    breaks: "Two locks of one class may be held at once, in any order.",
    caughtBy: ["possible recursive locking detected"],
    conformance: { suite: SUITE, case: "ww_test_block_block" },
  },
  {
    name: "lockdep-trylock-waits",
    edits: [
      {
        file: CHECK,
        find: "  if ((flags & HELD_TRYLOCK) !== 0) return;\n  const same",
        replace: "  const same",
      },
    ],
    breaks: "A lock that was only tried depends on what was held: it is reported though nobody ever waits.",
    caughtBy: ["WARNING: possible"],
    conformance: { suite: SUITE, case: "ww_test_spin_try" },
  },
  {
    name: "lockdep-nest-lock-unasked",
    edits: [
      {
        file: CHECK,
        find: "  if (held_find(cpu, nest_lock) >= 0) return;\n",
        replace: "  if (nest_lock !== 0) return;\n",
      },
    ],
    breaks: "Nobody asks whether the lock that makes nesting safe is held.",
    caughtBy: ["Nested lock was not taken"],
    conformance: { suite: SUITE, case: "ww_test_spin_nest_unlocked" },
  },
  {
    name: "lockdep-nest-lock-ignored",
    edits: [
      {
        file: LOCKDEP,
        find: "  if (nest_lock !== 0 && merge_with_last(cpu, class_id)) return false;\n",
        replace: "",
      },
      { file: CHECK, find: "    return nest ? NESTED : i;", replace: "    return i;" },
    ],
    breaks: "Locks of one context are reported as if nothing ordered them.",
    caughtBy: ["possible recursive locking detected"],
    conformance: { suite: SUITE, case: "ww_test_context_context" },
  },
  {
    name: "lockdep-unlock-unasked",
    edits: [
      {
        file: LOCKDEP,
        find: "  if (first_report(cpu, UNLOCK, class_id, site)) report_bad_unlock(cpu, class_id, site);\n",
        replace: "",
      },
    ],
    breaks: "An unlock without its lock is not told.",
    caughtBy: ["bad unlock balance detected"],
    conformance: { suite: SUITE, case: "double_unlock_spin" },
  },
  {
    name: "lockdep-init-held-unseen",
    edits: [{ file: LOCKDEP, find: "  check_not_held(cpu, lock, 4);\n", replace: "" }],
    breaks: "A lock may be made anew while it is held.",
    caughtBy: ["held lock freed"],
    conformance: { suite: SUITE, case: "init_held_spin" },
  },
];
