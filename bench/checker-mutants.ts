/**
 * How soon each strategy finds each planted bug: executions to the first finding, the median of some seeds.
 *
 *   node bench/checker-mutants.ts [--seeds 3] [--limit 10000] [--strategies random,pct] [scenario ...]
 *
 * Prints a section of checker-results.md on stdout, progress on stderr.
 */
import { parseArgs } from "node:util";
import { median, mutantTable, type Row, tableText } from "@ringside/workers/check/mutant-table";
import { section } from "./section.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: "string", default: "3" },
    limit: { type: "string", default: "10000" },
    strategies: { type: "string" },
  },
});

const rows: Row[] = [];
const options = {
  seeds: Number(values.seeds),
  limit: Number(values.limit),
  ...(values.strategies === undefined ? {} : { strategies: values.strategies.split(",") }),
  ...(positionals.length === 0 ? {} : { scenarios: positionals }),
};
for await (const row of mutantTable(options)) {
  rows.push(row);
  const cells = row.cells.map((cell) => `${cell.strategy} ${median(cell)}`);
  console.error(`${row.scenario}/${row.form}: ${cells.join(", ")}`);
}
const meaning =
  `Executions to the first finding with all detectors on, the median of seeds 1 to ${values.seeds}; -: none within ` +
  `${values.limit}.`;
console.log(section("Planted bugs", meaning, tableText(rows)));
