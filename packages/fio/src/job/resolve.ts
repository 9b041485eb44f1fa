/**
 * Options that depend on each other, brought together as fio does before it starts a job (init.c,
 * fixup_options): block sizes, depths, verification, what one option switches off in another. What cannot be
 * brought together is an error, what fio warns of is a note.
 */
import type { Draft, Share } from "./draft.ts";
import { type JobFileError, jobError, type Place } from "./errors.ts";
import { defaultFile, isNamespace } from "./files.ts";
import type { EmulatorSettings, JobOptions, PerDdir, Range } from "./job.ts";
import { DEFAULT_EMULATOR } from "./pragmas.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Options = Mutable<JobOptions>;

export interface Resolved {
  readonly name: string;
  readonly options: JobOptions;
  readonly emulator: EmulatorSettings;
  readonly files: readonly string[];
  readonly errors: readonly JobFileError[];
  readonly notes: readonly string[];
}

/** What is collected while one clone of a job is resolved. */
interface Findings extends Place {
  readonly job: string;
  readonly errors: JobFileError[];
  readonly notes: string[];
}

function fail(to: Findings, option: string, expected: string, own: string): void {
  to.errors.push(jobError(to, option, expected, [own]));
}

function blockRanges(draft: Draft): PerDdir<Range> {
  const range = (ddir: number): Range => ({
    min: (draft.minBs[ddir] ?? 0) || (draft.bs[ddir] ?? 0),
    max: (draft.maxBs[ddir] ?? 0) || (draft.bs[ddir] ?? 0),
  });
  return [range(0), range(1), range(2)];
}

function fixDepths(options: Options): void {
  const { iodepth } = options;
  if (options.iodepthLow === 0 || options.iodepthLow > iodepth) options.iodepthLow = iodepth;
  if (options.iodepthBatch === 0 || options.iodepthBatch > iodepth) options.iodepthBatch = iodepth;
  options.iodepthBatchCompleteMax = Math.max(
    options.iodepthBatchCompleteMax,
    options.iodepthBatchCompleteMin,
  );
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function fixPacing(options: Options, to: Findings): void {
  if (sum(options.rate) > 0 && sum(options.rateIops) > 0) {
    fail(to, "rate_iops", "rate or rate_iops, not both", "fio: rate and rate_iops are mutually exclusive");
  }
  if (options.timeBased && options.runtimeMs === 0) {
    to.notes.push("fio: time_based requires a runtime/timeout setting");
    options.timeBased = false;
  }
  options.thinktimeSpinUs = Math.min(options.thinktimeSpinUs, options.thinktimeUs);
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/** Bytes between verification headers: a divisor of every write's size; 0: one header a block. */
function verifyInterval(options: Options): number {
  const [read, write] = options.bs;
  let interval = options.verifyInterval;
  if (write.max !== write.min && interval === 0) interval = write.min;
  if (interval > write.min) interval = write.min;
  else if (options.rw.ddirs[0] && interval > read.min) interval = read.min;
  if (interval === 0 || write.min % interval !== 0 || write.max % interval !== 0) {
    interval = gcd(write.min, write.max);
  }
  return interval === write.max ? 0 : interval;
}

function fixVerify(options: Options, draft: Draft, to: Findings): void {
  if (options.verify === "none") return;
  const [reads, writes] = options.rw.ddirs;
  if (writes && options.doVerify && draft.numjobs > 1 && draft.files.length > 0) {
    to.notes.push(
      "fio: multiple writers may overwrite blocks that belong to other jobs. This can cause verification failures.",
    );
  }
  const untilEnd = options.runtimeMs > 0 && options.timeBased;
  if (writes && options.doVerify && untilEnd && !reads && options.verifyBacklog === 0) {
    to.notes.push("fio: verification read phase will never start because write phase uses all of runtime");
  }
  const fixed = options.bs.every(({ min, max }) => min === max && min === options.bs[0].min);
  if (options.norandommap && !fixed) {
    to.notes.push("fio: norandommap given for variable block sizes, verify limited");
  }
  options.verifyInterval = verifyInterval(options);
}

function fixReporting(options: Options, draft: Draft, job: string): void {
  if (options.disableLat) options.latPercentiles = false;
  if (options.disableClat) options.clatPercentiles = false;
  if (options.disableSlat) options.slatPercentiles = false;
  const logs = Object.entries(draft.logs).map(([key, prefix]) => [key, prefix === "" ? job : prefix]);
  options.logs = Object.fromEntries(logs) as JobOptions["logs"];
}

/** Bytes of a share of `whole`; percentages are rounded down to whole blocks. NaN if the whole is not known. */
function bytesOf(share: Share, whole: number, block: number): number {
  if (share.percent === 0) return share.bytes;
  if (whole === 0) return Number.NaN;
  return Math.floor((whole * share.percent) / 100 / block) * block;
}

/** Region: offset and size, and how much of it is transferred. */
function fixRegion(
  options: Options,
  draft: Draft,
  files: readonly string[],
  media: number,
  to: Findings,
): void {
  const block = Math.min(...options.bs.map((range) => range.min));
  const onNamespace = files.every(isNamespace);
  const whole = onNamespace ? media : draft.filesize || draft.size.bytes;
  options.offset = bytesOf(draft.offset, whole, block);
  options.offsetIncrement = bytesOf(draft.offsetIncrement, whole, block);
  options.size = draft.size.bytes;
  options.sizePercent = draft.size.percent;
  if (draft.filesize > 0) {
    options.size = draft.filesize * files.length;
    const asked = draft.size.percent > 0 ? bytesOf(draft.size, options.size, block) : draft.size.bytes;
    options.sizePercent = 0;
    options.ioSize = asked;
  }
  const region = options.size || bytesOf({ bytes: 0, percent: options.sizePercent || 100 }, whole, block);
  if (draft.ioSize.bytes > 0 || draft.ioSize.percent > 0)
    options.ioSize = bytesOf(draft.ioSize, region, block);
  if ([options.offset, options.offsetIncrement, options.ioSize].some(Number.isNaN)) {
    fail(to, "offset", "bytes, or a size= to take the percentage of", `${to.job}: you need to specify size=`);
  }
  if (draft.size.bytes > 0 && draft.size.bytes < block) {
    const own = `fio: size too small, must not be less than minimum block size: ${draft.size.bytes} < ${block}`;
    fail(to, `size=${draft.size.bytes}`, `at least ${block}`, own);
  }
}

function emulatorOf(draft: Draft, base: Partial<EmulatorSettings>, media: number): EmulatorSettings {
  const dmabuf = draft.dmabuf && draft.engine === "io_uring" ? { buf: "dmabuf" as const } : {};
  return { ...DEFAULT_EMULATOR, media, ...base, ...dmabuf, ...draft.emulator };
}

/** One clone of the job of a section, which names its file; name= calls the first clone something else. */
export function resolve(
  draft: Draft,
  section: Place & { readonly name: string },
  clone: number,
  defaults: { readonly media: number; readonly emulator: Partial<EmulatorSettings> },
): Resolved {
  const job = (clone === 0 ? draft.name : undefined) ?? section.name;
  const place = { file: section.file, line: section.line };
  const to: Findings = { ...place, job, errors: [], notes: [...draft.notes] };
  const options: Options = { ...draft.options, bs: blockRanges(draft) };
  const emulator = emulatorOf(draft, defaults.emulator, defaults.media);
  const files = draft.files.length > 0 ? draft.files : [defaultFile(section.name, clone)];
  if (draft.engine === undefined) {
    to.notes.push("no ioengine given: io_uring (fio itself would take psync)");
  } else if (draft.engine === "libaio") {
    to.notes.push("ioengine=libaio runs as io_uring");
  }
  fixDepths(options);
  fixPacing(options, to);
  if (draft.engine !== "io_uring") Object.assign(options, { hipri: false, fixedbufs: false });
  if (options.bsUnaligned && options.direct) to.notes.push("fio: bs_unaligned may not work with raw io");
  if (options.distribution.some(({ kind }) => kind !== "random")) options.norandommap = true;
  if (draft.randseedGiven) options.randrepeat = true;
  fixVerify(options, draft, to);
  fixReporting(options, draft, job);
  fixRegion(options, draft, files, emulator.media, to);
  return { name: job, options, emulator, files, errors: to.errors, notes: to.notes };
}
