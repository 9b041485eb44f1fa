/**
 * All workloads by name. This module is the root of the kernel image too: every thread and the host load it
 * before any other kernel module, so that all of them number symbols and static data alike.
 */
import "./kernel.ts";
import { image_hash } from "@ringside/core/debug/image";
import { bench_invalidate, bench_invalidate_idle } from "./bench-invalidate.ts";
import { bench_io, bench_register } from "./bench-io.ts";
import { bench_percpu_kill } from "./bench-percpu-kill.ts";
import { fio_job } from "./fio/job.ts";
import { nvme_info } from "./nvme-info.ts";
import { nvme_smart } from "./nvme-smart.ts";
import { rcutorture, rcutorture_cleanup, rcutorture_init } from "./rcutorture.ts";
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
  "fio-job": fio_job,
  "bench-register": bench_register,
  "bench-invalidate": bench_invalidate,
  "bench-invalidate-idle": bench_invalidate_idle,
  "bench-percpu-kill": bench_percpu_kill,
  "stray-dma": stray_dma,
  rcutorture,
  "rcutorture-init": rcutorture_init,
  "rcutorture-cleanup": rcutorture_cleanup,
};

/**
 * Hash of the image up to here. A process that goes on to load more kernel code, such as test suites, still has this
 * part in common with every other thread.
 */
export const base_image: number = image_hash();
