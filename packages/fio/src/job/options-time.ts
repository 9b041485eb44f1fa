/** Options that say when and how long: run time, loops, order of the jobs, pauses, latency limits. */
import type { PerDdir } from "./job.ts";
import type { Complaint } from "./errors.ts";
import {
  choice,
  complain,
  flag,
  integer,
  missing,
  named,
  type OptionSpec,
  perDdir,
  time,
  UINT_MAX,
  words,
} from "./option.ts";
import { readFloat, readTime, TIME_SUFFIXES } from "./units.ts";

/** fio's bound of jobs in a run. */
export const JOBS_MAX = 4096;

const maxLatency: OptionSpec = {
  ...named("max_latency"),
  apply(draft, value) {
    const expected = `times for read[,write[,trim]] with ${TIME_SUFFIXES} (without: us)`;
    if (value === undefined) return missing("max_latency", expected);
    if (value.endsWith("z")) return complain(expected, "max_latency: 'z' suffix isn't applicable");
    const result = perDdir(
      value,
      draft.options.maxLatencyUs,
      (text) => readTime(text, 1) ?? complain(expected),
    );
    if (!Array.isArray(result)) return result as Complaint;
    draft.options.maxLatencyUs = result as unknown as PerDdir<number>;
    return undefined;
  },
};

const latencyPercentile: OptionSpec = {
  ...named("latency_percentile"),
  apply(draft, value) {
    if (value === undefined) return missing("latency_percentile", "a percentage, 0 ... 100");
    const percent = readFloat(value);
    if (percent === undefined)
      return complain("a percentage, 0 ... 100", `not a floating point value: ${value}`);
    if (percent < 0 || percent > 100) {
      const bound = percent < 0 ? "min: 0.000000" : "max: 100.000000";
      return complain("0 ... 100", `value out of range: ${percent.toFixed(6)} (range ${bound})`);
    }
    draft.options.latencyPercentile = percent;
    return undefined;
  },
};

export const TIME_OPTIONS: readonly OptionSpec[] = [
  time("runtime|timeout", "s", (draft, us) => {
    draft.options.runtimeMs = us / 1000;
  }),
  flag("time_based", "bare", (draft, on) => {
    draft.options.timeBased = on;
  }),
  time("ramp_time", "s", (draft, us) => {
    draft.options.rampTimeMs = us / 1000;
  }),
  time("startdelay", "s", (draft, us) => {
    draft.options.startDelayMs = us / 1000;
  }),
  integer("loops", {}, (draft, loops) => {
    draft.options.loops = Math.max(loops, 1);
  }),
  integer("numjobs", { min: 1, max: JOBS_MAX }, (draft, count) => {
    draft.numjobs = count;
  }),
  flag("stonewall|wait_for_previous", "bare", (draft, on) => {
    draft.stonewall = on;
  }),
  flag("new_group", "bare", (draft, on) => {
    draft.newGroup = on;
  }),
  words("wait_for", "the name of an earlier job", (draft, name) => {
    draft.waitFor = name;
  }),
  time(
    "thinktime",
    "us",
    (draft, us) => {
      draft.options.thinktimeUs = us;
    },
    UINT_MAX,
  ),
  time(
    "thinktime_spin",
    "us",
    (draft, us) => {
      draft.options.thinktimeSpinUs = us;
    },
    UINT_MAX,
  ),
  integer("thinktime_blocks", { min: 1 }, (draft, blocks) => {
    draft.options.thinktimeBlocks = blocks;
  }),
  choice("thinktime_blocks_type", { complete: "complete", issue: "issue" } as const, (draft, type) => {
    draft.options.thinktimeBlocksType = type;
  }),
  choice("rate_process", { linear: "linear", poisson: "poisson" } as const, (draft, process) => {
    draft.options.rateProcess = process;
  }),
  maxLatency,
  time("latency_target", "us", (draft, us) => {
    draft.options.latencyTargetUs = us;
  }),
  time("latency_window", "us", (draft, us) => {
    draft.options.latencyWindowUs = us;
  }),
  latencyPercentile,
];
