/** Mutants of the virtual clock (sched/virtual-clock.ts). */
import type { Mutant } from "./mutant.ts";

const CLOCK = "packages/core/src/sched/virtual-clock.ts";
const TIMED = "workqueue.rst";

export const CLOCK_MUTANTS: readonly Mutant[] = [
  {
    name: "clock-passes-woken",
    edits: [
      {
        file: CLOCK,
        find: "if (cpu.mem.loadAcquire(cpu.mem.read(record + WORD)) !== cpu.mem.read(record + SEQUENCE)) return false;",
        replace: "",
      },
    ],
    breaks: "A thread that was woken but has not run yet does not hold time back.",
    caughtBy: ["a running item is not pending", "microseconds for both"],
    conformance: { suite: "workqueue", case: "wqt_12_drain/requeue" },
  },
  {
    name: "clock-passes-spawning",
    edits: [
      {
        file: CLOCK,
        find: "if (kthread_requests_open(cpu) || !all_idle(cpu)) return;",
        replace: "if (!all_idle(cpu)) return;",
      },
    ],
    breaks: "Time goes on while the host starts a kworker that was asked for.",
    caughtBy: ["events: expected"],
    conformance: { suite: TIMED, case: "cmwq with @max_active >= 3" },
  },
  {
    name: "clock-cpu-not-fifo",
    edits: [
      {
        file: CLOCK,
        find: "is_before(cpu, other + RUNNABLE, record + RUNNABLE)",
        replace: "is_before(cpu, record + RUNNABLE, other + RUNNABLE)",
      },
    ],
    breaks: "A simulated CPU goes to the thread that became runnable last.",
    caughtBy: ["events: expected"],
    conformance: { suite: TIMED, case: "WQ_CPU_INTENSIVE" },
  },
  {
    name: "clock-cpu-shared",
    edits: [
      {
        file: CLOCK,
        find: "if (state !== IN_LINE && state !== BURNING) continue;",
        replace: "if (state !== IN_LINE) continue;",
      },
    ],
    breaks: "Two threads burn the same simulated CPU at once.",
    caughtBy: ["events: expected"],
    conformance: { suite: TIMED, case: "WQ_CPU_INTENSIVE" },
  },
];
