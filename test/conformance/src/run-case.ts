/**
 * Runs one case on a machine and judges it: checks, warnings, leaks, dying threads, and the watchdog. A case whose
 * machine cannot go on has given it up when this returns (machine.failure is set).
 */
import { type LogRecord, LOG_WARN } from "@ringside/core/debug/dmesg";
import type { Machine } from "@ringside/workers/machine";
import type { WorkloadResult } from "@ringside/workers/roles";
import { within } from "@ringside/workers/within";
import { BEGIN, BODY, END } from "./bodies.ts";
import { CHECK_PREFIX } from "./checks.ts";
import type { CaseResult } from "./report.ts";
import type { Case, Suite } from "./suite.ts";

export interface CaseSettings {
  readonly seed: number;
  /** How long a timed case runs; others ignore it. */
  readonly seconds: number;
  /** A case that has not ended by then, in ms, hangs; its seconds come on top. */
  readonly hangMs: number;
}

/** Problems told of one case, and lines told of a machine that hangs: the first ones say it all. */
const PROBLEMS_MAX = 12;

/** Keeps a lost answer from waiting for ever; the watchdog is `within` (ms). */
const NET_MS = 24 * 3600 * 1000;

/** Rejects when a body throws, a thread dies or the watchdog fires. Returns what failed. */
async function run_bodies(
  machine: Machine,
  suite: Suite,
  test: Case,
  settings: CaseSettings,
): Promise<Outcome> {
  const { seed, seconds, hangMs } = settings;
  const running = new Set<number>();
  const bodies = test.bodies.map(async (_, index) => {
    running.add(index);
    const args = { suite: suite.name, name: test.name, index, parties: test.bodies.length, seconds, seed };
    const result = await machine.run(index, BODY, args, NET_MS);
    running.delete(index);
    return result;
  });
  const limit = hangMs + 1000 * seconds;
  const late = (): string => `hung: body ${[...running].join(" and ")} did not end`;
  const results = await bounded(Promise.all(bodies), limit, late);
  const texts = (result: WorkloadResult, field: string): string[] => result[field] as string[];
  return {
    failures: results.flatMap((result) => texts(result, "failures")),
    notes: results.flatMap((result) => texts(result, "notes")),
    clean: results.every((result) => result["clean"] === true),
  };
}

interface Outcome {
  /** Every thread came back as it went. */
  readonly clean: boolean;
  readonly failures: readonly string[];
  readonly notes: readonly string[];
}

/** As within(), with a text that is made when it is late. */
async function bounded<T>(promise: Promise<T>, limit: number, text: () => string): Promise<T> {
  let over = false;
  const mark = (): void => {
    over = true;
  };
  promise.then(mark, mark);
  try {
    return await within(promise, limit, "");
  } catch (error) {
    if (over) throw error;
    throw new Hung(`${text()} within ${limit} ms`);
  }
}

/** The watchdog fired. */
class Hung extends Error {
  override readonly name: string = "Hung";
}

/** Before a warning that nobody announced. */
export const UNEXPECTED = "unexpected: ";

/** Lines of one report that are told. */
const REPORT_LINES = 24;

/** A warning and the lines of information its CPU logged right after it: a lock validator's report has many. */
function whole_report(log: readonly LogRecord[], at: number): string {
  const lines = [log[at]?.text ?? ""];
  for (let i = at + 1; i < log.length && lines.length < REPORT_LINES; i++) {
    const { level, cpu, text } = log[i] as LogRecord;
    if (level >= LOG_WARN || text.startsWith(CHECK_PREFIX)) break;
    if (cpu === log[at]?.cpu) lines.push(text);
  }
  return lines.join("\n");
}

/** Warnings nobody announced, and announced ones that did not come. */
export function judge_log(log: readonly LogRecord[], warns: readonly string[]): string[] {
  const problems: string[] = [];
  const came = new Set<string>();
  for (const [at, { level }] of log.entries()) {
    if (level < LOG_WARN) continue;
    const report = whole_report(log, at);
    const announced = warns.filter((each) => report.includes(each));
    for (const each of announced) came.add(each);
    if (announced.length === 0) problems.push(UNEXPECTED + report);
  }
  const missing = warns.filter((each) => !came.has(each));
  return [...problems, ...missing.map((text) => `expected warning "${text}": it did not come`)];
}

/** The error a person wants: the message, and where it was thrown. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const thrown = error.cause instanceof Error ? error.cause : error;
  const at = thrown.stack?.split("\n").find((line) => /^\s*at /.test(line));
  const known = at === undefined || error instanceof Hung || /kernel BUG at/.test(error.message);
  return known ? error.message : `${error.message} (${at.trim()})`;
}

function first_line(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}

function detail(lines: readonly string[]): string {
  const more = lines.length - PROBLEMS_MAX;
  return [...lines.slice(0, PROBLEMS_MAX), ...(more > 0 ? [`... and ${more} more`] : [])].join("\n");
}

/** A case that killed its machine: why, what each task waits for, and what had failed before. */
async function post_mortem(machine: Machine, error: unknown, warns: readonly string[]): Promise<string> {
  const hung = machine.failure === undefined;
  const log = machine.log();
  const where = hung ? await machine.hungTasks() : [];
  machine.giveUp(error);
  const checks = log.map((record) => record.text).filter((text) => text.startsWith(CHECK_PREFIX));
  // Announced warnings may not have had their turn.
  const unexpected = judge_log(log, warns).filter((text) => text.startsWith(UNEXPECTED));
  // A BUG is logged, and is why the thread died.
  const warned = unexpected.filter(
    (text) => !describe(error).includes(first_line(text.slice(UNEXPECTED.length))),
  );
  return [detail([describe(error), ...checks, ...warned]), ...where].join("\n");
}

async function collect_leaks(machine: Machine, { hangMs }: CaseSettings): Promise<readonly string[]> {
  const end = machine.run(0, END, {}, NET_MS);
  const { leaks } = await bounded(end, hangMs, () => "hung: waiting for what the case released");
  return leaks as string[];
}

/** A verdict, and how many records of the log it is about. */
export interface Judged {
  readonly result: CaseResult;
  readonly records: number;
}

/** Runs `test` of `suite`; never rejects. */
export async function run_case(
  machine: Machine,
  suite: Suite,
  test: Case,
  settings: CaseSettings,
): Promise<Judged> {
  const { name, warns = [] } = test;
  try {
    await bounded(
      machine.run(0, BEGIN, {}, NET_MS),
      settings.hangMs,
      () => "hung: clearing up before the case",
    );
    const { failures, notes, clean } = await run_bodies(machine, suite, test, settings);
    const leaks = clean ? await collect_leaks(machine, settings) : [];
    // Read once: what comes after it is judged later.
    const log = machine.log();
    const problems = [...failures, ...judge_log(log, warns), ...leaks];
    if (!clean) machine.giveUp(new Error(problems[0]));
    const ok = problems.length === 0;
    const text = ok ? notes.join("\n") : detail([...problems, ...notes]);
    return { result: { name, ok, detail: text }, records: log.length };
  } catch (error) {
    const text = await post_mortem(machine, error, warns);
    return { result: { name, ok: false, detail: text }, records: machine.log().length };
  }
}
