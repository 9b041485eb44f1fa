/**
 * `ringside fio`: fio's job files and command line on the emulated stack, told in fio's own formats.
 *
 * Exit 0 fine; 1 a job file or job that cannot run (nothing ran), or a job that ended with an error; 2 bad usage of
 * ringside's own options; 130 after Ctrl-C and 143 after SIGTERM, with what was measured until then. Real fio exits
 * with 128 after either.
 */
import { readFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { text as allOf } from "node:stream/consumers";
import { Command, type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { DEFAULT_CONFIG } from "@ringside/core/mm/memory-map";
import type { JobFileError } from "@ringside/fio/job/errors";
import type { FioJob } from "@ringside/fio/job/job";
import { type JobEnv, type JobSource, NO_JOBS, parseCommandLine } from "@ringside/fio/job/parse";
import { showCommands } from "@ringside/fio/job/showcmd";
import type { FioRun } from "@ringside/fio/stat/thread-stat";
import { ConfigError, run_fio } from "@ringside/workers/fio";
import { type Format, interval, outputFormats, splitArguments } from "./fio-arguments.ts";
import { FioOutput } from "./fio-output.ts";
import { interruptedStatus, interruptible } from "./interrupt.ts";

const EXIT_FAILED = 1;
const PAGE_SIZE = 4096;
const NORMAL: Format[] = ["normal"];

interface Options {
  readonly output?: string | undefined;
  readonly outputFormat: Format[];
  readonly minimal: boolean;
  readonly appendTerse: boolean;
  readonly json: boolean;
  readonly parseOnly: boolean;
  readonly showcmd: boolean;
  readonly section: string[];
  readonly statusInterval?: number | undefined;
  readonly eta: "always" | "never" | "auto";
}

export function fio_command(): CommandUnknownOpts {
  return new Command("fio")
    .description("run fio job files, or a job given as fio's command line, on the emulated stack")
    .usage("[options] [--name=NAME --rw=read ...] [JOB.fio...]")
    .argument(
      "[arguments...]",
      "job files (- is stdin), and job options in fio's spelling: --name=a --rw=randread",
    )
    .allowUnknownOption()
    .option("--output <file>", "write the outputs to a file")
    .addOption(
      new Option("--output-format <list>", "normal, terse, json, json+, or several: a,b")
        .argParser(outputFormats)
        .default(NORMAL, "normal"),
    )
    .option("--minimal", "terse output (version 3)", false)
    .option("--append-terse", "terse output besides the others", false)
    .option("--json", "exactly one JSON document on stdout", false)
    .option("--parse-only", "read the jobs, run nothing", false)
    .option("--showcmd", "tell the job files as command lines, run nothing", false)
    .option("--section <name>", "only this section of the job files (repeatable)", collect, [])
    .option("--status-interval <time>", "report in between, every so often (seconds, or 500ms)", interval)
    .addOption(
      new Option("--eta <when>", "the live line")
        .choices(["always", "never", "auto"] as const)
        .default("auto" as const),
    )
    .addHelpText(
      "after",
      "\nSettings of the emulated machine: ;emu comments in a job file, or --emu=iommu=lazy,buf=dmabuf.",
    )
    .action(async (args, options) => {
      process.exitCode = await fio(args, options);
    });
}

function collect(name: string, before: string[]): string[] {
  return [...before, name];
}

async function fio(args: readonly string[], options: Options): Promise<number> {
  const { options: jobOptions, files } = splitArguments(args);
  const sources: JobSource[] = [];
  for (const name of files) {
    try {
      // Whoever waits for stdin hears Ctrl-C.
      sources.push({ name, text: name === "-" ? await allOf(process.stdin) : readFileSync(name, "utf8") });
    } catch (error) {
      console.error(`fio: unable to open '${name}' job file (${describe(error)})`);
      return EXIT_FAILED;
    }
  }
  const filter = { sections: options.section };
  if (options.showcmd) {
    const shown = showCommands(sources, environment(), filter);
    if ("errors" in shown) return refuse(shown.errors);
    process.stdout.write(shown.text);
    return 0;
  }
  const parsed = parseCommandLine(jobOptions, sources, environment(), filter);
  if ("errors" in parsed) return refuse(parsed.errors);
  for (const note of parsed.notes) console.error(note);
  if (options.parseOnly) return 0;
  if (parsed.jobs.length === 0) {
    console.error(`${NO_JOBS}: expected a job file or --name=NAME --rw=...; see ringside fio --help`);
    return EXIT_FAILED;
  }
  return await run(parsed.jobs, options);
}

function refuse(errors: readonly JobFileError[]): number {
  for (const { message } of errors) console.error(message);
  return EXIT_FAILED;
}

function environment(): JobEnv {
  return {
    read: (path) => readFileSync(path, "utf8"),
    env: process.env,
    cpus: availableParallelism(),
    pageSize: PAGE_SIZE,
    memoryMb: Math.floor(totalmem() / 2 ** 20),
    media: DEFAULT_CONFIG.media,
  };
}

/** --minimal replaces the list, --append-terse adds to it; --json leaves JSON alone. */
function formatsOf(options: Options): Format[] {
  if (options.json) return options.outputFormat.includes("json+") ? ["json+"] : ["json"];
  if (options.minimal) return ["terse"];
  return options.appendTerse ? [...options.outputFormat, "terse"] : options.outputFormat;
}

function openOutput(jobs: readonly FioJob[], options: Options): FioOutput | undefined {
  try {
    const { json, output, eta } = options;
    return new FioOutput(jobs, { formats: formatsOf(options), json, output, eta });
  } catch (error) {
    console.error(`fio: output file open error: ${describe(error)}`);
    return undefined;
  }
}

async function run(jobs: readonly FioJob[], options: Options): Promise<number> {
  const output = openOutput(jobs, options);
  if (output === undefined) return EXIT_FAILED;
  const { statusInterval: everyMs } = options;
  const onReport = (partial: FioRun): void => output.status(partial);
  // As fio, SIGTERM ends a run as Ctrl-C does.
  const signal = interruptible();
  signal.addEventListener("abort", () => output.terminating(Number(signal.reason)));
  try {
    const result = await run_fio(jobs, {
      signal,
      // Not sooner: jobs that cannot run are refused before the first stage.
      onStage: () => output.begin(),
      onProgress: (progress) => output.progress(progress),
      ...(everyMs === undefined ? {} : { status: { everyMs, onReport } }),
      onMessage: (text) => console.error(text),
    });
    output.end(result);
    return exitCode(result, signal);
  } catch (error) {
    console.error(error instanceof ConfigError ? error.message : `error: ${describe(error)}`);
    return EXIT_FAILED;
  } finally {
    output.close();
  }
}

function exitCode(run: FioRun, signal: AbortSignal): number {
  if (signal.aborted) return interruptedStatus(signal);
  return run.threads.some(({ error }) => error !== 0) ? EXIT_FAILED : 0;
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
