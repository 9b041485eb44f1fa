/** Short stress runs that end once they have shown something. */
import { DEFAULT_STRESS, run_stress, type StressOptions, type StressReport } from "@ringside/workers/stress";

/** A run shows nothing before each slot has seen several I/Os and the adversary has struck. */
const MIN_SECONDS = 0.25;
const IOS_PER_SLOT = 4;
const INVALIDATIONS = 3;
/** Enough on a machine that does ten other things. */
const MAX_SECONDS = 25;

/** Everything a report says is wrong. */
export function complaints(report: StressReport): string {
  const leaks = report.leaks.map((leak) => `leak: ${leak.objects} objects from ${leak.site}`);
  return [...report.violations, ...report.warnings, ...leaks].join("\n");
}

/** Runs until every slot has worked and, with dma-buf buffers, maps were invalidated under load. */
export async function verified_run(overrides: Partial<StressOptions>): Promise<StressReport> {
  const options = { ...DEFAULT_STRESS, seconds: MAX_SECONDS, ...overrides };
  const enough = new AbortController();
  const wanted = options.buffer === "dmabuf" ? INVALIDATIONS : 0;
  const ios = options.depth * (options.cpus - 1) * IOS_PER_SLOT;
  return await run_stress(options, {
    signal: enough.signal,
    onProgress: ({ seconds, completed, invalidations }) => {
      if (seconds >= MIN_SECONDS && completed >= ios && invalidations >= wanted) enough.abort();
    },
  });
}
