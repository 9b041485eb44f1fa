/** What the machines of `ringside conformance` load: every suite. */
import type { Workload } from "@ringside/scenarios/workload";
import { conformance_workloads } from "./bodies.ts";
import { suites } from "./suites/index.ts";

export const workloads: Readonly<Record<string, Workload>> = conformance_workloads(suites);
