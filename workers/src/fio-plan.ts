/**
 * From jobs to machines: which stages share a machine, what that machine needs, where each job's part of the disk is.
 * All that can be refused is refused here, before anything boots.
 *
 * Stages run one after another, on one machine as long as their machine-level settings are equal. What is on the disk
 * lives as long as the machine: a stage with other settings begins with an empty one.
 */
// First: the root of the kernel image.
import { ConfigError } from "./machine.ts";
import type { KernelConfig } from "@ringside/core/mm/memory-map";
import { checkFits } from "@ringside/fio/job/checks";
import { layoutFiles, type Region } from "@ringside/fio/job/files";
import { DDIR_TRIM, type FioJob } from "@ringside/fio/job/job";
import { largest_block } from "@ringside/scenarios/fio/offsets";
import type { FioRegion, FioTask } from "@ringside/scenarios/fio/task";
import { iova_window } from "@ringside/core/dma/iova";
import { DEFAULT_CONFIG, MEMORY_LIMIT, memory_map } from "@ringside/core/mm/memory-map";

/** Jobs that run together, and the machine's settings they want. */
export interface FioStage {
  readonly number: number;
  readonly jobs: readonly FioJob[];
}

export interface FioMachine {
  readonly stages: readonly FioStage[];
  readonly config: KernelConfig;
  /** Pause between two invalidations, ms; 0: nobody invalidates. */
  readonly invalidateMs: number;
}

export interface FioPlan {
  readonly machines: readonly FioMachine[];
  readonly layout: ReadonlyMap<string, Region>;
}

const MIB = 1 << 20;
const PAGE_SIZE = 4096;
const CPUS_MAX = 64;
const KTHREADS_MAX = 64;
/** Verification headers are words in memory. */
const HEADER_ALIGN = 8;
const IODEPTH_MAX = 32768;
/** Kernel memory of a machine, and of an I/O in flight: request, bio, iod, PRP list, ring entries. */
const RAM_BASE = 48 * MIB;
const RAM_PER_IO = 2048;
/** rcu_gp, and kworkers that find something to do while the others sleep. */
const AWAKE_THREADS = 5;
const IOVA_SMALL = 64 * MIB;
const ADDRESS_LIMIT = 2 ** 31;

function is_null(job: FioJob): boolean {
  return job.options.ioengine === "null";
}

/** The job's ring polls: by its own option, or since its machine's completions are polled. */
function is_polled(job: FioJob): boolean {
  return !is_null(job) && (job.options.hipri || job.emulator.completion === "poll");
}

function buffer_kind(job: FioJob): FioTask["buffer"] {
  if (job.emulator.buf === "registered") return "registered";
  // Pages behind udmabuf never move: what is to be invalidated lies in VRAM.
  return job.emulator.invalidateMs > 0 ? "vram" : "udmabuf";
}

/** What is wrong with the job, or undefined. */
function conflict(job: FioJob): string | undefined {
  const { rw, verify, verifyInterval, fsync, endFsync, iodepth } = job.options;
  if (iodepth > IODEPTH_MAX) return `iodepth=${iodepth}: expected at most ${IODEPTH_MAX}`;
  if (is_null(job)) {
    return verify === "none" ? undefined : `verify=${verify}: expected ioengine=io_uring: null keeps no data`;
  }
  if (rw.ddirs[DDIR_TRIM]) {
    return (
      "rw=trim: expected reads and writes: the emulated controller has no Dataset Management command, so " +
      "nothing can be trimmed (ioengine=null can)"
    );
  }
  if (verify !== "none" && verifyInterval % HEADER_ALIGN !== 0) {
    return `verify_interval=${verifyInterval}: expected a multiple of ${HEADER_ALIGN}`;
  }
  if (!is_polled(job)) return undefined;
  if (buffer_kind(job) !== "registered") {
    return (
      "hipri or ;emu completion=poll: expected ;emu buf=registered, since io_uring refuses dma-buf buffers on " +
      "IOPOLL rings"
    );
  }
  if (fsync > 0 || endFsync) return "fsync on a polled ring: expected hipri=0 and ;emu completion=irq";
  return undefined;
}

function check_jobs(jobs: readonly FioJob[]): void {
  const errors = jobs.flatMap((job) => {
    const text = conflict(job);
    return text === undefined ? [] : [`job ${job.name}: ${text}`];
  });
  const limits = { cpus: CPUS_MAX, iodepth: IODEPTH_MAX, memory: MEMORY_LIMIT };
  errors.push(...checkFits(jobs, limits).map(({ message }) => message));
  if (errors.length > 0) throw new ConfigError([...new Set(errors)].join("\n"));
}

/** Bytes of the job's buffer: a place for each I/O in flight. */
function buffer_bytes(job: FioJob): number {
  if (is_null(job)) return 0;
  return Math.ceil((job.options.iodepth * largest_block(job.options)) / PAGE_SIZE) * PAGE_SIZE;
}

function power_of_two(bytes: number): number {
  return bytes === 0 ? 0 : 2 ** Math.ceil(Math.log2(bytes));
}

function sum_of(jobs: readonly FioJob[], of: (job: FioJob) => number): number {
  return jobs.reduce((sum, job) => sum + of(job), 0);
}

function most(stages: readonly FioStage[], of: (stage: FioStage) => number): number {
  return stages.reduce((max, stage) => Math.max(max, of(stage)), 0);
}

/** Jobs of a stage that invalidation touches. */
function moving(stage: FioStage): readonly FioJob[] {
  return stage.jobs.filter((job) => !is_null(job) && buffer_kind(job) === "vram");
}

/** The stage's machine, as far as it is not a matter of size. Equal keys share a machine. */
function machine_settings(stage: FioStage): Pick<
  KernelConfig,
  "iommu" | "percpu" | "completion" | "variant" | "media"
> & {
  readonly invalidateMs: number;
} {
  const [first] = stage.jobs as readonly [FioJob, ...FioJob[]];
  const { iommu, percpu, variant, media } = first.emulator;
  const completion = stage.jobs.some(is_polled) ? "poll" : "irq";
  const pauses = moving(stage).map((job) => job.emulator.invalidateMs);
  return {
    iommu,
    percpu,
    variant,
    media,
    completion,
    invalidateMs: pauses.length > 0 ? Math.min(...pauses) : 0,
  };
}

function machine_of(stages: readonly FioStage[]): FioMachine {
  const { invalidateMs, ...settings } = machine_settings(stages[0] as FioStage);
  const tasks = most(stages, (stage) => stage.jobs.length);
  const cpus = tasks + (invalidateMs > 0 ? 1 : 0);
  // Sleepers wait for works that need a thread too: io-wq items, the release of a token and of the one before it.
  const sleepers = 2 * cpus + 2 * tasks;
  const config: KernelConfig = {
    ...DEFAULT_CONFIG,
    ...settings,
    cpus,
    kthreads: Math.min(KTHREADS_MAX, Math.max(DEFAULT_CONFIG.kthreads, sleepers + AWAKE_THREADS)),
    // Runs of pages are cut from a power of two of them; evicted VRAM needs a second place while it moves.
    ram: RAM_BASE + most(stages, (stage) => sum_of(stage.jobs, ram_of)),
    vram: MIB + most(stages, (stage) => sum_of(moving(stage), buffer_bytes)),
  };
  return { stages, config, invalidateMs };
}

function ram_of(job: FioJob): number {
  return 2 * power_of_two(buffer_bytes(job)) + job.options.iodepth * RAM_PER_IO;
}

function check_machine(machine: FioMachine): void {
  const { config, stages, invalidateMs } = machine;
  const names = stages.flatMap((stage) => stage.jobs.map((job) => job.name));
  const jobs = `jobs ${[...new Set(names)].join(", ")}`;
  if (config.cpus > CPUS_MAX) {
    const room = CPUS_MAX - (invalidateMs > 0 ? 1 : 0);
    throw new ConfigError(`${jobs}: expected at most ${room} at a time, each on a CPU of its own`);
  }
  const { size } = memory_map(config);
  const maps =
    config.iommu === "passthrough"
      ? 0
      : most(stages, (s) => sum_of(s.jobs, (j) => 2 * power_of_two(buffer_bytes(j))));
  const addresses = config.iommu === "passthrough" ? 0 : IOVA_SMALL + maps;
  if (size <= MEMORY_LIMIT && addresses <= ADDRESS_LIMIT - iova_window(size)) return;
  const mib = (bytes: number): string => `${Math.ceil(bytes / MIB)} MiB`;
  throw new ConfigError(
    `${jobs} do not fit: the machine needs ${mib(size)} of memory and ${mib(addresses)} of I/O addresses, more than ` +
      `${mib(ADDRESS_LIMIT)} hold: expected less iodepth * bs, or a smaller ;emu media=`,
  );
}

/** The stages in order, jobs in theirs. */
function stages_of(jobs: readonly FioJob[]): FioStage[] {
  const stages = new Map<number, FioJob[]>();
  for (const job of jobs) stages.set(job.stage, [...(stages.get(job.stage) ?? []), job]);
  return [...stages.entries()]
    .sort(([a], [b]) => a - b)
    .map(([number, members]) => ({ number, jobs: members }));
}

/** Throws ConfigError, with all that is wrong, a line each. */
export function plan_fio(jobs: readonly FioJob[]): FioPlan {
  check_jobs(jobs);
  const machines: FioMachine[] = [];
  let group: FioStage[] = [];
  let before = "";
  for (const stage of stages_of(jobs)) {
    const key = JSON.stringify(machine_settings(stage));
    if (group.length > 0 && key !== before) {
      machines.push(machine_of(group));
      group = [];
    }
    group.push(stage);
    before = key;
  }
  if (group.length > 0) machines.push(machine_of(group));
  for (const machine of machines) check_machine(machine);
  return { machines, layout: layoutFiles(jobs.filter((job) => !is_null(job))) };
}

function regions_of(job: FioJob, layout: ReadonlyMap<string, Region>): FioRegion[] {
  const { size, sizePercent, offset, offsetIncrement } = job.options;
  const begin = offset + offsetIncrement * job.clone;
  const share = Math.ceil(size / job.files.length);
  return job.files.map((name) => {
    const file = is_null(job) ? { start: 0, size: begin + share } : (layout.get(name) as Region);
    const room = file.size - begin;
    const bytes = size > 0 ? share : sizePercent > 0 ? Math.floor((room * sizePercent) / 100) : room;
    return { name, start: file.start, offset: begin, bytes };
  });
}

/** The job's streams of random numbers: its own, and the same in every run unless randrepeat=0. */
function seed_of(job: FioJob): number {
  if (!job.options.randrepeat) return Math.floor(Math.random() * 2 ** 31);
  return (Math.imul(job.options.randseed | 0, 0x9e3779b1) + job.number + 1) | 0;
}

/** What the kernel side is told of the job. */
export function fio_task(job: FioJob, layout: ReadonlyMap<string, Region>): FioTask {
  return {
    options: job.options,
    regions: regions_of(job, layout),
    buffer: buffer_kind(job),
    polled: is_polled(job),
    seed: seed_of(job),
    thread: (job.number + 1) & 0xffff,
  };
}
