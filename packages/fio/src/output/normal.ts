/** fio's human output: the lines before a run, and the report after it (show_thread_status_normal in stat.c). */
import { DDIR_READ, DDIR_TRIM, DDIR_WRITE, type FioJob, type Range } from "../job/job.ts";
import { cpuShares, depthShares, latencyShares, totalIos } from "../stat/distributions.ts";
import { type Report, type Row, type Group } from "../stat/report.ts";
import type { DiskUtil } from "../stat/thread-stat.ts";
import { ddirBlock, syncBlock } from "./normal-ddir.ts";
import { FIGURES, fixed, human } from "./fixed.ts";
import { ctime, errorWords, FORMAT_VERSION, rwName } from "./words.ts";

/**
 * What stands before the run. `by`: one line that says whose output this is; fio's own readers skip what they do
 * not know there.
 */
export function normalHeader(jobs: readonly FioJob[], by: string): string {
  const lines = jobs.flatMap((job) => {
    if (job.clone === 0) return [jobLine(job)];
    return job.clone === 1 ? ["..."] : [];
  });
  const threads = `Starting ${jobs.length} thread${jobs.length > 1 ? "s" : ""}`;
  return [...lines, FORMAT_VERSION, by, threads, ""].join("\n");
}

function jobLine({ name, group, options }: FioJob): string {
  const size = (bytes: number): string => human(bytes, FIGURES, true, "B");
  const range = ({ min, max }: Range): string => `${size(min)}-${size(max)}`;
  const { bs } = options;
  const sizes = `(R) ${range(bs[DDIR_READ])}, (W) ${range(bs[DDIR_WRITE])}, (T) ${range(bs[DDIR_TRIM])}`;
  const engine = `ioengine=${options.ioengine}, iodepth=${options.iodepth}`;
  return `${name}: (g=${group}): rw=${rwName(options.rw)}, bs=${sizes}, ${engine}`;
}

/** The report. `pid` is told as the threads' process. Begins with an empty line. */
export function normalOutput(report: Report, pid: number): string {
  const rows = report.rows.map((row) => rowText(row, report, pid)).join("");
  return `\n${rows}${report.groups.map(groupText).join("")}${diskText(report.disks)}`;
}

function rowText(row: Row, report: Report, pid: number): string {
  const { stat, job } = row;
  if (totalIos(stat) === 0 && stat.ddir.every((ddir) => ddir.ioBytes === 0)) return "";
  const error = String(stat.error).padStart(2) + (stat.error === 0 ? "" : ` (${stat.errorText})`);
  const who = `${stat.jobName}: (groupid=${stat.group}, jobs=${row.members})`;
  const { description } = job.options;
  const group = report.groups[stat.group];
  return [
    `${who}: err=${error}: pid=${pid}: ${ctime(report.timestampMs)}\n`,
    description === undefined || description === "" ? "" : `  Description  : [${description}]\n`,
    ...([0, 1, 2] as const).map((ddir) => ddirBlock(row, group, ddir)),
    latencyLines(row),
    syncBlock(row),
    countLines(row),
  ].join("");
}

const BELOW = ["2", "4", "10", "20", "50", "100", "250", "500", "750", "1000"] as const;
const PER_LINE = 5;

function latencyLines({ stat }: Row): string {
  const { ns, us, ms } = latencyShares(stat);
  const lines = (unit: string, shares: readonly number[], names: readonly string[]): string => {
    const told = shares.flatMap((share, i) => (share > 0 ? [`${names[i]}=${fixed(share, 2)}%`] : []));
    let text = "";
    for (let i = 0; i < told.length; i += PER_LINE) {
      text += `  lat (${unit})   : ${told.slice(i, i + PER_LINE).join(", ")}\n`;
    }
    return text;
  };
  return (
    lines("nsec", ns, BELOW) + lines("usec", us, BELOW) + lines("msec", ms, [...BELOW, "2000", ">=2000"])
  );
}

const LEVELS = ["1", "2", "4", "8", "16", "32", ">=64"] as const;
const BATCHES = ["0", "4", "8", "16", "32", "64", ">=64"] as const;

function countLines({ stat, last }: Row): string {
  const cpu = cpuShares(stat);
  const table = (names: readonly string[], shares: readonly number[]): string =>
    names.map((name, i) => `${name}=${fixed(shares[i] ?? 0, 1)}%`).join(", ");
  const of = (count: (ddir: (typeof stat.ddir)[number]) => number): string => stat.ddir.map(count).join(",");
  const lines = [
    `  cpu          : usr=${fixed(cpu.user, 2)}%, sys=${fixed(cpu.system, 2)}%, ` +
      `ctx=${stat.ctx}, majf=${stat.majf}, minf=${stat.minf}`,
    `  IO depths    : ${table(LEVELS, depthShares(stat.depth, totalIos(stat)))}`,
    `     submit    : ${table(BATCHES, depthShares(stat.submit, stat.totalSubmits))}`,
    `     complete  : ${table(BATCHES, depthShares(stat.complete, stat.totalCompletes))}`,
    `     issued rwts: total=${of((ddir) => ddir.totalIos)},${stat.sync.totalIos} ` +
      `short=${of((ddir) => ddir.shortIos)},0 dropped=${of((ddir) => ddir.dropIos)},0`,
  ];
  if (last.options.continueOnError !== "none") {
    const first = `${stat.firstError}/<${errorWords(stat.firstError)}>`;
    lines.push(`     errors    : total=${stat.totalErr}, first_error=${first}`);
  }
  if (stat.latencyDepth > 0) {
    const { latencyTargetUs, latencyWindowUs, latencyPercentile } = last.options;
    lines.push(
      `     latency   : target=${latencyTargetUs * 1000}, window=${latencyWindowUs}, ` +
        `percentile=${fixed(latencyPercentile, 2)}%, depth=${stat.latencyDepth}`,
    );
  }
  return `${lines.join("\n")}\n`;
}

const GROUP_NAMES = ["   READ", "  WRITE", "   TRIM"] as const;

function groupText(group: Group): string {
  const lines = group.ddir.flatMap((ddir, i) => {
    if (ddir === undefined) return [];
    const both = (amount: number, unit: "B" | "B/s"): [string, string] => [
      human(amount, FIGURES, true, unit),
      human(amount, FIGURES, false, unit),
    ];
    const agg = both(ddir.agg, "B/s");
    const min = both(ddir.minBw, "B/s");
    const max = both(ddir.maxBw, "B/s");
    const io = both(ddir.ioBytes, "B");
    const name = group.unified ? "  MIXED" : GROUP_NAMES[i];
    return [
      `${name}: bw=${agg[0]} (${agg[1]}), ${min[0]}-${max[0]} (${min[1]}-${max[1]}), ` +
        `io=${io[0]} (${io[1]}), run=${ddir.minRun}-${ddir.maxRun}msec\n`,
    ];
  });
  return `\nRun status group ${group.id} (all jobs):\n${lines.join("")}`;
}

function diskText(disks: readonly DiskUtil[]): string {
  if (disks.length === 0) return "";
  const lines = disks.map(
    ({ name, ios, merges, ticks, inQueue, util }) =>
      `  ${name}: ios=${ios.join("/")}, merge=${merges.join("/")}, ticks=${ticks.join("/")}, ` +
      `in_queue=${inQueue}, util=${fixed(Math.min(100, util), 2)}%\n`,
  );
  return `\nDisk stats (read/write):\n${lines.join("")}`;
}
