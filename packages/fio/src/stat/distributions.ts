/** Shares in percent of what a thread counted: latencies, depths, batches (stat_calc_dist, stat_calc_lat). */
import type { ThreadStat } from "./thread-stat.ts";

/** `least`: what is there is never shown as 0. */
function shares(counts: Float64Array, total: number, least: number): number[] {
  return Array.from(counts, (count) => {
    if (total === 0 || count === 0) return 0;
    return Math.max(least, (count / total) * 100);
  });
}

export function totalIos(stat: ThreadStat): number {
  return stat.ddir.reduce((sum, ddir) => sum + ddir.totalIos, 0);
}

/** Depths at issue, or batches at submission or completion. */
export function depthShares(counts: Float64Array, total: number): number[] {
  return shares(counts, total, 0.1);
}

export function latencyShares(stat: ThreadStat): { ns: number[]; us: number[]; ms: number[] } {
  const total = totalIos(stat);
  return {
    ns: shares(stat.latNs, total, 0.01),
    us: shares(stat.latUs, total, 0.01),
    ms: shares(stat.latMs, total, 0.01),
  };
}

/** The thread's CPU time in percent of its run time. */
export function cpuShares(stat: ThreadStat): { user: number; system: number } {
  if (stat.runtimeMs === 0) return { user: 0, system: 0 };
  return { user: (stat.userMs * 100) / stat.runtimeMs, system: (stat.systemMs * 100) / stat.runtimeMs };
}
