/** How a conformance run looks on a terminal: the running case, a table a suite, what failed, a last line. */
import { styleText } from "node:util";
import type { CaseResult, ConformanceReport, SuiteReport } from "@ringside/conformance/report";
import { run_totals } from "@ringside/conformance/report";
import type { ConformanceProgress } from "@ringside/conformance/runner";
import Table from "cli-table3";
import { createLogUpdate } from "log-update";

export interface ConformanceView {
  readonly update: (progress: ConformanceProgress) => void;
  readonly done: () => void;
}

function verdict(result: CaseResult): string {
  return result.skipped === true ? "skip" : result.ok ? "ok" : "FAIL";
}

/** Live on a terminal; otherwise a line for each case that failed, as soon as it has. */
export function conformance_progress(stream: NodeJS.WriteStream): ConformanceView {
  const live = stream.isTTY ? createLogUpdate(stream) : undefined;
  let failed = 0;
  let open = true;
  return {
    update: ({ suite, name, index, count, result }) => {
      const where = `${suite.name}/${name}`;
      if (result?.ok === false) {
        failed++;
        if (!live) stream.write(`FAIL ${where}\n`);
      }
      live?.(`${index} of ${count}  ${failed} failed  ${where}${result ? ` ${verdict(result)}` : ""}`);
    },
    done: () => {
      if (open) {
        live?.clear();
        // Gives the cursor back.
        live?.done();
      }
      open = false;
    },
  };
}

export interface ListedSuite {
  readonly name: string;
  readonly source: string;
  readonly cases: readonly string[];
}

export function suites_text(suites: readonly ListedSuite[]): string {
  return suites
    .map(({ name, source, cases }) => [`${name} (${source})`, ...cases.map((test) => `  ${test}`)].join("\n"))
    .join("\n");
}

/** Colours, when the text goes to a terminal that has them. */
function paint(colour: "red" | "green" | "yellow", text: string): string {
  return styleText(colour, text, { stream: process.stdout });
}

const NO_RULES_BETWEEN_ROWS = { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" };

function first_line(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}

const WIDTH = 72;

function suite_table(suite: SuiteReport): string {
  const table = new Table({ style: { head: [], border: [] }, chars: NO_RULES_BETWEEN_ROWS });
  for (const result of suite.cases) {
    const said = result.ok ? first_line(result.detail) : "see below";
    const short = said.length > WIDTH ? `${said.slice(0, WIDTH - 3)}...` : said;
    const colour = result.skipped === true ? "yellow" : result.ok ? "green" : "red";
    table.push([result.name, paint(colour, verdict(result)), short]);
  }
  const counts = `${suite.passed} passed, ${suite.failed} failed, ${suite.skipped} skipped`;
  return `${suite.name} (${suite.source}): ${counts}\n${table.toString()}\n`;
}

/** What repeats a case as it ran. */
export interface Again {
  readonly seed: number;
  readonly seconds?: number | undefined;
  readonly mutant?: string | undefined;
}

function shell_word(text: string): string {
  return /^[\w./:=@-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** The command that runs one case again. */
export function again_line(suite: string, name: string, again: Again): string {
  const words = [
    "ringside conformance",
    shell_word(suite),
    "--case",
    shell_word(name),
    "--seed",
    `${again.seed}`,
  ];
  if (again.seconds !== undefined) words.push("--seconds", `${again.seconds}`);
  if (again.mutant !== undefined) words.push("--mutant", again.mutant);
  return words.join(" ");
}

function failures(report: ConformanceReport, again: Again): string {
  let text = "";
  for (const suite of report.suites) {
    for (const { name, ok, detail } of suite.cases) {
      if (ok) continue;
      const lines = detail.split("\n").map((line) => `  ${line}\n`);
      text += `${paint("red", `FAIL ${suite.name}/${name}`)}\n${lines.join("")}`;
      text += `  again with: ${again_line(suite.name, name, again)}\n`;
    }
  }
  return text;
}

export function conformance_text(report: ConformanceReport, again: Again): string {
  const { passed, failed, skipped } = run_totals(report);
  const tables = report.suites.map(suite_table).join("\n");
  const counts = `${passed} passed, ${failed} failed, ${skipped} skipped`;
  const last = report.interrupted === true ? `interrupted: ${counts}` : counts;
  const colour = report.interrupted === true ? "yellow" : report.ok ? "green" : "red";
  return `${tables}\n${failures(report, again)}${paint(colour, last)}`;
}
