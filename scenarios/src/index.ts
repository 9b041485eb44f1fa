/**
 * All workloads by name. This module is the root of the kernel image too: every thread and the host load it
 * before any other kernel module, so that all of them number symbols and static data alike.
 */
import "./kernel.ts";
import { bench_io } from "./bench-io.ts";
import { nvme_info } from "./nvme-info.ts";
import { nvme_smart } from "./nvme-smart.ts";
import { stray_dma } from "./stray-dma.ts";
import { stress_exporter } from "./stress-exporter.ts";
import { stress_io } from "./stress-io.ts";
import type { Workload } from "./workload.ts";

export const workloads: Readonly<Record<string, Workload>> = {
  "stress-io": stress_io,
  "stress-exporter": stress_exporter,
  "nvme-smart": nvme_smart,
  "nvme-info": nvme_info,
  "bench-io": bench_io,
  "stray-dma": stray_dma,
};
