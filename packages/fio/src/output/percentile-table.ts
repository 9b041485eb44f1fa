/** The percentiles of the human output: as many a line as 80 columns hold (show_clat_percentiles in stat.c). */
import { percentiles } from "../stat/percentiles.ts";
import type { LatencyStat } from "../stat/thread-stat.ts";
import { fixed } from "./fixed.ts";

const COLUMNS = 80 - 7;
const LEAST_WIDTH = 5;

interface Scale {
  readonly unit: string;
  /** Steps of 1000 down from nanoseconds. */
  readonly steps: number;
}

function scaleOf(least: number, most: number): Scale {
  if (least > 2_000_000 && most > 99_999_999) return { unit: "msec", steps: 2 };
  if (least > 2000 && most > 99_999) return { unit: "usec", steps: 1 };
  return { unit: "nsec", steps: 0 };
}

/** Decimals of the percentages: as many as the list has (fio's percentile_precision). */
function precisionOf(percents: readonly number[]): number {
  return Math.max(...percents.map((percent) => (String(percent).split(".")[1] ?? "").length));
}

/** Lines with their newlines; empty without samples or percentages. `kind`: "clat", "sync" … */
export function percentileTable(kind: string, stat: LatencyStat, percents: readonly number[]): string {
  const found = percentiles(stat.buckets, stat.n, percents);
  if (found.length === 0) return "";
  const values = found.map(({ value }) => value);
  const most = Math.max(...values);
  const { unit, steps } = scaleOf(Math.min(...values), most);
  const width = Math.max(LEAST_WIDTH, String(Math.floor(most / 1000 ** steps)).length);
  const precision = precisionOf(percents);
  const perLine = Math.floor(COLUMNS / (precision + 10 + width));
  const cells = found.map(({ percent, value }) => {
    let scaled = value;
    for (let step = 0; step < steps; step++) scaled = Math.floor((scaled + 999) / 1000);
    return ` ${fixed(percent, precision).padStart(precision + 3)}th=[${String(scaled).padStart(width)}]`;
  });
  const lines: string[] = [];
  for (let i = 0; i < cells.length; i += perLine)
    lines.push(`     |${cells.slice(i, i + perLine).join(",")}`);
  return `    ${kind} percentiles (${unit}):\n${lines.join(",\n")}\n`;
}
