/** Options that say what is transferred: direction, block sizes, engine, depth, region. */
import type { Draft, Share } from "./draft.ts";
import type { Complaint } from "./errors.ts";
import { splitNames } from "./files.ts";
import type { PerDdir, Rw } from "./job.ts";
import {
  amounts,
  choice,
  complain,
  flag,
  integer,
  missing,
  named,
  type OptionSpec,
  UINT_MAX,
} from "./option.ts";
import { readBssplit, splitLists } from "./split.ts";
import { BYTE_SUFFIXES, readAmount } from "./units.ts";

type Ddirs = PerDdir<boolean>;
const READ: Ddirs = [true, false, false];
const WRITE: Ddirs = [false, true, false];
const TRIM: Ddirs = [false, false, true];
const MIX: Ddirs = [true, true, false];
const TRIM_WRITE: Ddirs = [false, true, true];

/** Name → directions, random, trimwrite. */
const PATTERNS: Readonly<Record<string, readonly [Ddirs, boolean, boolean]>> = {
  read: [READ, false, false],
  write: [WRITE, false, false],
  trim: [TRIM, false, false],
  randread: [READ, true, false],
  randwrite: [WRITE, true, false],
  randtrim: [TRIM, true, false],
  rw: [MIX, false, false],
  readwrite: [MIX, false, false],
  randrw: [MIX, true, false],
  trimwrite: [TRIM_WRITE, false, true],
  randtrimwrite: [TRIM_WRITE, true, true],
};

function readRw(text: string, sequencer: Rw["sequencer"]): Rw | Complaint {
  const [name = "", postfix] = text.split(":");
  const expected = `one of ${Object.keys(PATTERNS).join(", ")}`;
  const pattern = Object.hasOwn(PATTERNS, name) ? PATTERNS[name] : undefined;
  if (pattern === undefined) return complain(expected);
  const [ddirs, random, trimwrite] = pattern;
  const amount = postfix === undefined ? undefined : readAmount(postfix.trim());
  const number = amount?.value ?? 0;
  // fio reads no suffix behind the count of a random one: randread:8k is 8
  const odd = amount === undefined || amount.percent || (random && !/^\s*\d+\s*$/.test(postfix ?? ""));
  if (postfix !== undefined && (odd || number < (random ? 1 : 0))) {
    const what = random ? "I/Os between new offsets, at least 1" : "bytes to skip after each I/O";
    return complain(`${name}:N with ${what}`, "fio: rw postfix parsing failed");
  }
  const [skip, count] = random ? [0, postfix === undefined ? 1 : number] : [number, 1];
  return { ddirs, random, trimwrite, skip, count, sequencer };
}

const direction: OptionSpec = {
  ...named("rw|readwrite"),
  apply(draft, value) {
    const result = readRw(value ?? "", draft.options.rw.sequencer);
    if ("expected" in result) return result;
    draft.options.rw = result;
    return undefined;
  },
};

const blockRange: OptionSpec = {
  ...named("bsrange|blocksize_range"),
  apply(draft, value) {
    const expected = `min-max for read[,write[,trim]], each with ${BYTE_SUFFIXES}`;
    if (value === undefined) return missing("bsrange", expected);
    const ranges = value.split(",");
    const min: [number, number, number] = [...draft.minBs];
    const max: [number, number, number] = [...draft.maxBs];
    if (ranges.length > 3 || ranges.every((range) => range === "")) return complain(expected);
    for (const [index, range] of ranges.entries()) {
      if (range === "" && ranges.length > 1) continue;
      const [low = "", high = "", ...rest] = range.split(range.includes("-") ? "-" : ":");
      const a = readAmount(low);
      const b = readAmount(high);
      if (a === undefined || b === undefined || a.percent || b.percent || rest.length > 0) {
        return complain(expected);
      }
      if (Math.min(a.value, b.value) < 1) return complain(expected);
      const end = index === ranges.length - 1 ? 3 : index + 1;
      min.fill(Math.min(a.value, b.value), index, end);
      max.fill(Math.max(a.value, b.value), index, end);
    }
    draft.minBs = min;
    draft.maxBs = max;
    return undefined;
  },
};

const blockSplit: OptionSpec = {
  ...named("bssplit"),
  apply(draft, value) {
    const expected = "size/percent:size/percent ..., one list or read,write,trim";
    if (value === undefined) return missing("bssplit", expected);
    const lists = splitLists(value, readBssplit);
    if (typeof lists === "string") return complain(expected, lists);
    const old = draft.options.bssplit;
    const kept = (ddir: 0 | 1 | 2): (typeof old)[0] => (lists[ddir].length > 0 ? lists[ddir] : old[ddir]);
    draft.options.bssplit = [kept(0), kept(1), kept(2)];
    const ends = lists.map((list, ddir): [number, number] => {
      const sizes = list.map((share) => share.bytes);
      if (sizes.length === 0) return [draft.minBs[ddir] ?? 0, draft.maxBs[ddir] ?? 0];
      return [Math.min(...sizes), Math.max(...sizes)];
    });
    draft.minBs = ends.map((end) => end[0]) as unknown as PerDdir<number>;
    draft.maxBs = ends.map((end) => end[1]) as unknown as PerDdir<number>;
    return undefined;
  },
};

/** Bytes or percent of the file. */
function share(text: string, maxPercent: number, set: (draft: Draft, value: Share) => void): OptionSpec {
  const names = named(text);
  const expected = `bytes with ${BYTE_SUFFIXES}, or 1% ... ${maxPercent}%`;
  return {
    ...names,
    apply(draft, value) {
      if (value === undefined) return missing(names.name, expected);
      if (value.endsWith("z")) return complain(`${expected} (the namespace has no zones)`);
      const amount = readAmount(value);
      if (amount === undefined || amount.value < 0) return complain(expected);
      if (amount.percent && amount.value > maxPercent) {
        const own =
          names.name === "io_size" ? ["fio: io_size values greater than 100% aren't supported"] : [];
        return complain(expected, ...own);
      }
      const { value: number, percent } = amount;
      set(draft, percent ? { bytes: 0, percent: number } : { bytes: number, percent: 0 });
      return undefined;
    },
  };
}

const engine: OptionSpec = {
  ...named("ioengine"),
  apply(draft, value) {
    const expected = "io_uring, libaio (runs as io_uring) or null";
    if (value === undefined) return missing("ioengine", expected);
    if (value !== "io_uring" && value !== "libaio" && value !== "null") {
      return complain(expected, `fio: engine ${value} not loadable`, "fio: failed to load engine");
    }
    draft.engine = value;
    draft.options.ioengine = value === "null" ? "null" : "io_uring";
    return undefined;
  },
};

const filename: OptionSpec = {
  ...named("filename"),
  priority: -1,
  apply(draft, value) {
    const expected = "file names apart by colons";
    if (value === undefined) return missing("filename", expected);
    const names = splitNames(value);
    if (names.length === 0) return complain(expected);
    draft.files = [...draft.files, ...names];
    return undefined;
  },
};

export const IO_OPTIONS: readonly OptionSpec[] = [
  direction,
  choice(
    "rw_sequencer",
    { sequential: "sequential", identical: "identical" } as const,
    (draft, sequencer) => {
      draft.options.rw = { ...draft.options.rw, sequencer };
    },
  ),
  amounts(
    "bs|blocksize",
    1,
    (draft) => draft.bs,
    (draft, bs) => {
      draft.bs = bs;
    },
  ),
  blockRange,
  blockSplit,
  flag("bs_unaligned|blocksize_unaligned", "bare", (draft, on) => {
    draft.options.bsUnaligned = on;
  }),
  engine,
  integer("iodepth", { min: 1 }, (draft, depth) => {
    draft.options.iodepth = depth;
  }),
  integer("iodepth_batch|iodepth_batch_submit", {}, (draft, batch) => {
    draft.options.iodepthBatch = batch;
  }),
  integer("iodepth_batch_complete_min|iodepth_batch_complete", {}, (draft, batch) => {
    draft.options.iodepthBatchCompleteMin = batch;
  }),
  integer("iodepth_batch_complete_max", {}, (draft, batch) => {
    draft.options.iodepthBatchCompleteMax = batch;
  }),
  integer("iodepth_low", {}, (draft, low) => {
    draft.options.iodepthLow = low;
  }),
  share("size", 100, (draft, size) => {
    draft.size = size;
  }),
  share("io_size|io_limit", 100, (draft, size) => {
    draft.ioSize = size;
  }),
  share("offset|fileoffset", 100, (draft, offset) => {
    draft.offset = offset;
  }),
  share("offset_increment", 100, (draft, increment) => {
    draft.offsetIncrement = increment;
  }),
  integer("filesize", { min: 1, max: Number.MAX_SAFE_INTEGER }, (draft, size) => {
    draft.filesize = size;
  }),
  integer("number_ios", { max: Number.MAX_SAFE_INTEGER }, (draft, count) => {
    draft.options.numberIos = count;
  }),
  integer("rwmixread", { max: 100 }, (draft, percent) => {
    draft.options.rwmixread = percent;
  }),
  integer("rwmixwrite", { max: 100 }, (draft, percent) => {
    draft.options.rwmixread = 100 - percent;
  }),
  filename,
  flag("direct", "value", (draft, on) => {
    draft.options.direct = on;
  }),
  flag("buffered", "value", (draft, on) => {
    draft.options.direct = !on;
  }),
  amounts(
    "rate",
    0,
    (draft) => draft.options.rate,
    (draft, value) => {
      draft.options.rate = value;
    },
  ),
  amounts(
    "rate_iops",
    0,
    (draft) => draft.options.rateIops,
    (draft, value) => {
      draft.options.rateIops = value;
    },
    UINT_MAX,
  ),
  integer("fsync", {}, (draft, count) => {
    draft.options.fsync = count;
  }),
  flag("end_fsync", "value", (draft, on) => {
    draft.options.endFsync = on;
  }),
  {
    ...flag("hipri", "bare", (draft, on) => {
      draft.options.hipri = on;
    }),
    engines: ["io_uring"],
  },
  {
    ...flag("fixedbufs", "bare", (draft, on) => {
      draft.options.fixedbufs = on;
    }),
    engines: ["io_uring"],
  },
  {
    ...flag("gpu_dmabuf", "bare", (draft, on) => {
      draft.dmabuf = on;
    }),
    engines: ["io_uring"],
  },
];
