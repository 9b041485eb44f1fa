/** `ringside bench`: our figures beside those of what people would use instead, and beside published ones. */
import { accessSync, constants, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Bench } from "@ringside/bench/bench";
import { observeEnvironment } from "@ringside/bench/environment";
import { measureBenches, type Result } from "@ringside/bench/measure";
import { compilerLine } from "@ringside/bench/peers";
import { markdown, missedTarget, replaceSection, type Report } from "@ringside/bench/report";
import { bench_sct_command } from "./bench-sct.ts";
import { bench_progress, bench_text } from "./bench-view.ts";
import { interruptedStatus, interruptible } from "./interrupt.ts";
import { integer } from "./values.ts";

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
/** All benches take some five minutes with these. */
const RUNS = 5;
const MS = 200;
/** A trial: does everything run? Its figures mean nothing. */
const QUICK = { runs: 1, ms: 20 };

interface Options {
  readonly runs: number | undefined;
  readonly ms: number | undefined;
  readonly quick: boolean;
  readonly json: boolean;
  readonly plot: string | undefined;
  readonly check: boolean;
  readonly results: string | undefined;
}

export function bench_command(): CommandUnknownOpts {
  return (
    new Command("bench")
      .description("measure, beside what people would use instead and beside published figures")
      .argument("[name...]", "benches, of ringside list benches (default: all)")
      .option("--runs <n>", `runs that count, of each side in turn (default: ${RUNS})`, integer(1, 1000))
      .option("--ms <ms>", `how long a run is (default: ${MS})`, integer(1, 600_000))
      .option("--quick", `a trial: ${QUICK.runs} run of ${QUICK.ms} ms, small machines`, false)
      .option("--plot <file.svg>", "draw the ratios and curves")
      .option(
        "--results <file.md>",
        "write the tables, in place of those of the last time, unless interrupted",
      )
      .option("--check", "exit 1 when a target is missed", false)
      .option("--json", "one JSON document on stdout", false)
      // Options after `sct` are its own.
      .enablePositionalOptions()
      .action(async (names, { runs, ms, plot, results, ...options }) => {
        process.exitCode = await bench(names, { runs, ms, plot, results, ...options });
      })
      .addCommand(bench_sct_command())
  );
}

async function bench(names: readonly string[], options: Options): Promise<number> {
  const signal = interruptible();
  let benches;
  try {
    // Here, because it loads the peers' libraries too.
    const { findBenches } = await import("@ringside/bench/registry");
    benches = findBenches(names);
    for (const file of [options.plot, options.results]) if (file !== undefined) writable(file);
  } catch (error) {
    console.error(`error: ${text_of(error)}`);
    return EXIT_USAGE;
  }
  const { report, failure } = await measure(benches, options, signal);
  try {
    await tell(report, benches, { ...options, results: signal.aborted ? undefined : options.results });
    if (signal.aborted && options.results !== undefined) {
      console.error(`${options.results}: left as it was, because not everything was measured`);
    }
  } catch (error) {
    console.error(`error: ${text_of(error)}`);
    return EXIT_FAILED;
  }
  if (failure !== undefined) console.error(`error: ${text_of(failure)}`);
  if (signal.aborted) return interruptedStatus(signal);
  return failure !== undefined || (options.check && missedTarget(report.results)) ? EXIT_FAILED : 0;
}

interface Measured {
  readonly report: Report;
  /** What ended with an error; the report has the rest. */
  readonly failure: unknown;
}

async function measure(benches: readonly Bench[], options: Options, signal: AbortSignal): Promise<Measured> {
  const { runs = RUNS, ms = MS } = { ...(options.quick ? QUICK : {}), ...given(options) };
  const view = bench_progress(process.stderr);
  const environment = observeEnvironment(command_line(), await compilerLine());
  const results: Result[] = [];
  let failure: unknown;
  try {
    await measureBenches(benches, {
      runs,
      ms,
      quick: options.quick,
      signal,
      onRun: view.update,
      onResult: (result, progress) => {
        results.push(result);
        view.tell(result, progress);
      },
    });
  } catch (error) {
    failure = error;
  } finally {
    view.done();
  }
  return { report: { environment: environment(), results }, failure };
}

/** Without what the user left out. */
function given({ runs, ms }: Options): { runs?: number; ms?: number } {
  return { ...(runs === undefined ? {} : { runs }), ...(ms === undefined ? {} : { ms }) };
}

/** Said before minutes of measuring; throws when `file` cannot be written. */
function writable(file: string): void {
  try {
    if (existsSync(file)) {
      if (statSync(file).isDirectory()) throw new Error("it is a directory");
      accessSync(file, constants.W_OK);
    } else accessSync(dirname(file), constants.W_OK);
  } catch (error) {
    throw new Error(`cannot write ${file}: ${text_of(error)}`, { cause: error });
  }
}

async function tell(
  report: Report,
  benches: readonly Bench[],
  { json, plot, results }: Options,
): Promise<void> {
  if (json) console.log(JSON.stringify(report));
  else console.log(bench_text(report));
  if (report.results.length === 0) return;
  if (results !== undefined) {
    const before = existsSync(results) ? readFileSync(results, "utf8") : "";
    writeFileSync(results, replaceSection(before, markdown(report, benches)));
  }
  if (plot !== undefined) {
    // Drawing takes libraries that nothing else needs.
    const { plotSvg } = await import("@ringside/bench/plot");
    writeFileSync(plot, plotSvg(report.results));
  }
}

function command_line(): string {
  return ["ringside", ...process.argv.slice(2)].join(" ");
}

function text_of(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
