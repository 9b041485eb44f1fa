/** Cases that fail in every way a case can, for the tests of the runner. Loaded as the real suites are. */
import { kernel_exitcall, kernel_static, kernel_symbol } from "@ringside/core/debug/image";
import { BUG, WARN, WARN_ON_ONCE, WARN_ONCE } from "@ringside/core/debug/warn";
import { GFP_KERNEL, kfree, kmalloc } from "@ringside/core/mm/slab";
import { rcu_read_lock } from "@ringside/core/rcu/rcu";
import { MAX_SCHEDULE_TIMEOUT, schedule_timeout } from "@ringside/core/sched/schedule";
import { set_current_state, TASK_UNINTERRUPTIBLE } from "@ringside/core/sched/task";

import { INIT_WORK, queue_work, system_wq, WORK_STRUCT_SIZE } from "@ringside/core/sched/workqueue";
import type { Cpu } from "@ringside/core/sched/cpu";
import { msleep } from "@ringside/core/sched/delay";
import type { Workload } from "@ringside/scenarios/workload";
import { conformance_workloads } from "../bodies.ts";
import type { Body, Case, Suite } from "../suite.ts";

const nothing: Body = () => {};

/** Set: the machine warns when it shuts down. */
const WARN_AT_EXIT = kernel_static("faulty_warn_at_exit", 4);

function warn_at_exit(cpu: Cpu): void {
  WARN(cpu, cpu.mem.loadAcquire(WARN_AT_EXIT) !== 0, "too late");
}
kernel_exitcall(warn_at_exit);

function sleep_forever(cpu: Cpu): void {
  set_current_state(cpu, TASK_UNINTERRUPTIBLE);
  schedule_timeout(cpu, MAX_SCHEDULE_TIMEOUT);
}

const WORK = kernel_static("faulty_work", WORK_STRUCT_SIZE);
const SLEEP_FOREVER = kernel_symbol(sleep_forever);

const PASSING: readonly Case[] = [
  { name: "passes", bodies: [(cpu, t) => void t.equal(cpu.id, t.index, "the body's CPU")] },
  {
    name: "meets",
    bodies: [0, 1, 2].map(
      (): Body => (cpu, t) => {
        for (let i = 1; i <= 20; i++) {
          cpu.mem.fetchAdd(t.scratch, 1);
          t.meet();
          t.equal(cpu.mem.loadAcquire(t.scratch), 3 * i, "arrivals");
          t.meet();
        }
      },
    ),
  },
  {
    name: "finds its scratch memory zeroed",
    bodies: [(cpu, t) => void t.equal(cpu.mem.read(t.scratch), 0, "scratch")],
  },
  {
    name: "warns as announced",
    bodies: [(cpu) => void WARN_ONCE(cpu, true, "as I said")],
    warns: ["as I said"],
  },
  { name: "notes", bodies: [(cpu, t) => t.note("42 rounds")] },
  {
    name: "runs for its time",
    seconds: 60,
    bodies: [
      (cpu, t) => {
        const start = cpu.now();
        msleep(cpu, t.seconds * 1000);
        t.ok(cpu.now() - start >= t.seconds * 1000, "ran for t.seconds");
        t.note(`seconds ${t.seconds}`);
      },
    ],
  },
  { name: "draws", bodies: [(cpu, t) => t.note(`drew ${cpu.random32()}`)] },
  {
    name: "has its own configuration",
    config: { kasan: true, cpus: 2 },
    bodies: [(cpu, t) => void t.ok(cpu.config.kasan, "kasan")],
  },
  { name: "is skipped", bodies: [nothing], skip: "needs real hardware" },
];

const FAILING: readonly Case[] = [
  { name: "fails a check", bodies: [(cpu, t) => void t.equal(1 + 1, 3, "one and one"), nothing] },
  {
    name: "fails a check very often",
    bodies: [
      (_, t) => {
        for (let i = 0; i < 100_000; i++) t.ok(false, `round ${i}`);
      },
    ],
  },
  { name: "warns unannounced", bodies: [(cpu) => void WARN_ON_ONCE(cpu, true)] },
  { name: "does not warn", bodies: [nothing], warns: ["the sky falls"] },
  { name: "leaks", bodies: [(cpu) => void kmalloc(cpu, 40, GFP_KERNEL)] },
  {
    name: "warns late",
    alone: true,
    bodies: [(cpu) => cpu.mem.storeRelease(WARN_AT_EXIT, 1)],
  },
  { name: "fails at the third seed", bodies: [(_, t) => void t.ok(t.seed !== 42, "the third seed")] },
  { name: "frees what it took", bodies: [(cpu) => kfree(cpu, kmalloc(cpu, 40, GFP_KERNEL))] },
  { name: "stays in a read section", bodies: [(cpu) => rcu_read_lock(cpu)] },
  { name: "misses a meeting", bodies: [(_, t) => t.meet(), nothing] },
];

const FATAL: readonly Case[] = [
  {
    name: "throws",
    bodies: [
      () => {
        throw new TypeError("the body is wrong");
      },
    ],
  },
  { name: "bugs", bodies: [nothing, (cpu) => BUG(cpu, "the kernel is wrong")] },
  {
    name: "hangs",
    bodies: [
      nothing,
      (cpu, t) => {
        t.ok(false, "said before it hung");
        sleep_forever(cpu);
      },
    ],
  },
  {
    name: "spins",
    bodies: [
      () => {
        for (;;);
      },
    ],
  },
  {
    name: "breaks what comes after it",
    bodies: [
      (cpu) => {
        INIT_WORK(cpu, WORK, SLEEP_FOREVER);
        queue_work(cpu, system_wq(cpu), WORK);
      },
    ],
  },
  { name: "wants a machine for itself", alone: true, bodies: [nothing] },
];

export const suites: readonly Suite[] = [
  { name: "passing", source: "none", cases: PASSING },
  { name: "failing", source: "none", cases: FAILING },
  { name: "fatal", source: "none", cases: FATAL },
];

export const workloads: Readonly<Record<string, Workload>> = conformance_workloads(suites);
