/**
 * What real fio printed, read back: its JSON+ holds enough to rebuild what it counted, so our outputs of the same
 * counts can be compared with its own, byte for byte.
 */
import { bucketIndex } from "../stat/buckets.ts";
import { newThreadStat } from "../stat/thread-merge.ts";
import type { DdirStat, FioRun, IoStat, LatencyStat, ThreadStat } from "../stat/thread-stat.ts";

/** The parts of `--output-format=normal,terse,json+`. */
export interface Printed {
  readonly header: string;
  readonly terse: string;
  readonly json: string;
  readonly normal: string;
}

export function split(text: string): Printed {
  const start = text.indexOf("\n{\n") + 1;
  const end = text.indexOf("\n}\n", start) + 3;
  const lines = text.slice(0, start).split(/(?<=\n)/);
  return {
    header: lines.filter((line) => !/^3;|Laying out/.test(line)).join(""),
    terse: lines.filter((line) => line.startsWith("3;")).join(""),
    json: text.slice(start, end),
    normal: text.slice(end),
  };
}

type Doc = Record<string, any>;

/** The run that fio's JSON+ tells about. A row of a group is one thread, and further ones that did nothing. */
export function measured(json: string): FioRun {
  const doc = JSON.parse(json) as Doc;
  let number = 0;
  const threads = (doc["jobs"] as Doc[]).flatMap((job) => {
    const first = thread(job, number);
    const clones = Number(job["job options"]?.["numjobs"] ?? 1);
    const others = Array.from({ length: clones - 1 }, (_, i) => {
      const idle = newThreadStat(first.jobName, number + 1 + i, first.group);
      idle.latencyDepth = first.latencyDepth;
      return idle;
    });
    number += clones;
    return [first, ...others];
  });
  const disks = ((doc["disk_util"] ?? []) as Doc[]).map((disk) => ({
    name: disk["name"],
    ios: [disk["read_ios"], disk["write_ios"]] as const,
    merges: [disk["read_merges"], disk["write_merges"]] as const,
    ticks: [disk["read_ticks"], disk["write_ticks"]] as const,
    inQueue: disk["in_queue"],
    util: disk["util"],
  }));
  return { threads, disks, timestampMs: doc["timestamp_ms"], elapsed: doc["jobs"][0]["elapsed"] };
}

function thread(job: Doc, number: number): ThreadStat {
  const stat = newThreadStat(job["jobname"], number, job["groupid"]);
  stat.error = job["error"];
  const directions = "mixed" in job ? ["mixed"] : ["read", "write", "trim"];
  for (const [i, name] of directions.entries()) fill(stat.ddir[i] as DdirStat, job[name]);
  if ("sync" in job) {
    stat.sync.totalIos = job["sync"]["total_ios"];
    fillLatency(stat.sync.lat, job["sync"]["lat_ns"]);
  }
  stat.runtimeMs = job["job_runtime"];
  stat.userMs = Math.round((job["usr_cpu"] * stat.runtimeMs) / 100);
  stat.systemMs = Math.round((job["sys_cpu"] * stat.runtimeMs) / 100);
  for (const key of ["ctx", "majf", "minf"] as const) stat[key] = job[key];
  const ios = stat.ddir.reduce((sum, ddir) => sum + ddir.totalIos, 0);
  // The totals of batches are not told: any will do for shares of 0 and 100 %.
  stat.totalSubmits = stat.totalCompletes = ios;
  counts(stat.depth, job["iodepth_level"], ios);
  counts(stat.submit, job["iodepth_submit"], ios);
  counts(stat.complete, job["iodepth_complete"], ios);
  counts(stat.latNs, job["latency_ns"], ios);
  counts(stat.latUs, job["latency_us"], ios);
  counts(stat.latMs, job["latency_ms"], ios);
  stat.totalErr = job["total_err"] ?? 0;
  stat.firstError = job["first_error"] ?? 0;
  stat.latencyDepth = job["latency_depth"];
  return stat;
}

function fill(stat: DdirStat, from: Doc): void {
  stat.ioBytes = from["io_bytes"];
  stat.totalIos = from["total_ios"];
  stat.shortIos = from["short_ios"];
  stat.dropIos = from["drop_ios"];
  stat.runtimeMs = from["runtime"];
  fillLatency(stat.slat, from["slat_ns"]);
  fillLatency(stat.clat, from["clat_ns"]);
  fillLatency(stat.lat, from["lat_ns"]);
  fillStat(stat.bw, from, ["bw_min", "bw_max", "bw_mean", "bw_dev", "bw_samples"]);
  fillStat(stat.iops, from, ["iops_min", "iops_max", "iops_mean", "iops_stddev", "iops_samples"]);
}

function fillStat(stat: IoStat, from: Doc, keys: readonly [string, string, string, string, string]): void {
  const [min, max, mean, deviation, n] = keys.map((key) => from[key] as number) as [
    number,
    number,
    number,
    number,
    number,
  ];
  if (n === 0) return;
  Object.assign(stat, { n, min, max, mean, s: deviation ** 2 * (n - 1) });
}

function fillLatency(stat: LatencyStat, from: Doc): void {
  fillStat(stat, from, ["min", "max", "mean", "stddev", "N"]);
  for (const [value, count] of Object.entries(from["bins"] ?? {})) {
    stat.buckets[bucketIndex(Number(value))] = count as number;
  }
}

/** Shares back to counts. A share that stands for "almost nothing" becomes one of them. */
function counts(into: Float64Array, shares: Doc, total: number): void {
  for (const [i, share] of Object.values(shares).entries()) {
    const count = Math.round(((share as number) * total) / 100);
    into[i] = (share as number) > 0 ? Math.max(1, count) : 0;
  }
}
