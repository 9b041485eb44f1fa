/** `ringside stress`: the main job, with live progress and a closing table. */
import { Command, type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { findMutant } from "@ringside/mutants/index";
import { ConfigError } from "@ringside/workers/machine";
import { run_stress, type StressReport } from "@ringside/workers/stress";
import { DEFAULT_STRESS, type StressOptions, stress_command_line } from "@ringside/workers/stress-config";
import { interruptedStatus, interruptible } from "./interrupt.ts";
import { mutant_name } from "./mutant-name.ts";
import { stress_progress, stress_table } from "./stress-view.ts";
import { duration, integer, size } from "./values.ts";

const EXIT_VIOLATION = 1;
const EXIT_USAGE = 2;

export function stress_command(): CommandUnknownOpts {
  const d = DEFAULT_STRESS;
  return new Command("stress")
    .description("hammer the token protocol: verified I/O on all CPUs but one, an adversary on the last")
    .option("--cpus <n>", "CPUs, 2 to 64; the last one evicts and invalidates", integer(2, 64), d.cpus)
    .option("--seconds <s>", "how long", duration(86_400), d.seconds)
    .option("--depth <n>", "I/Os in flight per task, 1 to 1024", integer(1, 1024), d.depth)
    .option("--bs <bytes>", "bytes per I/O, 512 to 4m", size(512, 4 << 20, 512), d.bs)
    .addOption(
      new Option("--rw <mode>", "what the tasks do")
        .choices(["randread", "randwrite", "randrw"] as const)
        .default(d.rw),
    )
    .addOption(
      new Option("--buffer <kind>", "buffers of the I/O")
        .choices(["dmabuf", "registered"] as const)
        .default(d.buffer),
    )
    .option(
      "--invalidate-ms <ms>",
      "pause of the adversary between actions",
      duration(60_000),
      d.invalidateMs,
    )
    .addOption(
      new Option("--variant <v>", "token text").choices(["v3", "v3-fixed"] as const).default(d.variant),
    )
    .addOption(
      new Option("--iommu <mode>", "IOMMU mode")
        .choices(["strict", "lazy", "passthrough"] as const)
        .default(d.iommu),
    )
    .addOption(
      new Option("--percpu <mode>", "percpu_ref shards")
        .choices(["atomic", "owner"] as const)
        .default(d.percpu),
    )
    .addOption(
      new Option("--completion <how>", "completions").choices(["irq", "poll"] as const).default(d.completion),
    )
    .option("--kasan", "checked memory: shadow, redzones, quarantine", d.kasan)
    .option("--lockdep", "the lock validator watches; slower", d.lockdep)
    .option(
      "--seed <n>",
      "seed of all random choices (default: a fresh one, printed)",
      integer(1, 2 ** 31 - 1),
    )
    .option("--mutant <name>", "plant a bug (see `ringside list mutants`)", mutant_name)
    .option("--json", "one JSON document on stdout", false)
    .action(async ({ json, mutant, seed, ...options }, command) => {
      const chosen = seed ?? 1 + Math.floor(Math.random() * (2 ** 31 - 2));
      const given = { ...d, ...options, seed: chosen };
      process.exitCode = await stress(mutant === undefined ? given : plant(mutant, given, command), json);
    });
}

/** The mutant's own settings fill in what the user left to the defaults. */
function plant(name: string, options: StressOptions, command: CommandUnknownOpts): StressOptions {
  const own = Object.entries(findMutant(name).stress ?? {});
  const missing = own.filter(([option]) => command.getOptionValueSource(option) === "default");
  return { ...options, ...Object.fromEntries(missing), mutant: name };
}

async function stress(options: StressOptions, json: boolean): Promise<number> {
  const signal = interruptible();
  const view = stress_progress(options, process.stderr);
  try {
    const report = await run_stress(options, { onProgress: view.update, signal });
    view.done();
    console.log(json ? JSON.stringify(report) : stress_table(options, report));
    if (json && !report.ok) console.error(`again with: ${stress_command_line(options)}`);
    return report.interrupted === true ? interruptedStatus(signal) : report.ok ? 0 : EXIT_VIOLATION;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    console.error(`error: ${text}`);
    if (error instanceof ConfigError) return EXIT_USAGE;
    // The machine did not even boot: still one document.
    if (json) console.log(JSON.stringify({ ok: false, violations: [text] }));
    return EXIT_VIOLATION;
  } finally {
    view.done();
  }
}

export type { StressReport };
