/** One direction of a row in the human output (show_ddir_status and display_lat in stat.c). */
import { DDIR_WRITE } from "../job/job.ts";
import { type Shown, shown } from "../stat/io-stat.ts";
import { type Group, perSecond, type Row, shareOfGroup } from "../stat/report.ts";
import type { DdirStat, IoStat } from "../stat/thread-stat.ts";
import { FIGURES, fixed, human, wide } from "./fixed.ts";
import { percentileTable } from "./percentile-table.ts";
import { DDIR_NAMES } from "./words.ts";

/** Digits that a minimum or maximum of a latency is given. */
const LATENCY_FIGURES = 6;

/** Empty when nothing was transferred in this direction. */
export function ddirBlock(row: Row, group: Group | undefined, ddir: 0 | 1 | 2): string {
  const stat = row.stat.ddir[ddir];
  const unified = row.job.options.unifiedRwReporting;
  if (stat.ioBytes === 0 || stat.runtimeMs === 0) return "";
  const { percentileList, slatPercentiles, clatPercentiles, latPercentiles } = row.last.options;
  return [
    headLine(unified ? "mixed" : DDIR_NAMES[ddir], stat, ddir),
    latencyLine("slat", stat.slat),
    latencyLine("clat", stat.clat),
    latencyLine(" lat", stat.lat),
    slatPercentiles ? percentileTable("slat", stat.slat, percentileList) : "",
    clatPercentiles ? percentileTable("clat", stat.clat, percentileList) : "",
    latPercentiles ? percentileTable("lat", stat.lat, percentileList) : "",
    bandwidthLine(stat.bw, group, ddir),
    iopsLine(stat.iops),
  ].join("");
}

/** Latencies of fsync. Empty without any. */
export function syncBlock({ stat, last }: Row): string {
  if (stat.sync.lat.n === 0) return "";
  const head = "  fsync/fdatasync/sync_file_range:\n";
  const table = percentileTable("sync", stat.sync.lat, last.options.percentileList);
  return head + latencyLine("sync", stat.sync.lat) + table;
}

function headLine(name: string, stat: DdirStat, ddir: number): string {
  const iops = human(perSecond(stat.totalIos, stat.runtimeMs), FIGURES, false, "");
  const bytes = perSecond(stat.ioBytes, stat.runtimeMs);
  const bw = `${human(bytes, FIGURES, true, "B/s")} (${human(bytes, FIGURES, false, "B/s")})`;
  const io = `${human(stat.ioBytes, FIGURES, true, "B")}/${stat.runtimeMs}msec`;
  // There are no zones, and fio says so.
  const zones = ddir === DDIR_WRITE ? "; 0 zone resets" : "";
  return `  ${name}: IOPS=${iops}, BW=${bw}(${io})${zones}\n`;
}

function latencyLine(name: string, stat: IoStat): string {
  const told = shown(stat);
  if (told === undefined) return "";
  const { unit, divisor } = latencyUnit(told);
  const whole = (value: number): string => human(Math.floor(value / divisor), LATENCY_FIGURES, false, "");
  const { min, max, mean, stddev } = told;
  return (
    `    ${name} (${unit}): min=${whole(min)}, max=${whole(max)}, ` +
    `avg=${wide(mean / divisor)}, stdev=${wide(stddev / divisor)}\n`
  );
}

function latencyUnit({ min, max, stddev }: Shown): { unit: string; divisor: number } {
  if (min > 2_000_000 && max > 99_999_999 && stddev > 1_000_000) return { unit: "msec", divisor: 1_000_000 };
  if (min > 2000 && max > 99_999 && stddev > 1000) return { unit: "usec", divisor: 1000 };
  return { unit: "nsec", divisor: 1 };
}

const KIB = 1024;

function bandwidthLine(stat: IoStat, group: Group | undefined, ddir: 0 | 1 | 2): string {
  const told = shown(stat);
  if (told === undefined) return "";
  const share = shareOfGroup(group, ddir, told.mean);
  const large = told.mean > KIB * KIB;
  const divisor = large ? KIB : 1;
  const whole = (value: number): string => String(Math.floor(value / divisor)).padStart(5);
  return (
    `   bw (${large ? "  MiB" : "  KiB"}/s): min=${whole(told.min)}, max=${whole(told.max)}, ` +
    `per=${fixed(share, 2)}%, avg=${wide(told.mean / divisor)}, stdev=${wide(told.stddev / divisor)}, ` +
    `samples=${stat.n}\n`
  );
}

function iopsLine(stat: IoStat): string {
  const told = shown(stat);
  if (told === undefined) return "";
  const whole = (value: number): string => String(value).padStart(5);
  return (
    `   iops        : min=${whole(told.min)}, max=${whole(told.max)}, ` +
    `avg=${wide(told.mean)}, stdev=${wide(told.stddev)}, samples=${stat.n}\n`
  );
}
