/** What kind of failure a text of the kernel's log tells of. */
import type { FailureKind } from "../world.ts";

/** The first that matches counts. */
const KINDS: readonly (readonly [RegExp, FailureKind])[] = [
  [/\bdouble-free\b|\bdouble free\b|\binvalid-free\b/i, "double-free"],
  [/^refcount_t:|\brefcount_t: |\bpercpu ref\b.*(?:<= 0|underflow|negative)/im, "refcount"],
  [
    /\buse-after-free\b|\bPoison overwritten\b|\bheld lock freed\b|\bactive object\b.*\bfree|\bfree active\b/i,
    "use-after-free",
  ],
  [
    /\bout-of-bounds\b|\bnull-ptr-deref\b|\bwild-memory-access\b|\binvalid-access\b|\bRedzone overwritten\b/i,
    "out-of-bounds",
  ],
  [/\bdata-race\b/i, "data-race"],
  [/\bsuspicious RCU usage\b|\bRCU\b|\brcu_\w+|\brcu: /, "rcu"],
  [/\bpossible (?:circular|recursive|irq) lock/i, "deadlock"],
  [/\bblocked for more than\b|\btasks wait for each other\b/i, "deadlock"],
  [/\binconsistent lock state\b|\binversion dependency\b|\bInvalid wait context\b|\bdeadlock\b/i, "deadlock"],
  [/\bworkqueue lockup\b|\bsoft lockup\b/i, "livelock"],
  [/\bunreferenced object\b|\bmemory leak\b|\bobjects remaining\b/i, "leak"],
];

/** A warning of no known kind is a "warning". */
export function kindOfWarning(text: string): FailureKind {
  return KINDS.find(([pattern]) => pattern.test(text))?.[1] ?? "warning";
}
