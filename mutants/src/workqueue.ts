/** Mutants of the workqueue (core/src/sched/wq-*.ts). */
import type { Mutant } from "./mutant.ts";

const INSERT = "packages/core/src/sched/wq-insert.ts";
const POOL = "packages/core/src/sched/wq-pool.ts";
const PWQ = "packages/core/src/sched/wq-pwq.ts";
const WORKER = "packages/core/src/sched/wq-worker.ts";
const FLUSH = "packages/core/src/sched/wq-flush.ts";
const CANCEL = "packages/core/src/sched/wq-cancel.ts";
const RESCUER = "packages/core/src/sched/wq-rescuer.ts";
const WORKQUEUE = "packages/core/src/sched/workqueue.ts";

const QUEUEING_MUTANTS: readonly Mutant[] = [
  {
    name: "wq-pending-ignored",
    edits: [
      {
        file: INSERT,
        find: "  if ((old & WORK_STRUCT_PENDING) !== 0) return false;\n",
        replace: "",
      },
    ],
    breaks: "queue_work queues an item that is queued already: its list entry is on two lists.",
    caughtBy: ["hung", "executed + cancelled", "wq-insert.ts"],
    conformance: { suite: "workqueue", case: "wqt_09_torture" },
  },
  {
    name: "wq-reentrant",
    edits: [
      {
        file: POOL,
        find: "  const collision = find_executing_worker(cpu, pool, work);\n",
        replace: "  const collision: number = 0;\n",
      },
      {
        file: INSERT,
        find: "    if (running !== 0 && cpu.mem.read(running + PWQ_WQ) === wq) return running;\n",
        replace: "",
      },
    ],
    breaks: "An item that is queued while it runs is given to another worker: it runs twice at once.",
    caughtBy: ["runs of one item at once: expected 1, got 2"],
    conformance: { suite: "workqueue", case: "wqt_12_drain/requeue" },
  },
  {
    name: "wq-pending-cleared-late",
    edits: [
      {
        file: POOL,
        find:
          "  set_work_data(cpu, work, offq_data(cpu, pool, 0));\n" +
          "  spin_unlock_irqrestore(cpu, pool + POOL_LOCK);\n" +
          "  call_work_function(cpu, pwq, func, work);\n",
        replace:
          "  spin_unlock_irqrestore(cpu, pool + POOL_LOCK);\n" +
          "  call_work_function(cpu, pwq, func, work);\n" +
          "  set_work_data(cpu, work, offq_data(cpu, pool, 0));\n",
      },
    ],
    breaks: "PENDING is cleared after the function: queueing from inside or meanwhile is lost.",
    caughtBy: ["queue_work of a running item returns true"],
    conformance: { suite: "workqueue", case: "wqt_12_drain/requeue" },
  },
  {
    name: "wq-cpu-ignored",
    edits: [
      {
        file: INSERT,
        find: "id === WORK_CPU_UNBOUND ? raw_smp_processor_id(cpu) : checked_cpu(cpu, id)",
        replace: "id === WORK_CPU_UNBOUND ? raw_smp_processor_id(cpu) : checked_cpu(cpu, 0)",
      },
    ],
    breaks: "queue_work_on queues everything on CPU 0.",
    caughtBy: ["CPU of the item for 1: expected 1, got 0"],
    conformance: { suite: "workqueue", case: "wqt_07_queue_on_cpu" },
  },
];

const LIMIT_MUTANTS: readonly Mutant[] = [
  {
    name: "wq-max-active-ignored",
    edits: [
      {
        file: PWQ,
        find: "  if (active >= cpu.mem.read(pwq + PWQ_MAX_ACTIVE)) return false;\n",
        replace: "",
      },
    ],
    breaks: "More than max_active works of a queue run at once; an ordered queue is none.",
    caughtBy: ["max_active 1: peak concurrency"],
    conformance: { suite: "workqueue", case: "wqt_03_max_active" },
  },
  {
    name: "wq-max-active-not-changed",
    edits: [{ file: WORKQUEUE, find: "  cpu.mem.write(pwq + PWQ_MAX_ACTIVE, active);\n", replace: "" }],
    breaks: "workqueue_set_max_active changes what is said of the queue and not what its pools do.",
    caughtBy: ["max_active raised to 4, but peak concurrency 1"],
    conformance: { suite: "workqueue", case: "wqt_14_set_max_active" },
  },
];

const WAITING_MUTANTS: readonly Mutant[] = [
  {
    name: "wq-flush-does-not-wait",
    edits: [
      {
        file: FLUSH,
        find: "  const waits = start_flush_work(cpu, work, barrier, from_cancel);\n",
        replace: "  const waits: boolean = false;\n",
      },
    ],
    breaks: "flush_work returns while the work is queued or running.",
    caughtBy: ["flush_work of a queued item returns true"],
    conformance: { suite: "workqueue", case: "wqt_11_flush" },
  },
  {
    name: "wq-cancel-sync-does-not-wait",
    edits: [
      {
        file: CANCEL,
        find: "  const was = disable_work(cpu, work);\n  __flush_work(cpu, work, true);\n",
        replace: "  const was = disable_work(cpu, work);\n",
      },
    ],
    breaks: "cancel_work_sync returns while the function still runs: the caller frees what it uses.",
    caughtBy: ["runs of the item that was running: expected 1, got 0"],
    conformance: { suite: "workqueue", case: "wqt_05_cancel" },
  },
  {
    name: "wq-flush-first-cpu-only",
    edits: [
      {
        file: FLUSH,
        find:
          "  for (let i = 0; i < nr_pwqs(cpu, wq); i++) {\n" +
          "    const pwq = wq_pwq(cpu, wq, i);\n" +
          "    const pool = cpu.mem.read(pwq + PWQ_POOL);\n" +
          "    spin_lock_irqsave(cpu, pool + POOL_LOCK);\n" +
          "    const done",
        replace:
          "  for (let i = 0; i < 1; i++) {\n" +
          "    const pwq = wq_pwq(cpu, wq, i);\n" +
          "    const pool = cpu.mem.read(pwq + PWQ_POOL);\n" +
          "    spin_lock_irqsave(cpu, pool + POOL_LOCK);\n" +
          "    const done",
      },
    ],
    breaks: "flush_workqueue waits for the works of CPU 0 and forgets the other pools.",
    caughtBy: ["isn't complete after", "expected"],
    conformance: { suite: "workqueue", case: "wqt_27_percpu_lifecycle" },
  },
];

const WORKER_MUTANTS: readonly Mutant[] = [
  {
    name: "wq-no-handover",
    edits: [
      {
        file: WORKER,
        find: "  pool_count_running(cpu, pool, -1);\n  kick_pool(cpu, pool);\n",
        replace: "",
      },
    ],
    breaks:
      "A worker that blocks keeps its pool: works wait for one that cannot run, perhaps for each other.",
    caughtBy: ["hung"],
    conformance: { suite: "workqueue.rst", case: "cmwq with @max_active >= 3" },
  },
  {
    name: "wq-no-mayday",
    edits: [
      {
        file: RESCUER,
        find: "      send_mayday(cpu, data_pwq(cpu.mem.readOnce(work + WORK_DATA)));\n",
        replace: "",
      },
    ],
    breaks: "The rescuer is never called: a reclaiming queue starves when no thread can come.",
    caughtBy: ["hung"],
    conformance: { suite: "workqueue", case: "wqt_06_mem_reclaim/no free kworker" },
  },
];

export const WORKQUEUE_MUTANTS: readonly Mutant[] = [
  ...QUEUEING_MUTANTS,
  ...LIMIT_MUTANTS,
  ...WAITING_MUTANTS,
  ...WORKER_MUTANTS,
];
