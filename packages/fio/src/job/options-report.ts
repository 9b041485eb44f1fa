/** Options that say what is measured and how it is told. */
import type { Draft } from "./draft.ts";
import { choice, complain, flag, integer, missing, named, type OptionSpec, words } from "./option.ts";
import { readFloat } from "./units.ts";

/** fio: FIO_IO_U_LIST_MAX_LEN. */
export const PERCENTILES_MAX = 20;

const percentiles: OptionSpec = {
  ...named("percentile_list"),
  apply(draft, value) {
    const expected = `1 ... ${PERCENTILES_MAX} percentages above 0 and up to 100, apart by colons`;
    if (value === undefined) return missing("percentile_list", expected);
    const texts = value.split(":");
    if (texts.length > PERCENTILES_MAX) {
      return complain(expected, `the list exceeding max length ${PERCENTILES_MAX}`);
    }
    const list: number[] = [];
    for (const text of texts) {
      const percent = readFloat(text);
      if (percent === undefined) return complain(expected, `not a floating point value: ${text}`);
      if (percent > 100) {
        return complain(expected, `value out of range: ${percent.toFixed(6)} (range max: 100.000000)`);
      }
      if (percent < 0) {
        return complain(expected, `value out of range: ${percent.toFixed(6)} (range min: 0.000000)`);
      }
      if (percent === 0) return complain(expected);
      list.push(percent);
    }
    draft.options.percentileList = list.sort((a, b) => a - b);
    return undefined;
  },
};

/** A log's prefix; bare: the one said before, else the job's name. */
function log(name: string, key: keyof Draft["logs"]): OptionSpec {
  return {
    name,
    argument: true,
    apply(draft, value) {
      draft.logs[key] = value ?? draft.logs[key] ?? "";
      return undefined;
    },
  };
}

/** gtod_reduce=1 stands for several options; later ones may take parts of it back. */
const gtodReduce: OptionSpec = flag("gtod_reduce", "value", (draft, on) => {
  draft.options.gtodReduce = on;
  if (!on) return;
  Object.assign(draft.options, {
    disableLat: true,
    disableClat: true,
    disableSlat: true,
    disableBw: true,
    clatPercentiles: false,
    latPercentiles: false,
    slatPercentiles: false,
  });
});

export const REPORT_OPTIONS: readonly OptionSpec[] = [
  words("description", "a text", (draft, text) => {
    draft.options.description = text;
  }),
  flag("group_reporting", "bare", (draft, on) => {
    draft.options.groupReporting = on;
  }),
  choice(
    "unified_rw_reporting",
    { none: false, mixed: true, "0": false, "1": true },
    (draft, on) => {
      draft.options.unifiedRwReporting = on;
    },
    ["both", "2"],
  ),
  percentiles,
  flag("clat_percentiles", "value", (draft, on) => {
    draft.options.clatPercentiles = on;
  }),
  flag("lat_percentiles", "value", (draft, on) => {
    draft.options.latPercentiles = on;
  }),
  flag("slat_percentiles", "value", (draft, on) => {
    draft.options.slatPercentiles = on;
  }),
  flag("disable_lat", "value", (draft, on) => {
    draft.options.disableLat = on;
  }),
  flag("disable_clat", "value", (draft, on) => {
    draft.options.disableClat = on;
  }),
  flag("disable_slat", "value", (draft, on) => {
    draft.options.disableSlat = on;
  }),
  flag("disable_bw_measurement|disable_bw", "value", (draft, on) => {
    draft.options.disableBw = on;
  }),
  gtodReduce,
  log("write_bw_log", "bw"),
  log("write_iops_log", "iops"),
  log("write_lat_log", "lat"),
  log("write_hist_log", "hist"),
  integer("log_avg_msec", {}, (draft, ms) => {
    draft.options.logAvgMs = ms;
  }),
  integer("log_hist_msec", {}, (draft, ms) => {
    draft.options.logHistMs = ms;
  }),
  flag("log_offset", "value", (draft, on) => {
    draft.options.logOffset = on;
  }),
];
