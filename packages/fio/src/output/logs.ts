/**
 * write_bw_log, write_iops_log, write_lat_log, write_hist_log: file names and lines (gen_log_name in init.c,
 * flush_samples in iolog.c). A file is written also without samples.
 *
 * Line: time in ms, value, direction (0 read, 1 write, 2 trim), block size[, offset], priority. The value is KiB/s,
 * I/Os a second, or nanoseconds; no I/O here has a priority.
 */
import type { FioJob } from "../job/job.ts";
import type { LogSample, ThreadStat } from "../stat/thread-stat.ts";

export interface LogFile {
  readonly name: string;
  readonly text: string;
}

/** The log files of one job. */
export function logFiles(job: FioJob, stat: ThreadStat): LogFile[] {
  const { logs: prefixes, logOffset, disableSlat, disableClat, disableLat } = job.options;
  const files: LogFile[] = [];
  const add = (prefix: string | undefined, kind: string, samples: readonly LogSample[]): void => {
    if (prefix === undefined) return;
    files.push({ name: fileName(prefix, kind, job), text: samples.map((s) => line(s, logOffset)).join("") });
  };
  add(disableLat ? undefined : prefixes.lat, "lat", stat.logs.lat);
  add(disableSlat ? undefined : prefixes.lat, "slat", stat.logs.slat);
  add(disableClat ? undefined : prefixes.lat, "clat", stat.logs.clat);
  if (prefixes.hist !== undefined) {
    files.push({
      name: fileName(prefixes.hist, "clat_hist", job),
      text: stat.logs.hist.map(histogram).join(""),
    });
  }
  add(prefixes.bw, "bw", stat.logs.bw);
  add(prefixes.iops, "iops", stat.logs.iops);
  return files;
}

/** Jobs are numbered from 1 here. */
function fileName(prefix: string, kind: string, job: FioJob): string {
  return `${prefix}_${kind}.${job.number + 1}.log`;
}

function line({ time, value, ddir, bs, offset }: LogSample, withOffset: boolean): string {
  const parts = [time, Math.trunc(value), ddir, bs, ...(withOffset ? [offset] : []), 0];
  return `${parts.join(", ")}\n`;
}

/** All 1856 counts (log_hist_coarseness 0). */
function histogram(entry: ThreadStat["logs"]["hist"][number]): string {
  return `${[entry.time, entry.ddir, entry.bs, ...entry.buckets].join(", ")}\n`;
}
