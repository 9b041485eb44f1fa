/**
 * B. Leitao's workqueue selftests (github.com/leitao/wqtest, "wq_testsuite"), re-expressed: what kernel/workqueue.c
 * promises about running once, order, max_active, delays, cancel, flush, drain and where works run. And
 * lib/test_workqueue.c, the benchmark the suite grew from.
 *
 * The modules are numbered; a case has its module's name. Those that measure time run on the virtual clock.
 */
import type { Body, Case, Suite } from "../suite.ts";
import {
  wqt_17_probe_on_node,
  wqt_18_vmstat_shepherd,
  wqt_19_rcu_free,
  wqt_19_reader,
  wqt_20_highpri,
  wqt_21_irq_bh,
} from "./workqueue-idioms.ts";
import { test_workqueue, wqt_09_torture, wqt_10_perf } from "./workqueue-load.ts";
import {
  wqt_23_congested,
  wqt_24_percpu_pwq,
  wqt_25_nr_active_paths,
  wqt_27_percpu_lifecycle,
} from "./workqueue-pwq.ts";
import {
  wqt_01_basic,
  wqt_02_ordered,
  wqt_03_max_active,
  wqt_06_mem_reclaim,
  wqt_07_queue_on_cpu,
  wqt_08_flags_matrix,
  wqt_12_drain,
  wqt_12_requeue,
  wqt_14_set_max_active,
  wqt_16_blocking_progress,
} from "./workqueue-queue.ts";
import { RESCUE_KTHREADS, wqt_06_rescued } from "./workqueue-rescue.ts";
import {
  wqt_04_delayed,
  wqt_05_cancel,
  wqt_11_flush,
  wqt_13_rcu_work,
  wqt_15_cancel_delayed,
  wqt_22_timeout,
} from "./workqueue-wait.ts";

/** CPUs of the load cases. */
const THREADS = 4;
const VIRTUAL = { config: { clock: "virtual" } } as const;

function on_all(body: Body): readonly Body[] {
  return Array.from({ length: THREADS }, () => body);
}

function skipped(names: readonly string[], skip: string): Case[] {
  return names.map((name) => ({ name, bodies: [], skip }));
}

const BH_MODULES = [
  "wqt_28_bh_basic",
  "wqt_29_bh_ordering",
  "wqt_30_bh_softirq_gate",
  "wqt_31_bh_highpri",
  "wqt_32_bh_delayed",
  "wqt_33_bh_cancel",
  "wqt_34_bh_requeue",
  "wqt_35_bh_hotplug",
  "wqt_36_bh_driver_idiom",
];
const SYSFS_SCRIPTS = [
  "wqt_37_sysfs_attrs",
  "wqt_38_sysfs_write",
  "wqt_39_sysfs_cpumask",
  "wqt_40_sysfs_max_active_domains",
];

export const suite: Suite = {
  name: "workqueue",
  source: "wqtest/wqt_*.c, lib/test_workqueue.c",
  cases: [
    { name: "wqt_01_basic", bodies: [wqt_01_basic] },
    { name: "wqt_02_ordered", bodies: [wqt_02_ordered] },
    { name: "wqt_03_max_active", bodies: [wqt_03_max_active] },
    { name: "wqt_05_cancel", bodies: [wqt_05_cancel] },
    { name: "wqt_06_mem_reclaim", bodies: [wqt_06_mem_reclaim] },
    {
      name: "wqt_06_mem_reclaim/no free kworker",
      bodies: [wqt_06_rescued],
      config: { kthreads: RESCUE_KTHREADS },
    },
    { name: "wqt_07_queue_on_cpu", bodies: [wqt_07_queue_on_cpu] },
    { name: "wqt_08_flags_matrix", bodies: [wqt_08_flags_matrix] },
    { name: "wqt_09_torture", bodies: on_all(wqt_09_torture), seconds: 3 },
    { name: "wqt_10_perf", bodies: on_all(wqt_10_perf) },
    { name: "wqt_12_drain", bodies: [wqt_12_drain] },
    { name: "wqt_13_rcu_work", bodies: [wqt_13_rcu_work] },
    { name: "wqt_14_set_max_active", bodies: [wqt_14_set_max_active] },
    { name: "wqt_16_blocking_progress", bodies: [wqt_16_blocking_progress] },
    { name: "wqt_17_probe_on_node", bodies: [wqt_17_probe_on_node] },
    { name: "wqt_18_vmstat_shepherd", bodies: [wqt_18_vmstat_shepherd] },
    { name: "wqt_19_rcu_free", bodies: [wqt_19_rcu_free, wqt_19_reader] },
    { name: "wqt_20_highpri", bodies: [wqt_20_highpri] },
    { name: "wqt_21_irq_bh", bodies: [wqt_21_irq_bh] },
    { name: "wqt_23_congested", bodies: [wqt_23_congested] },
    { name: "wqt_24_percpu_pwq", bodies: [wqt_24_percpu_pwq] },
    { name: "wqt_25_nr_active_paths", bodies: [wqt_25_nr_active_paths] },
    ...skipped(
      ["wqt_26_pool_backing"],
      "its oracle is the worker's name and nice value: kworkers have neither here",
    ),
    { name: "wqt_27_percpu_lifecycle", bodies: [wqt_27_percpu_lifecycle] },
    ...skipped(BH_MODULES, "WQ_BH: there are no softirq workqueues here"),
    ...skipped(SYSFS_SCRIPTS, "a user space test of sysfs, which does not exist here"),
    { name: "test_workqueue", bodies: on_all(test_workqueue) },
    { name: "wqt_04_delayed", bodies: [wqt_04_delayed], ...VIRTUAL },
    { name: "wqt_11_flush", bodies: [wqt_11_flush], ...VIRTUAL },
    { name: "wqt_12_drain/requeue", bodies: [wqt_12_requeue], ...VIRTUAL },
    { name: "wqt_15_cancel_delayed", bodies: [wqt_15_cancel_delayed], ...VIRTUAL },
    { name: "wqt_22_timeout", bodies: [wqt_22_timeout], ...VIRTUAL },
  ],
};
