/** `ringside check`: a scenario, or the programs of a user's module, under a controlled scheduler. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { Command, type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { type Shard, WHOLE } from "@ringside/checker/strategy/shard";
import { type Checked, programs_in, run_check } from "@ringside/workers/check";
import type { ExportText } from "@ringside/workers/check-job-types";
import {
  CheckInterrupted,
  type CheckReport,
  type CheckRequest,
  type CheckState,
  type CheckTarget,
  CheckUsageError,
} from "@ringside/workers/check-request";
import {
  detect_names,
  export_option,
  type ExportTo,
  shard_part,
  strategy_name,
  writable,
  write_exports,
} from "./check-options.ts";
import { STATE_VERSION } from "@ringside/workers/check-state";
import { check_progress, check_summary, check_text } from "./check-view.ts";
import { interruptedStatus, interruptible } from "./interrupt.ts";
import { mutant_name } from "./mutant-name.ts";
import { is_path, scenario_target } from "./scenario-name.ts";
import { duration, integer } from "./values.ts";

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/** Effort where none is given. */
const SECONDS = 60;

interface Flags {
  readonly variant?: "v3" | "v3-fixed" | undefined;
  readonly form?: string | undefined;
  readonly mutant?: string | undefined;
  readonly strategy: string;
  readonly executions?: number | undefined;
  readonly seconds?: number | undefined;
  readonly seed: number;
  readonly shard: Shard;
  readonly jobs: number;
  readonly timeouts: "lazy" | "eager";
  readonly detect?: NonNullable<CheckRequest["detect"]> | undefined;
  readonly checkpoint?: string | undefined;
  readonly resume?: string | undefined;
  readonly export: ExportTo[];
  readonly json?: true | undefined;
}

export function check_command(): CommandUnknownOpts {
  return new Command("check")
    .description(
      "search the schedules of a scenario, or of the programs a module exports, for one that fails",
    )
    .argument("<scenario>", "a scenario (see ringside list scenarios), or ./module.ts or ./module.ts#program")
    .addOption(
      new Option("--variant <v>", "text of the token (default: what the form says)").choices([
        "v3",
        "v3-fixed",
      ] as const),
    )
    .option("--form <name>", "a form of the scenario (default: correct)")
    .option("--mutant <name>", "plant a bug (see ringside list mutants)", mutant_name)
    .option("--strategy <name>", "who decides (see ringside list strategies)", strategy_name, "portfolio")
    .option("--executions <n>", "executions at most", integer(1, 1_000_000_000))
    .option(
      "--seconds <s>",
      `seconds at most (default: ${SECONDS}, if nothing else ends it)`,
      duration(864_000),
    )
    .option("--seed <n>", "seed of all random choices", integer(1, 2 ** 31 - 1), 1)
    .addOption(
      new Option("--shard <i/n>", "search one part of n; give all parts the same --jobs")
        .argParser(shard_part)
        .default(WHOLE, "all"),
    )
    .option("--jobs <n>", "threads that search side by side", integer(1, 64), 1)
    .addOption(
      new Option("--timeouts <when>", "time-outs fire when nothing else can run, or a few also early")
        .choices(["lazy", "eager"] as const)
        .default("lazy" as const),
    )
    .option("--detect <list>", "detectors to switch on, or off with no-: leaks,no-races", detect_names)
    .option("--checkpoint <file>", "write now and then where the search stands")
    .option("--resume <file>", "go on from a checkpoint of the same search")
    .addOption(export_option())
    .option("--json", "one JSON document on stdout")
    .action(async (scenario, flags) => {
      process.exitCode = await check(scenario, flags);
    });
}

async function check(scenario: string, flags: Flags): Promise<number> {
  const signal = interruptible();
  const view = check_progress(process.stderr);
  const reports: CheckReport[] = [];
  const texts: ExportText[] = [];
  try {
    writable([
      ...flags.export.map(({ file }) => file),
      ...(flags.checkpoint === undefined ? [] : [flags.checkpoint]),
    ]);
    const targets = await targets_of(scenario, flags, signal);
    if (targets.length > 1) refuse_files(scenario, flags);
    for (const target of targets) {
      if (signal.aborted) break;
      const hooks = { signal, onProgress: view.update, ...checkpoints(flags) };
      const { report, exports }: Checked = await run_check(request_of(target, flags), hooks);
      view.done();
      reports.push(report);
      texts.push(...exports);
      if (flags.json !== true) console.log(check_text(report));
    }
    if (flags.json === true) console.log(JSON.stringify(document(reports, targets.length, signal.aborted)));
    else if (targets.length > 1) console.log(check_summary(reports, targets.length));
    // Last: whatever becomes of them, the report is out.
    write_exports(flags.export, texts);
    return reports.some(({ verdict }) => verdict === "fail") ? EXIT_FAILED : interruptedStatus(signal);
  } catch (error) {
    view.done();
    if (error instanceof CheckInterrupted) {
      if (flags.json === true) console.log(JSON.stringify({ reports, interrupted: true }));
      return interruptedStatus(signal);
    }
    if (!(error instanceof CheckUsageError)) throw error;
    console.error(`error: ${error.message}`);
    return EXIT_USAGE;
  } finally {
    view.done();
  }
}

/** Of one program its report, of several a list, whether all were reached or not. */
function document(reports: readonly CheckReport[], targets: number, interrupted: boolean): unknown {
  if (targets === 1 && reports.length === 1) return reports[0];
  return { reports, ...(interrupted ? { interrupted } : {}) };
}

/** Throws CheckUsageError, CheckInterrupted. */
async function targets_of(scenario: string, flags: Flags, signal: AbortSignal): Promise<CheckTarget[]> {
  const { form, variant, mutant } = flags;
  if (!is_path(scenario)) return [scenario_target(scenario, { form, variant, mutant })];
  for (const [name, value] of Object.entries({ form, variant, mutant })) {
    if (value !== undefined) throw new CheckUsageError(`--${name} is for scenarios, not for ${scenario}`);
  }
  const [module = "", program] = scenario.split("#", 2);
  const names = await programs_in(module, { signal });
  if (program === undefined) return names.map((name) => ({ module, program: name }));
  if (names.includes(program)) return [{ module, program }];
  throw new CheckUsageError(`${module} exports no program ${program}: expected ${names.join(", ")}`);
}

/** One file cannot hold what becomes of several programs. */
function refuse_files(scenario: string, flags: Flags): void {
  const { checkpoint, resume } = flags;
  const files = { checkpoint, resume, export: flags.export[0] };
  for (const [name, value] of Object.entries(files)) {
    if (value !== undefined)
      throw new CheckUsageError(`--${name} is for one program, ${scenario} has several: ${scenario}#NAME`);
  }
}

function request_of(target: CheckTarget, flags: Flags): CheckRequest {
  const { strategy, seed, shard, jobs, timeouts, executions, detect } = flags;
  const seconds = flags.seconds ?? (executions === undefined ? SECONDS : undefined);
  const resume = flags.resume === undefined ? undefined : read_state(flags.resume);
  return {
    target,
    strategy,
    seed,
    shard,
    jobs,
    timeouts,
    exports: flags.export.map(({ format }) => format),
    ...(executions === undefined ? {} : { executions }),
    ...(seconds === undefined ? {} : { seconds }),
    ...(detect === undefined ? {} : { detect }),
    ...(resume === undefined ? {} : { resume }),
  };
}

function read_state(file: string): CheckState {
  try {
    const state: unknown = JSON.parse(readFileSync(file, "utf8"));
    if (is_state(state)) return state;
  } catch (error) {
    throw new CheckUsageError(`${file}: ${(error as Error).message}`, { cause: error });
  }
  throw new CheckUsageError(`${file} is no checkpoint`);
}

function is_state(value: unknown): value is CheckState {
  if (typeof value !== "object" || value === null) return false;
  const { version, target, strategy, seed, shard, jobs } = value as Partial<CheckState>;
  if (typeof version !== "number" || !Array.isArray(jobs)) return false;
  // What another version holds is not ours to judge.
  if (version !== STATE_VERSION) return true;
  const objects = [target, shard, ...jobs.filter((job) => job !== null)];
  return (
    objects.every((object) => typeof object === "object") &&
    typeof strategy === "string" &&
    typeof seed === "number"
  );
}

function checkpoints({ checkpoint }: Flags): { onState?: (state: CheckState) => void } {
  if (checkpoint === undefined) return {};
  return {
    onState: (state) => {
      // Whole or not at all.
      writeFileSync(`${checkpoint}.new`, JSON.stringify(state));
      renameSync(`${checkpoint}.new`, checkpoint);
    },
  };
}
