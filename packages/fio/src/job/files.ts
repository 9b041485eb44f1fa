/**
 * Files of the jobs. The emulated machine has one namespace and no file system: `/dev/nvme0n1` and `nvme0n1` are
 * the namespace itself, any other name is a region of it.
 */
import type { FioJob } from "./job.ts";

const NAMESPACE = ["/dev/nvme0n1", "nvme0n1"];
const REGION_ALIGN = 4096;

export function isNamespace(file: string): boolean {
  return NAMESPACE.includes(file);
}

/** fio's list: names apart by colons, `\:` for a colon in a name. */
export function splitNames(text: string): string[] {
  return text
    .trim()
    .split(/(?<!\\):/)
    .map((name) => name.replaceAll("\\:", ":"))
    .filter((name) => name !== "");
}

/** The files of a job that names none: fio's $jobname.$jobnum.$filenum. */
export function defaultFile(job: string, clone: number): string {
  return isNamespace(job) ? job : `${job}.${clone}.0`;
}

export interface Region {
  /** Bytes from the namespace's start. */
  readonly start: number;
  readonly size: number;
}

/** Bytes of one file of the job that is a region: its share of size, and the offset in front of it. */
function regionSize(job: FioJob): number {
  const { size, offset, offsetIncrement } = job.options;
  return Math.ceil(size / job.files.length) + offset + offsetIncrement * job.clone;
}

/**
 * Where each file is. Regions follow each other in the order in which jobs name them, each on a 4 KiB boundary
 * and as large as the largest job on it asks; a file that jobs share is one region.
 */
export function layoutFiles(jobs: readonly FioJob[]): Map<string, Region> {
  const sizes = new Map<string, number>();
  const regions = new Map<string, Region>();
  for (const job of jobs) {
    for (const file of job.files) {
      if (isNamespace(file)) regions.set(file, { start: 0, size: job.emulator.media });
      else sizes.set(file, Math.max(sizes.get(file) ?? 0, regionSize(job)));
    }
  }
  let start = 0;
  for (const [file, size] of sizes) {
    regions.set(file, { start, size });
    start += Math.ceil(size / REGION_ALIGN) * REGION_ALIGN;
  }
  return regions;
}
