/** Mutants of ww_mutex (core/src/lock). */
import type { Mutant } from "./mutant.ts";

const WW = "packages/core/src/lock/ww-mutex.ts";

export const LOCK_MUTANTS: readonly Mutant[] = [
  {
    name: "ww-younger-waits",
    edits: [
      {
        file: WW,
        find: "  if (holder !== 0 && __ww_ctx_less(cpu, ctx, holder)) return kill_self(cpu, lock, ctx);\n",
        replace: "",
      },
    ],
    breaks: "wait-die: a younger context waits for an older holder, which waits for it.",
    caughtBy: ["hung"],
    conformance: { suite: "test-ww_mutex", case: "test_abba(trylock=0,resolve=0)/wd" },
  },
  {
    name: "ww-wound-ignored",
    edits: [
      {
        file: WW,
        find: "return ww_ctx_wounded(cpu, ctx) ? kill_self(cpu, lock, ctx) : 0;",
        replace: "return 0;",
      },
    ],
    breaks: "wound-wait: a wounded context waits on, and the older one that wounded it too.",
    caughtBy: ["hung"],
    conformance: { suite: "test-ww_mutex", case: "test_abba(trylock=0,resolve=0)/ww" },
  },
  {
    name: "ww-trylock-without-context",
    edits: [
      {
        file: WW,
        find: "  if (!__mutex_trylock(cpu, lock)) return false;\n  set_context_fastpath(cpu, lock, ctx);\n",
        replace: "  if (!__mutex_trylock(cpu, lock)) return false;\n",
      },
    ],
    breaks: "A lock taken by trylock has no context: nobody sees whose it is, deadlocks go undetected.",
    caughtBy: ["the lock's context"],
    conformance: { suite: "test-ww_mutex", case: "test_abba(trylock=1,resolve=0)/ww" },
  },
  {
    name: "ww-no-ealready",
    edits: [{ file: WW, find: "  if (ww_mutex_ctx(cpu, lock) === ctx) return -EALREADY;\n", replace: "" }],
    breaks: "A context that wants a lock it has waits for itself.",
    caughtBy: ["ww_mutex_lock_interruptible of a lock the context has", "hung"],
    conformance: { suite: "test-ww_mutex", case: "test_aa(lock)/ww" },
  },
  {
    name: "ww-context-outlives-lock",
    edits: [{ file: WW, find: "    cpu.mem.writeOnce(lock + CTX, 0);\n  }\n", replace: "  }\n" }],
    breaks:
      "An unlocked lock keeps its owner's context: the next one is compared with a stack frame that is gone.",
    caughtBy: ["DEBUG_LOCKS_WARN_ON(!lock->ctx->acquired)"],
    conformance: { suite: "locking-selftest", case: "ww_test_fail_acquire" },
  },
];
