/**
 * `--output-format=terse`, version 3: one line a job, fields between semicolons (show_thread_status_terse_all in
 * stat.c). 121 fields, 9 more for each disk, one more for a description and two with continue_on_error.
 * Latencies are microseconds here, bandwidth is KiB/s.
 */
import { DDIR_READ, DDIR_WRITE } from "../job/job.ts";
import { cpuShares, depthShares, latencyShares, totalIos } from "../stat/distributions.ts";
import { shown } from "../stat/io-stat.ts";
import { percentiles } from "../stat/percentiles.ts";
import { type Group, perSecond, type Report, type Row } from "../stat/report.ts";
import type { DiskUtil, IoStat } from "../stat/thread-stat.ts";
import { fixed, float } from "./fixed.ts";
import { FORMAT_VERSION } from "./words.ts";

const TERSE_VERSION = 3;
const LIST_MAX = 20;

/** A line for each row of the report, each with its newline. */
export function terseOutput(report: Report): string {
  return report.rows.map((row) => `${terseFields(row, report).join(";")}\n`).join("");
}

function terseFields(row: Row, report: Report): string[] {
  const { stat } = row;
  const group = report.groups[stat.group];
  const { user, system } = cpuShares(stat);
  const shares = latencyShares(stat);
  // The format is older than nanoseconds: all below 1 us count as below 2 us.
  const belowMicrosecond = stat.latNs.reduce((sum, count) => sum + count, 0);
  const total = totalIos(stat);
  const us = shares.us.map((share, i) =>
    i === 0 && total > 0 ? share + (100 * belowMicrosecond) / total : share,
  );
  const fields = [
    String(TERSE_VERSION),
    FORMAT_VERSION,
    stat.jobName,
    String(stat.group),
    String(stat.error),
    ...ddirFields(row, group, DDIR_READ),
    ...(row.job.options.unifiedRwReporting ? [] : ddirFields(row, group, DDIR_WRITE)),
    `${float(user)}%`,
    `${float(system)}%`,
    String(stat.ctx),
    String(stat.majf),
    String(stat.minf),
    ...depthShares(stat.depth, total).map((share) => `${fixed(share, 1)}%`),
    ...[...us, ...shares.ms].map((share) => `${fixed(share, 2)}%`),
    ...report.disks.flatMap(diskFields),
  ];
  if (row.last.options.continueOnError !== "none")
    fields.push(String(stat.totalErr), String(stat.firstError));
  const { description } = row.job.options;
  if (description !== undefined && description !== "") fields.push(description);
  return fields;
}

function ddirFields(row: Row, group: Group | undefined, ddir: 0 | 1): string[] {
  const stat = row.stat.ddir[ddir];
  const bw = shown(stat.bw);
  // Here, unlike elsewhere, the group's bandwidth is whole KiB.
  const agg = Math.floor((group?.ddir[ddir]?.agg ?? 0) / 1024);
  const share = bw === undefined ? 0 : agg > 0 ? Math.min(100, (bw.mean * 100) / agg) : 100;
  return [
    String(Math.floor(stat.ioBytes / 1024)),
    String(Math.floor(perSecond(stat.ioBytes, stat.runtimeMs) / 1024)),
    String(perSecond(stat.totalIos, stat.runtimeMs)),
    String(stat.runtimeMs),
    ...microseconds(stat.slat),
    ...microseconds(stat.clat),
    ...percentileFields(row, ddir),
    ...microseconds(stat.lat),
    String(bw?.min ?? 0),
    String(bw?.max ?? 0),
    `${float(share)}%`,
    float(bw?.mean ?? 0),
    float(bw?.stddev ?? 0),
  ];
}

function microseconds(stat: IoStat): string[] {
  const { min, max, mean, stddev } = shown(stat) ?? { min: 0, max: 0, mean: 0, stddev: 0 };
  return [
    String(Math.floor(min / 1000)),
    String(Math.floor(max / 1000)),
    float(mean / 1000),
    float(stddev / 1000),
  ];
}

/** Always 20 fields, `percent%=value`. Without samples the list is told with zeros. */
function percentileFields({ stat, last }: Row, ddir: 0 | 1): string[] {
  const { clatPercentiles, latPercentiles, percentileList } = last.options;
  const chosen = latPercentiles ? stat.ddir[ddir].lat : stat.ddir[ddir].clat;
  const list = latPercentiles || clatPercentiles ? percentileList : [];
  const found = percentiles(chosen.buckets, chosen.n, list);
  return Array.from({ length: LIST_MAX }, (_, i) => {
    const percent = list[i];
    if (percent === undefined) return "0%=0";
    return `${float(percent)}%=${Math.floor((found[i]?.value ?? 0) / 1000)}`;
  });
}

function diskFields(disk: DiskUtil): string[] {
  const counts = [...disk.ios, ...disk.merges, ...disk.ticks, disk.inQueue];
  return [disk.name, ...counts.map(String), `${fixed(Math.min(100, disk.util), 2)}%`];
}
