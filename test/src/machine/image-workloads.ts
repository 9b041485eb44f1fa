/** Workloads that bring static data of their own; loaded as "?differ", other data in each thread. */
import { threadId } from "node:worker_threads";
import { kernel_static } from "@ringside/core/debug/image";
import type { Workload } from "@ringside/scenarios/workload";

kernel_static(import.meta.url.endsWith("?differ") ? `of_thread_${threadId}` : "of_all_threads", 4);

export const workloads: Readonly<Record<string, Workload>> = {};
