/** How measuring looks on a terminal: a live line, then a table a bench, and a last line about the targets. */
import { styleText } from "node:util";
import { annotated, curveTables } from "@ringside/bench/curves";
import { environmentLine } from "@ringside/bench/environment";
import { figureText } from "@ringside/bench/figures";
import type { Progress, Result, RunProgress } from "@ringside/bench/measure";
import { missedTarget, notesLine, type Report, rows, targetsLine } from "@ringside/bench/report";
import Table from "cli-table3";
import { createLogUpdate } from "log-update";

export interface BenchView {
  readonly update: (run: RunProgress) => void;
  readonly tell: (result: Result, progress: Progress) => void;
  readonly done: () => void;
}

/** Live on a terminal; otherwise how many comparisons there are, then a line each. */
export function bench_progress(stream: NodeJS.WriteStream): BenchView {
  const live = stream.isTTY ? createLogUpdate(stream) : undefined;
  let begun = false;
  return {
    update: (run) => {
      if (!begun && !live) stream.write(`comparisons: ${run.of}\n`);
      begun = true;
      live?.(progress_line(run));
    },
    tell: (result, { done, of }) => {
      if (!live) stream.write(`[${done}/${of}] ${result_line(result)}\n`);
    },
    done: () => {
      live?.clear();
      // Gives the cursor back.
      live?.done();
    },
  };
}

function progress_line({ bench, comparison, subject, round, runs, done, of }: RunProgress): string {
  const run = round === 0 ? "warming up" : `run ${round} of ${runs}`;
  return `[${done + 1}/${of}] ${bench}: ${comparison}  ${run}: ${subject}`;
}

function result_line({ bench, name, unit, ours, peers, limit, missing }: Result): string {
  const sides = limit === null ? peers : [...peers, limit];
  const against = sides.map((side) => `${side.name} ${figureText(side.value, unit)}`);
  const skipped = missing.map((side) => `${side.name} skipped: ${side.missing}`);
  return [`${bench}: ${name}: ${figureText(ours, unit)}`, ...against, ...skipped].join(" | ");
}

const NO_RULES_BETWEEN_ROWS = { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" };

export function bench_text(report: Report): string {
  const { environment, results } = report;
  if (results.length === 0) return paint("yellow", "nothing was measured");
  const names = [...new Set(results.map(({ bench }) => bench))];
  const tables = names.map((name) =>
    bench_table(
      name,
      results.filter(({ bench }) => bench === name),
    ),
  );
  const last = targetsLine(results);
  return [
    ...tables,
    environmentLine(environment),
    "medians of alternating runs; ours / it: our figure divided by that of the line",
    paint(missedTarget(results) ? "yellow" : "green", last),
  ].join("\n");
}

function bench_table(name: string, results: readonly Result[]): string {
  const compared = results.filter(({ curve }) => curve === null);
  const parts = curveTables(results).map(({ head, body }) => {
    const table = plain_table([name, ...head], [0]);
    for (const cells of body) table.push(["", ...cells]);
    return table.toString();
  });
  if (compared.length > 0) parts.unshift(comparison_table(name, compared));
  for (const result of annotated(results)) {
    const notes = notesLine(result);
    if (notes !== "") parts.push(`${result.name}: ${notes}`);
  }
  return parts.join("\n");
}

function comparison_table(name: string, results: readonly Result[]): string {
  const table = plain_table([name, "median", "lowest to highest", "ours / it", "target"], [0, 2, 4]);
  for (const result of results) {
    table.push([paint("bold", result.name), "", "", "", ""]);
    for (const { side, figure, range, ratio, target } of rows(result)) {
      table.push([`  ${side}`, figure, range, ratio, target]);
    }
  }
  return table.toString();
}

/** Columns of words start at the left, columns of figures end at the right. */
function plain_table(head: readonly string[], words: readonly number[]): Table.Table {
  return new Table({
    head: [...head],
    style: { head: [], border: [] },
    colAligns: head.map((_, i) => (words.includes(i) ? "left" : "right")),
    chars: NO_RULES_BETWEEN_ROWS,
  });
}

/** Colours, when the text goes to a terminal that has them. */
function paint(format: "bold" | "green" | "yellow", text: string): string {
  return styleText(format, text, { stream: process.stdout });
}
