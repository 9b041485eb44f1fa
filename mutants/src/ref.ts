/** Mutants of refcount_t and percpu_ref (core/src/ref). */
import type { Mutant } from "./mutant.ts";

const COUNT = "packages/core/src/ref/percpu-ref-count.ts";
const SWITCH = "packages/core/src/ref/percpu-ref-switch.ts";
const REFCOUNT = "packages/core/src/ref/refcount.ts";

const REFCOUNT_MUTANTS: readonly Mutant[] = [
  {
    name: "refcount-wraps",
    edits: [
      {
        file: REFCOUNT,
        find: "  cpu.mem.writeOnce(r, REFCOUNT_SATURATED);\n",
        replace: "",
      },
    ],
    breaks:
      "A counter that went over its edge stays what it wrapped to: it can come back to 0 while it is used.",
    caughtBy: ["the counter: expected -1073741824"],
    conformance: { suite: "lkdtm-refcount", case: "REFCOUNT_INC_OVERFLOW" },
  },
  {
    name: "refcount-inc-from-zero",
    edits: [
      {
        file: REFCOUNT,
        find: "    if (old === 0) return false;\n    const seen = cpu.mem.compareExchange(r, old, wrap(old + i));",
        replace: "    const seen = cpu.mem.compareExchange(r, old, wrap(old + i));",
      },
    ],
    breaks: "inc_not_zero brings a dead object back: whoever found it uses what is being freed.",
    caughtBy: ["0 is detected"],
    conformance: { suite: "lkdtm-refcount", case: "REFCOUNT_INC_ZERO" },
  },
  {
    name: "refcount-dec-hits-zero",
    edits: [
      { file: REFCOUNT, find: "  if (old <= 1) refcount_warn", replace: "  if (old < 1) refcount_warn" },
    ],
    breaks: "refcount_dec takes the last reference and nobody frees the object, silently.",
    caughtBy: ["the counter: expected -1073741824, got 0", "decrement hit 0"],
    conformance: { suite: "lkdtm-refcount", case: "REFCOUNT_DEC_ZERO" },
  },
];

const PERCPU_REF_MUTANTS: readonly Mutant[] = [
  {
    name: "kill-without-grace-period",
    edits: [
      {
        file: SWITCH,
        find: "  call_rcu_hurry(cpu, (data + RCU) as RcuHeadPtr, SWITCH_TO_ATOMIC_RCU);",
        replace: "  percpu_ref_switch_to_atomic_rcu(cpu, data + RCU);",
      },
    ],
    breaks: "The shards are summed at once, while CPUs may be inside a get or put, and the map goes early.",
    caughtBy: ["map-freed-early", "after switching to atomic", "while a reader of before the kill runs"],
    stress: {},
    conformance: {
      suite: "percpu_ref",
      case: "kill_and_confirm: confirm comes before release, and no live reference after it/atomic",
    },
  },
  {
    name: "percpu-ref-no-bias",
    edits: [
      {
        file: COUNT,
        find: "export const PERCPU_COUNT_BIAS = -0x80000000;",
        replace: "export const PERCPU_COUNT_BIAS = 0;",
      },
    ],
    breaks: "Puts of references that are counted on a shard meet 0 before the shards are summed.",
    caughtBy: ["releases before the shards are summed: expected 0, got 1"],
    conformance: {
      suite: "percpu_ref",
      case: "kill: a put between kill and switch meets the bias, not 0/atomic",
    },
  },
  {
    name: "percpu-ref-sum-by-shard",
    edits: [
      {
        file: SWITCH,
        find: "  let sum = 0;\n",
        replace: "  cpu.mem.fetchAdd(data + COUNT, -PERCPU_COUNT_BIAS);\n",
      },
      {
        file: SWITCH,
        find: "sum = (sum + cpu.mem.read(shards + id * PERCPU_LINE)) | 0;",
        replace: `{
    for (let i = 0; i < 2000; i++) cpu.mem.pause();
    cpu.mem.fetchAdd(data + COUNT, cpu.mem.read(shards + id * PERCPU_LINE));
  }`,
      },
      {
        file: SWITCH,
        find: "  cpu.mem.fetchAdd(data + COUNT, (sum - PERCPU_COUNT_BIAS) | 0);\n",
        replace: "",
      },
    ],
    breaks:
      "Shards are added one by one: the counter is 0 when the puts of one are in and the gets of another are not.",
    caughtBy: ["releases while a reference was held", "releases: expected 1", "after switching to atomic"],
    conformance: { suite: "percpu_ref", case: "load: puts while the shards are summed never meet 0/atomic" },
  },
  {
    name: "percpu-ref-kill-puts-twice",
    edits: [
      {
        file: SWITCH,
        find: "  __percpu_ref_switch_mode(cpu, ref, confirm);\n  percpu_ref_put(cpu, ref);\n",
        replace:
          "  __percpu_ref_switch_mode(cpu, ref, confirm);\n  percpu_ref_put(cpu, ref);\n  percpu_ref_put(cpu, ref);\n",
      },
    ],
    breaks: "kill drops a reference that somebody else holds.",
    caughtBy: ["references left: expected 1, got 0", "releases while one is held: expected 0, got 1"],
    conformance: { suite: "percpu_ref", case: "kill: drops the initial reference once/atomic" },
  },
  {
    name: "percpu-ref-live-when-dead",
    edits: [
      {
        file: COUNT,
        find: "  return (word & __PERCPU_REF_DEAD) === 0 && count_add_not_zero(cpu, ref, 1);",
        replace: "  return count_add_not_zero(cpu, ref, 1);",
      },
    ],
    breaks: "tryget_live succeeds on a killed reference in use: a drain need never end.",
    caughtBy: ["count: expected 1, got 2"],
    conformance: {
      suite: "percpu_ref",
      case: "tryget_live: percpu mode succeeds, a dead one fails though in use/atomic",
    },
  },
];

export const REF_MUTANTS: readonly Mutant[] = [...REFCOUNT_MUTANTS, ...PERCPU_REF_MUTANTS];
