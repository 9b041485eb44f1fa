/**
 * How far failures shrink: of each broken form of the check scenarios and each benchmark program with a bug, context
 * switches and preemptions as found and as reported, medians over some seeds.
 *
 *   node bench/shrunk.ts [--seeds 3] [--limit 10000] [--strategy portfolio] [part of a name ...]
 *
 * Prints a section of checker-results.md on stdout, progress on stderr.
 */
import { parseArgs } from "node:util";
import { type ShrinkRow, shrinkTable, shrinkText } from "@ringside/workers/check/shrink-table";
import { section } from "./section.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: "string", default: "3" },
    limit: { type: "string", default: "10000" },
    strategy: { type: "string", default: "portfolio" },
  },
});

const rows: ShrinkRow[] = [];
const options = {
  seeds: Number(values.seeds),
  limit: Number(values.limit),
  strategy: values.strategy,
  ...(positionals.length === 0 ? {} : { only: positionals }),
};
for await (const row of shrinkTable(options)) {
  rows.push(row);
  const { name, seed, before, after, seconds } = row;
  const change = (of: "contextSwitches" | "preemptions"): string => `${before[of]} -> ${after[of]}`;
  console.error(
    `${name} (seed ${seed}): switches ${change("contextSwitches")}, preemptions ${change("preemptions")}, ` +
      `${row.replays} replays, ${seconds.toFixed(1)} s`,
  );
}
const meaning =
  "Context switches and preemptions of a failure as the search found it and as it is reported, medians of seeds 1 to " +
  `${values.seeds}; a switch where the thread before had ended does not count. Minimal: shown that no schedule with ` +
  "fewer preemptions fails so.";
console.log(section("Shrunk failures", meaning, shrinkText(rows)));
