/** `ringside bench sct`: schedules to the first bug of public benchmark programs, beside what others have published. */
import { cpus } from "node:os";
import { Worker } from "node:worker_threads";
import { Command, type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { PUBLISHED_SOURCE } from "@ringside/checker/programs/published";
import { type SctRow, sctStrategy } from "@ringside/checker/sct";
import type { SctJob } from "@ringside/checker/sct-worker";
import Table from "cli-table3";
import { InvalidArgumentError } from "commander";
import { createLogUpdate } from "log-update";
import { interruptedStatus, interruptible } from "./interrupt.ts";
import { integer } from "./values.ts";

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const MAX_JOBS = 64;

const STRATEGIES = ["random", "pct3", "pct10", "pos", "urw", "surw", "portfolio"];
const SEEDS = 20;
const LIMIT = 10_000;
const WORKER = import.meta.resolve("@ringside/checker/sct-worker");

export function bench_sct_command(): CommandUnknownOpts {
  return new Command("sct")
    .description("schedules to the first bug of public benchmark programs, by strategy")
    .addOption(
      new Option("--programs <list>", "names or suites: CS,Chess,SafeStack")
        .argParser(list)
        .default<string[]>([], "all"),
    )
    .addOption(
      new Option("--strategies <list>", "of ringside list strategies; pct3 is PCT of depth 3")
        .argParser(strategies)
        .default(STRATEGIES, STRATEGIES.join(",")),
    )
    .option("--seeds <n>", "trials", integer(1, 10_000), SEEDS)
    .option("--limit <n>", "executions a trial at most", integer(1, 1_000_000_000), LIMIT)
    .option("--jobs <n>", "threads that run programs side by side", integer(1, MAX_JOBS), 1)
    .option("--json", "one JSON document on stdout", false)
    .action(async ({ json, jobs, ...job }) => {
      process.exitCode = await bench_sct(job, jobs, json);
    });
}

function list(text: string): string[] {
  return text.split(",").filter((name) => name !== "");
}

function strategies(text: string): string[] {
  const names = list(text);
  try {
    for (const name of names) sctStrategy(name);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? `${error.message}.` : String(error));
  }
  return names;
}

async function bench_sct(job: SctJob, jobs: number, json: boolean): Promise<number> {
  const signal = interruptible();
  const live = process.stderr.isTTY ? createLogUpdate(process.stderr) : undefined;
  const rows: SctRow[] = [];
  const tell = (row: SctRow): void => {
    rows.push(row);
    const line = `${row.program} ${row.strategy}: ${figure(row)}`;
    if (live) live(`${rows.length} done  ${line}`);
    else process.stderr.write(`${line}\n`);
  };
  try {
    await Promise.all(
      Array.from({ length: jobs }, async (_, first) => run_job({ ...job, first, every: jobs }, tell, signal)),
    );
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
    return error instanceof RangeError ? EXIT_USAGE : EXIT_FAILED;
  } finally {
    live?.clear();
    // Gives the cursor back.
    live?.done();
  }
  const environment = { node: process.version, cpu: cpus()[0]?.model ?? "unknown", cores: cpus().length };
  if (json) console.log(JSON.stringify({ environment, published: PUBLISHED_SOURCE, results: rows }));
  else console.log(sct_text(rows, job));
  return interruptedStatus(signal);
}

/** In a thread of its own, where the programs are loaded as coroutines. Rejects with what it threw. */
async function run_job(job: SctJob, tell: (row: SctRow) => void, signal: AbortSignal): Promise<void> {
  const worker = new Worker(new URL(WORKER), { workerData: job, execArgv: [] });
  const end = (): void => void worker.terminate();
  signal.addEventListener("abort", end, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      worker.on("message", tell);
      worker.once("error", reject);
      worker.once("exit", () => resolve());
    });
  } finally {
    signal.removeEventListener("abort", end);
  }
}

/** Mean, and how many trials found it if not all did: as in published tables. */
function figure({ found, seeds, mean }: SctRow): string {
  if (mean === undefined) return "-";
  const text = mean < 10 ? mean.toFixed(1) : mean.toFixed(0);
  return found === seeds ? text : `${text} (${found})`;
}

const NO_RULES_BETWEEN_ROWS = { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" };

/** One line a program, one column a strategy: ours, and what was published, if anything. */
export function sct_text(rows: readonly SctRow[], job: Pick<SctJob, "seeds" | "limit">): string {
  const columns = [...new Set(rows.map((row) => row.strategy))];
  const table = new Table({
    head: ["program", "threads", "steps", ...columns, "executions/s"],
    style: { head: [], border: [] },
    chars: NO_RULES_BETWEEN_ROWS,
  });
  for (const program of new Set(rows.map((row) => row.program))) {
    const of = rows.filter((row) => row.program === program);
    const cells = columns.map((strategy) => cell(of.find((row) => row.strategy === strategy)));
    const first = of[0] as SctRow;
    const total = sum(of, (row) => row.executions);
    const steps = sum(of, (row) => row.executions * row.steps) / total;
    const rate = total / sum(of, (row) => row.seconds);
    table.push([program, first.threads, steps.toFixed(0), ...cells, rate.toFixed(0)]);
  }
  const found = rows.filter((row) => row.found === row.seeds).length;
  return [
    table.toString(),
    "mean schedules to the first bug, ours | published; (m): found by m trials only; -: by none",
    `${job.seeds} trials of at most ${job.limit} executions each; published: ${PUBLISHED_SOURCE}`,
    `${found} of ${rows.length} cells found by every trial`,
  ].join("\n");
}

function cell(row: SctRow | undefined): string {
  if (row === undefined) return "";
  return row.published === undefined ? figure(row) : `${figure(row)} | ${row.published}`;
}

function sum(rows: readonly SctRow[], value: (row: SctRow) => number): number {
  return rows.reduce((total, row) => total + value(row), 0);
}
