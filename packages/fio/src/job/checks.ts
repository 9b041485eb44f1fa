/**
 * Whether jobs fit the emulated machine: told before it starts. Each error names the job and what there is room
 * for. Jobs of one stage run on one machine, each on a CPU of its own, with all their buffers in its memory.
 */
import { type JobFileError, jobError } from "./errors.ts";
import { isNamespace, layoutFiles } from "./files.ts";
import type { FioJob, Range } from "./job.ts";
import { BLOCK_SIZE } from "./pragmas.ts";

export interface Limits {
  /** Jobs at a time. */
  readonly cpus: number;
  readonly iodepth: number;
  /** Bytes that the buffers of one stage may have. */
  readonly memory: number;
}

/** Settings of the machine, not of a job. */
const MACHINE_KEYS = ["iommu", "percpu", "completion", "variant", "media"] as const;

function fail(job: FioJob, option: string, expected: string): JobFileError {
  return jobError({ file: `job ${job.name}`, line: 0 }, option, expected, []);
}

/** Block sizes of the directions in use. */
function usedBlocks(job: FioJob): Range[] {
  return job.options.bs.filter((_, ddir) => job.options.rw.ddirs[ddir] === true);
}

function largestBlock(job: FioJob): number {
  return Math.max(...usedBlocks(job).map(({ max }) => max));
}

function smallestBlock(job: FioJob): number {
  return Math.min(...usedBlocks(job).map(({ min }) => min));
}

/** Bytes of the job's buffers; the null engine has none. */
export function bufferBytes(job: FioJob): number {
  return job.options.ioengine === "null" ? 0 : job.options.iodepth * largestBlock(job);
}

function checkBlocks(job: FioJob): JobFileError[] {
  const { bssplit, rw, bsUnaligned, ioengine } = job.options;
  if (ioengine === "null") return [];
  const sizes = usedBlocks(job).flatMap(({ min, max }) => [min, max]);
  const shares = bssplit.flatMap((list, ddir) => (rw.ddirs[ddir] === true ? list : []));
  const odd = [...sizes, ...shares.map(({ bytes }) => bytes)].find((size) => size % BLOCK_SIZE !== 0);
  if (odd !== undefined) {
    return [fail(job, `bs=${odd}`, `a multiple of the namespace's ${BLOCK_SIZE} B blocks`)];
  }
  const varied = usedBlocks(job).some(({ min, max }) => min !== max);
  if (!bsUnaligned || !varied) return [];
  return [fail(job, "bs_unaligned", `sizes in whole blocks of ${BLOCK_SIZE} B`)];
}

function checkRegion(job: FioJob): JobFileError[] {
  const { size, sizePercent, offset, offsetIncrement, ioengine } = job.options;
  const { media } = job.emulator;
  const errors: JobFileError[] = [];
  const start = offset + offsetIncrement * job.clone;
  const onNamespace = job.files.some(isNamespace);
  if (size === 0 && job.files.some((file) => !isNamespace(file))) {
    const what = sizePercent > 0 ? `size=${sizePercent}%` : "size";
    const error = fail(job, what, "bytes: only the namespace (filename=/dev/nvme0n1) has a size of its own");
    errors.push({ ...error, message: `${job.name}: you need to specify size=\n${error.message}` });
  }
  if (ioengine !== "null" && start % BLOCK_SIZE !== 0) {
    errors.push(fail(job, `offset=${start}`, `a multiple of the namespace's ${BLOCK_SIZE} B blocks`));
  }
  const share = Math.ceil(size / job.files.length);
  if (size > 0 && share < smallestBlock(job)) {
    errors.push(
      fail(job, `size=${size}`, `at least a block for each of the job's ${job.files.length} files`),
    );
  }
  if (!onNamespace || ioengine === "null") return errors;
  const block = Math.min(largestBlock(job), media);
  if (start + Math.max(share, block) > media) {
    const asked = `offset ${start} + size ${Math.max(share, block)}`;
    errors.push(fail(job, "size", `${asked} to fit the namespace's ${media} bytes (;emu media=)`));
  }
  return errors;
}

function checkJob(job: FioJob, limits: Limits): JobFileError[] {
  const errors = [...checkBlocks(job), ...checkRegion(job)];
  if (job.options.iodepth > limits.iodepth) {
    errors.push(fail(job, `iodepth=${job.options.iodepth}`, `at most ${limits.iodepth}`));
  }
  if (job.emulator.buf === "dmabuf" && !job.options.direct && job.options.ioengine !== "null") {
    errors.push(fail(job, "direct", "direct=1 with ;emu buf=dmabuf: dma-buf buffers go past the page cache"));
  }
  return errors;
}

function checkStage(jobs: readonly FioJob[], limits: Limits): JobFileError[] {
  const [first] = jobs;
  if (first === undefined) return [];
  const errors: JobFileError[] = [];
  if (jobs.length > limits.cpus) {
    errors.push(fail(first, "numjobs", `at most ${limits.cpus} jobs at a time, not ${jobs.length}`));
  }
  const bytes = jobs.reduce((sum, job) => sum + bufferBytes(job), 0);
  if (bytes > limits.memory) {
    const sizes = `buffers of ${limits.memory} bytes for all jobs at a time, not ${bytes}`;
    errors.push(fail(first, "iodepth", `${sizes} (iodepth * bs * numjobs)`));
  }
  for (const key of MACHINE_KEYS) {
    const other = jobs.find((job) => job.emulator[key] !== first.emulator[key]);
    if (other === undefined) continue;
    const [own, theirs] = [other.emulator[key], first.emulator[key]];
    const why = `${key}=${theirs} as in job ${first.name}: jobs at a time run on one machine (or stonewall)`;
    errors.push(fail(other, `;emu ${key}=${own}`, why));
  }
  return errors;
}

/** Regions follow each other in the namespace, those of all stages: each has to end before its job's does. */
function checkRegions(jobs: readonly FioJob[]): JobFileError[] {
  const stored = jobs.filter((job) => job.options.ioengine !== "null");
  const regions = layoutFiles(stored);
  for (const job of stored) {
    for (const file of job.files) {
      const { start, size } = regions.get(file) ?? { start: 0, size: 0 };
      if (isNamespace(file) || start + size <= job.emulator.media) continue;
      const what = `files of ${job.emulator.media} bytes in all (;emu media=), not ${start + size}`;
      return [fail(job, "size", what)];
    }
  }
  return [];
}

export function checkFits(jobs: readonly FioJob[], limits: Limits): JobFileError[] {
  const once = jobs.filter((job) => job.clone === 0 || job.options.offsetIncrement > 0);
  const errors = once.flatMap((job) => checkJob(job, limits));
  const stages = new Set(jobs.map(({ stage }) => stage));
  for (const stage of stages) {
    errors.push(
      ...checkStage(
        jobs.filter((job) => job.stage === stage),
        limits,
      ),
    );
  }
  return [...errors, ...checkRegions(jobs)];
}
