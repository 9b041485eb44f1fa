/** A stress run as a job of a pool (jobs.ts). */
import { run_stress, type StressReport } from "./stress.ts";
import type { StressOptions } from "./stress-config.ts";

export default async function stress_job(options: StressOptions): Promise<StressReport> {
  return await run_stress(options);
}
