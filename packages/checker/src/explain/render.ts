/**
 * Render: a failure as text for a terminal, no wider than `width`, without colours: what, the interleaving in columns,
 * the report, what would have to be otherwise, and how to replay it.
 */
import { columnsOf, COLUMNS_WIDTH, cut } from "./columns.ts";
import type { Failure } from "./failure.ts";
import { counted, runsText } from "./story.ts";

export interface RenderOptions {
  readonly width?: number;
  /** Put before the token in the last line; default "ringside replay". */
  readonly command?: string;
}

export function renderFailure(failure: Failure, options: RenderOptions = {}): string {
  const { width = COLUMNS_WIDTH, command = "ringside replay" } = options;
  const lines = [...wrap(failure.message, width), ...wrap(failure.where, width), ""];
  lines.push(...columnsOf(failure.trace, failure.threads, width), "");
  lines.push(...reportOf(failure).flatMap((line) => wrap(line, width)));
  lines.push(...passingLines(failure, width));
  lines.push(...wrap(shrunkLine(failure), width), `replay: ${command} ${failure.replay}`);
  return lines.join("\n");
}

/** The report, unless it says no more than the first line. */
function reportOf({ report, message, kind }: Failure): string[] {
  if (report === undefined || message.endsWith(report.trim())) return [];
  // The stack of an assertion of the program: where it was thrown, without the scheduler under it.
  const own = kind === "assertion" || kind === "crash";
  const lines = report
    .split("\n")
    .filter((line) => !own || !/node:|\/checker\/src\/(?!explain\/testing)/.test(line));
  if (lines[0] === message) lines.shift();
  // Which twin of a module the loader made is nobody's business.
  return lines.length === 0 ? [] : [...lines.map((line) => line.replace(/\?controlled=\d+/, "")), ""];
}

function passingLines({ passing, runs, threads }: Failure, width: number): string[] {
  if (passing === null) return ["No schedule near it passes.", ""];
  const lines = wrap(passing.story, width);
  if (passing.read !== undefined) lines.push(...wrap(passing.read, width));
  lines.push(cut(`  fails   ${runsText(runs, threads)}`, width));
  lines.push(cut(`  passes  ${runsText(passing.runs, threads)}`, width), "");
  return lines;
}

function shrunkLine({ shrunk, strategy, execution }: Failure): string {
  const { contextSwitches, preemptions, switchPoints } = shrunk;
  const change = (name: string, { from, to }: { from: number; to: number }): string =>
    `${from === to ? "" : `${from} -> `}${counted(to, name)}`;
  const parts = [
    change("context switch", contextSwitches),
    change("preemption", preemptions),
    change("switch point", switchPoints),
  ];
  const by = strategy === undefined ? "" : ` by ${strategy}`;
  const number = execution === undefined ? "" : ` in execution ${execution + 1}${by}`;
  const minimal = shrunk.minimal ? "; no schedule with fewer preemptions fails like this" : "";
  return `found${number}; ${parts.join(", ")} (${counted(shrunk.replays, "replay")})${minimal}`;
}

/** Further lines are indented by two more than the first. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  const words = text.trimStart();
  const indent = text.slice(0, text.length - words.length);
  let line = indent;
  let first = true;
  for (const word of words.split(" ")) {
    if (!first && line.length + 1 + word.length > width) {
      lines.push(line);
      line = `${indent}  ${word}`;
    } else line += first ? word : ` ${word}`;
    first = false;
  }
  return [...lines, line];
}
