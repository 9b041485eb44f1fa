/** `ringside rcutorture`: the kernel's torture of RCU, with its lines; live figures every second on a terminal. */
import { styleText } from "node:util";
import { Command, type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import {
  torture_end_line,
  torture_stats_lines,
  type TortureStats,
} from "@ringside/scenarios/rcutorture-stats";
import { ConfigError } from "@ringside/workers/machine";
import {
  BARRIER_CBS,
  DEFAULT_RCUTORTURE,
  FAKEWRITERS,
  READERS_MAX,
  type RcutortureOptions,
  type RcutortureProgress,
  type RcutortureReport,
  run_rcutorture,
  STUTTER_S,
} from "@ringside/workers/rcutorture";
import { createLogUpdate } from "log-update";
import { interruptedStatus, interruptible } from "./interrupt.ts";
import { duration, integer } from "./values.ts";

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
/** Seconds between two reports where there is no terminal. */
const QUIET_S = 15;

export function rcutorture_command(): CommandUnknownOpts {
  const d = DEFAULT_RCUTORTURE;
  return new Command("rcutorture")
    .description(
      "torture RCU as kernel/rcu/rcutorture.c does: no reader may see an element after its grace period",
    )
    .option("--seconds <s>", "how long", duration(86_400), d.seconds)
    .option("--readers <n>", `reader threads, 1 to ${READERS_MAX}`, integer(1, READERS_MAX), d.readers)
    .addOption(
      new Option("--flavor <name>", "what is tortured; busted has no grace periods and must fail")
        .choices(["qsbr", "busted"] as const)
        .default(d.flavor),
    )
    .option(
      "--seed <n>",
      "seed of all random choices (default: a fresh one, printed)",
      integer(1, 2 ** 31 - 1),
    )
    .option("--json", "one JSON document on stdout", false)
    .action(async ({ json, seed, ...given }) => {
      const chosen = seed ?? 1 + Math.floor(Math.random() * (2 ** 31 - 2));
      process.exitCode = await rcutorture({ ...d, ...given, seed: chosen }, json);
    });
}

/** The command that repeats a run. */
function command_line({ seconds, readers, flavor, seed }: RcutortureOptions): string {
  return `ringside rcutorture --seconds ${seconds} --readers ${readers} --flavor ${flavor} --seed ${seed}`;
}

interface View {
  readonly update: (progress: RcutortureProgress) => void;
  readonly done: () => void;
}

/** In place on a terminal; every QUIET_S seconds otherwise. */
function progress_view(options: RcutortureOptions, stream: NodeJS.WriteStream): View {
  const live = stream.isTTY ? createLogUpdate(stream) : undefined;
  let told = 0;
  let open = true;
  if (!live) stream.write(`${command_line(options)}\n`);
  return {
    update: ({ seconds, gracePeriods, stats }) => {
      const time = `${seconds.toFixed(0)} s of ${options.seconds}  ${gracePeriods} grace periods`;
      const text = [time, ...torture_stats_lines(options.flavor, stats)].join("\n");
      if (live) live(text);
      else if (seconds - told >= QUIET_S) {
        told = seconds;
        stream.write(`${text}\n`);
      }
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

const SHOWN = 8;

/** The kernel's lines, what was wrong, and the verdict last. */
function closing(options: RcutortureOptions, r: RcutortureReport, stats: TortureStats): string {
  const problems = [
    ...r.violations.map((text) => `violation: ${text}`),
    ...r.warnings,
    ...r.leaks.map((leak) => `leak: ${leak.objects} objects, ${leak.bytes} bytes from ${leak.site}`),
  ];
  const parameters = [
    `nreaders=${options.readers} nfakewriters=${FAKEWRITERS} stutter=${STUTTER_S}`,
    `n_barrier_cbs=${BARRIER_CBS} flavor=${options.flavor} seconds=${r.seconds} seed=${options.seed}`,
  ];
  const end = torture_end_line(options.flavor, r.ok, parameters.join(" "));
  const again = r.ok ? [] : [`again with: ${command_line(options)}`];
  const cut = r.interrupted === true ? [styleText("yellow", `interrupted after ${r.seconds} s`)] : [];
  return [
    ...torture_stats_lines(options.flavor, stats),
    `${r.flavor}: total-gps=${r.gracePeriods} updates=${r.updates} forward-progress=${r.forwardProgress}`,
    ...problems.slice(0, SHOWN).map((line) => `  ${line}`),
    ...(problems.length > SHOWN ? [`  ... and ${problems.length - SHOWN} more (--json has all)`] : []),
    ...again,
    ...cut,
    styleText(r.ok ? "green" : "red", end),
  ].join("\n");
}

async function rcutorture(options: RcutortureOptions, json: boolean): Promise<number> {
  const signal = interruptible();
  const view = progress_view(options, process.stderr);
  try {
    const { report, stats } = await run_rcutorture(options, {
      onProgress: view.update,
      signal,
    });
    view.done();
    console.log(json ? JSON.stringify(report) : closing(options, report, stats));
    if (report.interrupted === true) return interruptedStatus(signal);
    return report.ok ? 0 : EXIT_FAILED;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    console.error(`error: ${text}`);
    if (error instanceof ConfigError) return EXIT_USAGE;
    // The machine did not even boot: still one document.
    if (json) console.log(JSON.stringify({ ok: false, violations: [text] }));
    return EXIT_FAILED;
  } finally {
    view.done();
  }
}
