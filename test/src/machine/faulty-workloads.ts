/** Workloads that go wrong, for the tests of how a machine dies. Loaded by Machine's option `workloads`. */
import { BUG } from "@ringside/core/debug/warn";
import { machine_should_stop } from "@ringside/core/sched/kthread";
import { schedule_timeout } from "@ringside/core/sched/schedule";
import { set_current_state, TASK_UNINTERRUPTIBLE } from "@ringside/core/sched/task";
import type { Workload } from "@ringside/scenarios/workload";

export const workloads: Readonly<Record<string, Workload>> = {
  answers: (cpu) => ({ cpu: cpu.id }),
  throws: () => {
    throw new TypeError("the workload is wrong");
  },
  bugs: (cpu) => BUG(cpu, "the kernel is wrong"),
  exits: () => process.exit(3),
  spins: () => {
    for (;;);
  },
  /** Sleeps until the machine stops. */
  sleeps: (cpu) => {
    while (!machine_should_stop(cpu)) {
      set_current_state(cpu, TASK_UNINTERRUPTIBLE);
      schedule_timeout(cpu, 100);
    }
    return {};
  },
};
