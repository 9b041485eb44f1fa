/** `ringside conformance`: the public test suites of the kernel world against this kernel. */
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { conformance_progress, conformance_text, suites_text } from "./conformance-view.ts";
import { interruptedStatus, interruptible } from "./interrupt.ts";
import { mutant_name } from "./mutant-name.ts";
import { duration, integer } from "./values.ts";

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

interface Flags {
  readonly list?: true | undefined;
  readonly case?: string[] | undefined;
  readonly seconds?: number | undefined;
  readonly repeat: number;
  readonly seed: number;
  readonly mutant?: string | undefined;
  readonly json?: true | undefined;
}

export function conformance_command(): CommandUnknownOpts {
  return new Command("conformance")
    .description("run public kernel test suites on real threads, under the lock validator")
    .argument("[suite...]", "suites to run; all when none is named (see --list)")
    .option("--list", "list suites and cases, run nothing")
    .option("--case <name...>", "run only these cases")
    .option("--seconds <s>", "how long each timed case runs (default: its own time)", duration(86_400))
    .option("--repeat <n>", "run each case so often, or until it fails", integer(1, 1_000_000), 1)
    .option("--seed <n>", "seed of all random choices", integer(1, 2 ** 31 - 1), 1)
    .option("--mutant <name>", "plant a bug; alone, runs the case that must catch it", mutant_name)
    .option("--json", "one JSON document on stdout")
    .action(async (suites, flags) => {
      process.exitCode = flags.list === true ? await list(suites, flags) : await conformance(suites, flags);
    });
}

/** An empty list means no restriction. */
function named(names: readonly string[] | undefined): readonly string[] | undefined {
  return names !== undefined && names.length > 0 ? names : undefined;
}

/** Loaded only when asked for: suites are kernel code, and other commands do without. */
async function runner(): Promise<typeof import("@ringside/conformance/runner")> {
  return await import("@ringside/conformance/runner");
}

async function list(suites: readonly string[], flags: Flags): Promise<number> {
  const { PUBLIC_SUITES, UnknownName, choose } = await runner();
  try {
    const wanted = { suites: named(suites), cases: flags.case, mutant: flags.mutant };
    const chosen = choose(PUBLIC_SUITES, wanted);
    const found = chosen.map(({ suite, cases }) => ({
      name: suite.name,
      source: suite.source,
      cases: cases.map((test) => test.name),
    }));
    console.log(flags.json === true ? JSON.stringify(found) : suites_text(found));
    return 0;
  } catch (error) {
    if (!(error instanceof UnknownName)) throw error;
    return usage(error);
  }
}

function usage(error: Error): number {
  console.error(`error: ${error.message} (see ringside conformance --list)`);
  return EXIT_USAGE;
}

async function conformance(suites: readonly string[], flags: Flags): Promise<number> {
  const signal = interruptible();
  const { UnknownName, runConformance } = await runner();
  const view = conformance_progress(process.stderr);
  try {
    const { seconds, repeat, seed, mutant } = flags;
    const chosen = { suites: named(suites), cases: flags.case, seconds, repeat, seed, mutant };
    const report = await runConformance({ ...chosen, signal, onProgress: view.update });
    view.done();
    console.log(flags.json === true ? JSON.stringify(report) : conformance_text(report, flags));
    if (report.interrupted === true) return interruptedStatus(signal);
    return report.ok ? 0 : EXIT_FAILED;
  } catch (error) {
    if (!(error instanceof UnknownName)) throw error;
    return usage(error);
  } finally {
    view.done();
  }
}
