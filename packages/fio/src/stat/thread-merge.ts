/** Threads' counts as one (sum_thread_stats in stat.c): what group_reporting and unified_rw_reporting print. */
import { DDIR_READ, type PerDdir } from "../job/job.ts";
import { addCounts, mergeLatency, newIoStat, newLatencyStat, sumRates } from "./io-stat.ts";
import type { DdirStat, ThreadStat } from "./thread-stat.ts";

const DEPTHS = 7;
const LAT_NS = 10;
const LAT_US = 10;
const LAT_MS = 12;

function newDdirStat(): DdirStat {
  return {
    ioBytes: 0,
    totalIos: 0,
    shortIos: 0,
    dropIos: 0,
    runtimeMs: 0,
    slat: newLatencyStat(),
    clat: newLatencyStat(),
    lat: newLatencyStat(),
    bw: newIoStat(),
    iops: newIoStat(),
  };
}

/** Nothing counted yet. */
export function newThreadStat(jobName: string, number: number, group: number): ThreadStat {
  return {
    jobName,
    number,
    group,
    error: 0,
    errorText: "",
    ddir: [newDdirStat(), newDdirStat(), newDdirStat()],
    sync: { totalIos: 0, lat: newLatencyStat() },
    runtimeMs: 0,
    userMs: 0,
    systemMs: 0,
    ctx: 0,
    majf: 0,
    minf: 0,
    depth: new Float64Array(DEPTHS),
    submit: new Float64Array(DEPTHS),
    complete: new Float64Array(DEPTHS),
    totalSubmits: 0,
    totalCompletes: 0,
    latNs: new Float64Array(LAT_NS),
    latUs: new Float64Array(LAT_US),
    latMs: new Float64Array(LAT_MS),
    totalErr: 0,
    firstError: 0,
    latencyDepth: 0,
    logs: { bw: [], iops: [], slat: [], clat: [], lat: [], hist: [] },
  };
}

function mergeDdir(into: DdirStat, from: DdirStat): void {
  into.ioBytes += from.ioBytes;
  into.totalIos += from.totalIos;
  into.shortIos += from.shortIos;
  into.dropIos += from.dropIos;
  // Side by side, not one after the other.
  into.runtimeMs = Math.max(into.runtimeMs, from.runtimeMs);
  mergeLatency(into.slat, from.slat);
  mergeLatency(into.clat, from.clat);
  mergeLatency(into.lat, from.lat);
  sumRates(into.bw, from.bw);
  sumRates(into.iops, from.iops);
}

/** Adds `from` to `into`. `unified`: all directions are counted as one, where reads stand. */
export function mergeThread(into: ThreadStat, from: ThreadStat, unified: boolean): void {
  const directions: PerDdir<DdirStat> = unified
    ? [into.ddir[DDIR_READ], into.ddir[DDIR_READ], into.ddir[DDIR_READ]]
    : into.ddir;
  for (const [i, ddir] of from.ddir.entries()) mergeDdir(directions[i] as DdirStat, ddir);
  mergeLatency(into.sync.lat, from.sync.lat);
  into.sync.totalIos += from.sync.totalIos;
  into.runtimeMs += from.runtimeMs;
  into.userMs += from.userMs;
  into.systemMs += from.systemMs;
  into.ctx += from.ctx;
  into.majf += from.majf;
  into.minf += from.minf;
  into.totalSubmits += from.totalSubmits;
  into.totalCompletes += from.totalCompletes;
  into.totalErr += from.totalErr;
  into.firstError = from.firstError;
  into.latencyDepth = from.latencyDepth;
  if (into.error === 0) {
    into.error = from.error === 0 ? from.firstError : from.error;
    into.errorText = from.errorText;
  }
  for (const key of ["depth", "submit", "complete", "latNs", "latUs", "latMs"] as const) {
    addCounts(into[key], from[key]);
  }
}
