/**
 * What was measured, told: the JSON document, the rows of a table, and the section of bench/results.md.
 *
 * Ratios are ours divided by the other side, of the figures as they are: with "IOPS" more than 1 is better, with
 * "ns" less than 1 is.
 */
import type { Bench } from "./bench.ts";
import { annotated, curveTables } from "./curves.ts";
import { type Environment, environmentLine } from "./environment.ts";
import { figureText, ratioText } from "./figures.ts";
import { NOISY, type Result, spread, type TargetResult } from "./measure.ts";

export interface Report {
  readonly environment: Environment;
  readonly results: readonly Result[];
}

/** One side of a comparison, as a table shows it. */
export interface Row {
  readonly side: string;
  readonly figure: string;
  /** "1.01 ns to 1.20 ns", or "" where there was one run only. */
  readonly range: string;
  /** Ours divided by this side; "" for ours. */
  readonly ratio: string;
  /** "at most 2: met" */
  readonly target: string;
}

export function rows(result: Result): Row[] {
  const { unit, peers, limit, targets, missing, published } = result;
  const ours = { name: result.oursName, value: result.ours, min: result.min, max: result.max };
  const row = (side: typeof ours, ratio?: number, role = ""): Row => ({
    side: `${side.name}${role}`,
    figure: figureText(side.value, unit),
    range: side.min === side.max ? "" : rangeText(side, unit),
    ratio: ratio === undefined ? "" : ratioText(ratio),
    target: targets
      .filter((target) => target.of === side.name)
      .map(targetText)
      .join("; "),
  });
  return [
    row(ours),
    ...peers.map((peer) => row(peer, peer.ratio)),
    ...(limit === null ? [] : [row(limit, limit.ratio, " (limit)")]),
    ...missing.map((side) => missingRow(side.name, side.missing)),
    ...(published === null ? [] : [{ ...EMPTY, side: published.name, ratio: ratioText(published.ratio) }]),
  ];
}

const EMPTY: Omit<Row, "side"> = { figure: "", range: "", ratio: "", target: "" };

function missingRow(side: string, reason: string): Row {
  return { ...EMPTY, side, figure: "-", range: reason };
}

function rangeText(side: { value: number; min: number; max: number }, unit: string): string {
  const noisy = spread(side) > NOISY ? ` (${(spread(side) * 100).toFixed(0)} % apart)` : "";
  return `${figureText(side.min, unit)} to ${figureText(side.max, unit)}${noisy}`;
}

function targetText(target: TargetResult): string {
  return `${wantedText(target)}: ${verdict(target)}`;
}

function wantedText({ atLeast, atMost }: TargetResult): string {
  return [
    ...(atLeast === undefined ? [] : [`at least ${atLeast}`]),
    ...(atMost === undefined ? [] : [`at most ${atMost}`]),
  ].join(", ");
}

function verdict({ met }: TargetResult): string {
  if (met === null) return "not measured";
  return met ? "met" : "not met";
}

/** "7 targets, 6 met; not met: …; not measured: …" */
export function targetsLine(results: readonly Result[]): string {
  const all = results.flatMap((result) => result.targets.map((target) => ({ result, target })));
  if (all.length === 0) return "no targets";
  const named = (met: boolean | null): string =>
    all
      .filter(({ target }) => target.met === met)
      .map(({ result, target }) => `${result.bench} ${result.name} to ${target.of}`)
      .join("; ");
  const met = all.filter(({ target }) => target.met === true).length;
  const parts = [`${all.length} ${all.length === 1 ? "target" : "targets"}, ${met} met`];
  if (named(false) !== "") parts.push(`not met: ${named(false)}`);
  if (named(null) !== "") parts.push(`not measured: ${named(null)}`);
  return parts.join("; ");
}

/** Has a target been measured and missed? */
export function missedTarget(results: readonly Result[]): boolean {
  return results.some(({ targets }) => targets.some(({ met }) => met === false));
}

/** "doorbells per I/O 0.06, wakeups avoided 1,234" */
export function notesLine({ notes }: Result): string {
  return Object.entries(notes)
    .map(([name, value]) => `${name} ${Number(value.toPrecision(4)).toLocaleString("en-US")}`)
    .join(", ");
}

/** The section of results.md: the command, the machine, a table a bench with how to read it, the targets. */
export function markdown({ environment, results }: Report, benches: readonly Bench[]): string {
  const { command, flags, startedAt, seconds } = environment;
  const lines = [
    `## Side by side: \`${command}\``,
    `${environmentLine(environment)}.`,
    `Started ${startedAt.slice(0, 16).replace("T", " ")} UTC, took ${seconds.toFixed(0)} s.`,
    'Figures are medians of alternating runs (of a curve: of its own runs); "ours / it" is our figure divided by that',
    "of the line: above 1 is better for rates, below 1 for times.",
  ];
  if (flags.length > 0) lines.push(`V8 and Node flags: \`${flags.join(" ")}\`.`);
  lines.push("", ...targetsTable(results));
  for (const name of new Set(results.map(({ bench }) => bench))) {
    const of = results.filter(({ bench }) => bench === name);
    const bench = benches.find((bench) => bench.name === name);
    lines.push("", `### ${name}`, "", ...(bench === undefined ? [] : [about(bench), ""]), ...benchTable(of));
    for (const result of annotated(of)) {
      const notes = notesLine(result);
      if (notes !== "") lines.push("", `${result.name}: ${notes}.`);
    }
  }
  lines.push("");
  return lines.join("\n");
}

function about({ what, reading }: Bench): string {
  return reading === undefined ? `${what}.` : `${what}. ${reading}`;
}

/** A row a target: what was wanted and what came. */
function targetsTable(results: readonly Result[]): string[] {
  const body = results.flatMap(({ bench, name, targets }) =>
    targets.map((target) => [
      `${bench}: ${name}`,
      target.of,
      wantedText(target),
      target.ratio === null ? "-" : ratioText(target.ratio),
      verdict(target),
    ]),
  );
  return body.length === 0 ? [] : markdownTable(["comparison", "beside", "wanted", "ours / it", ""], body);
}

function benchTable(results: readonly Result[]): string[] {
  const head = ["comparison", "side", "median", "lowest to highest", "ours / it", "target"];
  const compared = results.filter(({ curve }) => curve === null);
  const body = compared.flatMap((result) =>
    rows(result).map((row, i) => [
      i === 0 ? result.name : "",
      i === 0 ? `**${row.side}**` : row.side,
      row.figure,
      row.range,
      row.ratio,
      row.target,
    ]),
  );
  const tables = curveTables(results).flatMap((curves) => [...markdownTable(curves.head, curves.body), ""]);
  return [...(body.length === 0 ? [] : markdownTable(head, body)), ...tables.slice(0, -1)];
}

function markdownTable(head: readonly string[], body: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), `|${head.map(() => "---").join("|")}|`, ...body.map(line)];
}

const BEGIN = "<!-- ringside bench: begin -->";
const END = "<!-- ringside bench: end -->";

/** `text` with our section replaced, or with it at the end where there was none. */
export function replaceSection(text: string, section: string): string {
  const block = `${BEGIN}\n${section}${END}\n`;
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END, begin);
  if (begin >= 0 && end >= 0)
    return text.slice(0, begin) + block + text.slice(end + END.length).replace(/^\n/, "");
  if (text === "") return block;
  return `${text.trimEnd()}\n\n${block}`;
}
