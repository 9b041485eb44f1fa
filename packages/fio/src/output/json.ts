/**
 * `--output-format=json` and json+ (show_thread_status_json in stat.c). Keys, their order and their types are
 * fio 3.33's; json+ adds the latency bins.
 */
import { DDIR_READ } from "../job/job.ts";
import { bucketValue } from "../stat/buckets.ts";
import { cpuShares, depthShares, latencyShares, totalIos } from "../stat/distributions.ts";
import { shown } from "../stat/io-stat.ts";
import { percentiles } from "../stat/percentiles.ts";
import { type Group, perSecond, type Report, type Row, shareOfGroup } from "../stat/report.ts";
import type { DdirStat, DiskUtil, LatencyStat } from "../stat/thread-stat.ts";
import { float } from "./fixed.ts";
import { Float, type Json, writeJson } from "./json-writer.ts";
import { ctime, DDIR_NAMES, FORMAT_VERSION, NO_ETA } from "./words.ts";

type Pairs = [key: string, value: Json][];

/** Until it has run this long fio tells no ETA, also in its last report. Seconds. */
const ETA_AFTER = 3;

const NONE = { min: 0, max: 0, mean: 0, stddev: 0 } as const;

/** The whole document, with its newline. `plus`: json+. */
export function jsonOutput(report: Report, plus: boolean): string {
  const pairs: Pairs = [
    ["fio version", FORMAT_VERSION],
    ["timestamp", Math.floor(report.timestampMs / 1000)],
    ["timestamp_ms", report.timestampMs],
    ["time", ctime(report.timestampMs)],
    ...options("global options", report.globals),
    ["jobs", report.rows.map((row) => jobObject(row, report, plus))],
  ];
  if (report.disks.length > 0) pairs.push(["disk_util", report.disks.map(diskObject)]);
  return `${writeJson(new Map(pairs))}\n`;
}

/** An option given without a value is not told, and a list without any is left out. */
function options(name: string, given: readonly (readonly [string, string])[]): Pairs {
  const told = given.filter(([, value]) => value !== "");
  return given.length === 0 ? [] : [[name, new Map(told)]];
}

function jobObject(row: Row, report: Report, plus: boolean): Json {
  const { stat } = row;
  const cpu = cpuShares(stat);
  const pairs: Pairs = [
    ["jobname", stat.jobName],
    ["groupid", stat.group],
    ["error", stat.error],
    ["eta", report.elapsed < ETA_AFTER ? NO_ETA : 0],
    ["elapsed", report.elapsed],
    ...options("job options", row.last.given),
    ...directions(row, report.groups[stat.group], plus),
    ["job_runtime", stat.runtimeMs],
    ["usr_cpu", new Float(cpu.user)],
    ["sys_cpu", new Float(cpu.system)],
    ["ctx", stat.ctx],
    ["majf", stat.majf],
    ["minf", stat.minf],
    ...distributions(row),
    ...errors(row),
    ...latencyTarget(row),
  ];
  const { description } = row.job.options;
  if (description !== undefined && description !== "") pairs.push(["desc", description]);
  return new Map(pairs);
}

/** With unified_rw_reporting there is one for all, and fio leaves out those of fsync. */
function directions(row: Row, group: Group | undefined, plus: boolean): Pairs {
  if (row.job.options.unifiedRwReporting) return [["mixed", ddirObject(row, group, DDIR_READ, plus)]];
  return [
    ...([0, 1, 2] as const).map((ddir): [string, Json] => [
      DDIR_NAMES[ddir],
      ddirObject(row, group, ddir, plus),
    ]),
    ["sync", syncObject(row, plus)],
  ];
}

function ddirObject(row: Row, group: Group | undefined, ddir: 0 | 1 | 2, plus: boolean): Json {
  const stat: DdirStat = row.stat.ddir[ddir];
  const { options: own } = row.last;
  const bytesPerSecond = perSecond(stat.ioBytes, stat.runtimeMs);
  const bw = shown(stat.bw);
  const iops = shown(stat.iops) ?? NONE;
  const pairs: Pairs = [
    ["io_bytes", stat.ioBytes],
    ["io_kbytes", Math.floor(stat.ioBytes / 1024)],
    ["bw_bytes", bytesPerSecond],
    ["bw", Math.floor(bytesPerSecond / 1024)],
    ["iops", new Float(stat.runtimeMs === 0 ? 0 : (1000 * stat.totalIos) / stat.runtimeMs)],
    ["runtime", stat.runtimeMs],
    ["total_ios", stat.totalIos],
    ["short_ios", stat.shortIos],
    ["drop_ios", stat.dropIos],
    ["slat_ns", latencyObject(stat.slat, own.slatPercentiles, row, plus)],
    ["clat_ns", latencyObject(stat.clat, own.clatPercentiles, row, plus)],
    ["lat_ns", latencyObject(stat.lat, own.latPercentiles, row, plus)],
    ["bw_min", bw?.min ?? 0],
    ["bw_max", bw?.max ?? 0],
    ["bw_agg", new Float(bw === undefined ? 0 : shareOfGroup(group, ddir, bw.mean))],
    ["bw_mean", new Float(bw?.mean ?? 0)],
    ["bw_dev", new Float(bw?.stddev ?? 0)],
    ["bw_samples", stat.bw.n],
    ["iops_min", iops.min],
    ["iops_max", iops.max],
    ["iops_mean", new Float(iops.mean)],
    ["iops_stddev", new Float(iops.stddev)],
    ["iops_samples", stat.iops.n],
  ];
  return new Map(pairs);
}

function syncObject(row: Row, plus: boolean): Json {
  const { clatPercentiles, latPercentiles } = row.last.options;
  return new Map<string, Json>([
    ["total_ios", row.stat.sync.totalIos],
    ["lat_ns", latencyObject(row.stat.sync.lat, clatPercentiles || latPercentiles, row, plus)],
  ]);
}

function latencyObject(stat: LatencyStat, withPercentiles: boolean, row: Row, plus: boolean): Json {
  const { min, max, mean, stddev } = shown(stat) ?? NONE;
  const pairs: Pairs = [
    ["min", min],
    ["max", max],
    ["mean", new Float(mean)],
    ["stddev", new Float(stddev)],
    ["N", stat.n],
  ];
  if (!withPercentiles || stat.n === 0) return new Map(pairs);
  const list = percentiles(stat.buckets, stat.n, row.last.options.percentileList);
  pairs.push(["percentile", new Map(list.map(({ percent, value }) => [float(percent), value]))]);
  if (plus) {
    const bins = Array.from(stat.buckets, (count, i): [string, number] => [String(bucketValue(i)), count]);
    pairs.push(["bins", new Map(bins.filter(([, count]) => count > 0))]);
  }
  return new Map(pairs);
}

const LEVELS = ["1", "2", "4", "8", "16", "32", ">=64"] as const;
const BATCHES = ["0", "4", "8", "16", "32", "64", ">=64"] as const;
const BELOW = ["2", "4", "10", "20", "50", "100", "250", "500", "750", "1000"] as const;

function table(keys: readonly string[], values: readonly number[]): Json {
  return new Map(keys.map((key, i) => [key, new Float(values[i] ?? 0)]));
}

function distributions({ stat }: Row): Pairs {
  const { ns, us, ms } = latencyShares(stat);
  return [
    ["iodepth_level", table(LEVELS, depthShares(stat.depth, totalIos(stat)))],
    ["iodepth_submit", table(BATCHES, depthShares(stat.submit, stat.totalSubmits))],
    ["iodepth_complete", table(BATCHES, depthShares(stat.complete, stat.totalCompletes))],
    ["latency_ns", table(BELOW, ns)],
    ["latency_us", table(BELOW, us)],
    ["latency_ms", table([...BELOW, "2000", ">=2000"], ms)],
  ];
}

function errors({ stat, last }: Row): Pairs {
  if (last.options.continueOnError === "none") return [];
  return [
    ["total_err", stat.totalErr],
    ["first_error", stat.firstError],
  ];
}

function latencyTarget({ stat, last }: Row): Pairs {
  if (stat.latencyDepth === 0) return [];
  return [
    ["latency_depth", stat.latencyDepth],
    ["latency_target", last.options.latencyTargetUs * 1000],
    ["latency_percentile", new Float(last.options.latencyPercentile)],
    ["latency_window", last.options.latencyWindowUs],
  ];
}

function diskObject(disk: DiskUtil): Json {
  return new Map<string, Json>([
    ["name", disk.name],
    ["read_ios", disk.ios[0]],
    ["write_ios", disk.ios[1]],
    ["read_merges", disk.merges[0]],
    ["write_merges", disk.merges[1]],
    ["read_ticks", disk.ticks[0]],
    ["write_ticks", disk.ticks[1]],
    ["in_queue", disk.inQueue],
    ["util", new Float(Math.min(100, disk.util))],
  ]);
}
