/** How a search looks on a terminal: a live line, then what was found, and a last line with the verdict. */
import { styleText } from "node:util";
import { renderFailure } from "@ringside/checker/explain/render";
import type { CheckProgress, CheckReport } from "@ringside/workers/check-request";
import { createLogUpdate } from "log-update";

export interface CheckView {
  readonly update: (progress: CheckProgress) => void;
  readonly done: () => void;
}

/** Seconds between two lines where the stream is no terminal. */
const LINE_SECONDS = 10;

/** Live on a terminal; a line every ten seconds otherwise. */
export function check_progress(stream: NodeJS.WriteStream): CheckView {
  const live = stream.isTTY ? createLogUpdate(stream) : undefined;
  let last: CheckProgress | undefined;
  let printed = 0;
  return {
    update: (progress) => {
      const line = progress_line(progress, last);
      last = progress;
      if (live) live(line);
      else if (progress.seconds - printed >= LINE_SECONDS) {
        printed = progress.seconds;
        stream.write(`${line}\n`);
      }
    },
    done: () => {
      if (last !== undefined) {
        live?.clear();
        // Gives the cursor back.
        live?.done();
      }
      last = undefined;
      printed = 0;
    },
  };
}

function progress_line(now: CheckProgress, last: CheckProgress | undefined): string {
  if (now.loading) return "loading";
  const time = Math.max(now.seconds - (last?.seconds ?? 0), 0.001);
  const rate = (n: number, before: number | undefined): string =>
    count(Math.max(0, n - (before ?? 0)) / time);
  const parts = [
    `${now.seconds.toFixed(1).padStart(6)} s`,
    `${count(now.executions)} executions`,
    `${rate(now.executions, last?.executions)} executions/s`,
    `${rate(now.steps, last?.steps)} steps/s`,
  ];
  if (now.estimate > 0) parts.push(`of about ${rough(now.estimate)}`);
  return parts.join("  ");
}

function count(n: number): string {
  return Math.round(n).toLocaleString("en-US");
}

function rough(n: number): string {
  return n < 1e12 ? count(Number(n.toPrecision(2))) : n.toExponential(1);
}

/** Colours, when the text goes to a terminal that has them. */
function paint(colour: "red" | "green" | "yellow", text: string): string {
  return styleText(colour, text, { stream: process.stdout });
}

export function check_text(report: CheckReport): string {
  const { failure } = report;
  const lines: string[] = [];
  if (failure !== null) lines.push(failure.replay === "" ? failure.message : renderFailure(failure), "");
  if (report.verdict === "proved") {
    lines.push("No execution fails, if");
    lines.push(...report.assumptions.map((assumption) => `- ${assumption}`));
  } else if (report.reasons.length > 0) {
    lines.push("The search came to its end, but it is no proof:");
    lines.push(...report.reasons.map((reason) => `- ${reason}`));
  }
  lines.push(verdict_line(report));
  return lines.join("\n");
}

/** The last line where several programs were searched. */
export function check_summary(reports: readonly CheckReport[], programs: number): string {
  const failed = reports.filter(({ verdict }) => verdict === "fail").map(({ scenario }) => scenario);
  const left = programs - reports.length;
  const searched = left === 0 ? `${programs} programs` : `${programs} programs, ${left} not searched`;
  if (failed.length === 0) return paint(left === 0 ? "green" : "yellow", `${searched}: nothing found`);
  return paint("red", `FAIL ${failed.length} of ${searched}: ${failed.join(", ")}`);
}

function verdict_line(report: CheckReport): string {
  const { executions, executionsPerSecond, steps, seconds, strategy, seed, shard, classes } = report;
  const what = [report.scenario, report.form, report.variant, report.mutant]
    .filter((part) => part !== null)
    .join(" ");
  const part = shard === null ? "" : `, shard ${shard}`;
  const effort =
    `${count(executions)} ${executions === 1 ? "execution" : "executions"}, ${count(steps)} steps, ` +
    `${seconds.toFixed(1)} s, ${count(executionsPerSecond)} executions/s; ${strategy}, seed ${seed}${part}`;
  if (report.verdict === "fail")
    return paint("red", `FAIL ${what}: ${report.failure?.kind ?? ""} (${effort})`);
  if (report.interrupted) return paint("yellow", `interrupted ${what}: nothing found so far (${effort})`);
  if (report.verdict === "proved") {
    return paint(
      "green",
      `proved ${what}: ${count(classes ?? 0)} ${classes === 1 ? "execution" : "executions that differ"} (${effort})`,
    );
  }
  return paint("green", `pass ${what}: nothing found (${effort})`);
}
