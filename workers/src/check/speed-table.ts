/**
 * How fast the checker is: executions, steps and ops a second, over the correct form of each check scenario with
 * detectors on and off, small benchmark programs, and the gated back-end.
 *
 * A switch point is where the scheduler is asked; an op is one access. Between two of the former a kernel has many ops.
 *
 * Interface: `await speedTable(options)`, then speedText(rows). One thread; one after the other. No detectors means a
 * random walk alone; every figure has a warm-up before it.
 */
import { defaultMonitors } from "@ringside/checker/detect/index";
import { Execution } from "@ringside/checker/execution";
import { GatedThreads, loadProgram } from "@ringside/checker/gated/index";
import { PROGRAMS } from "@ringside/checker/gated/testing/compare";
import { loadBenchmarks } from "@ringside/checker/sct-worker";
import { RandomWalk } from "@ringside/checker/strategy/random";
import { lostUpdate } from "@ringside/checker/testing/hand";
import { check_scenarios } from "@ringside/scenarios/check/index";
import { loadScenario } from "./load.ts";

export interface SpeedOptions {
  /** Seconds of each measurement; default 1, after a third of it to warm up. */
  readonly seconds?: number;
  /** Parts of names; default all. */
  readonly only?: readonly string[];
}

export interface SpeedRow {
  readonly group: "scenario" | "program" | "gated";
  readonly name: string;
  /** With detectors on; undefined where only the bare engine is measured. */
  readonly detecting: Speed | undefined;
  readonly bare: Speed;
}

/** Per second of wall clock. */
export interface Speed {
  readonly executions: number;
  readonly steps: number;
  readonly ops: number;
  /** Mean of an execution. */
  readonly length: number;
  /** Share of the executions that fail: what a program throws costs more than the execution. */
  readonly failing: number;
}

/** Programs are measured up to this length. */
const SMALL_STEPS = 15;
const GATED_PROGRAMS: readonly string[] = ["lostUpdate", "messagePassing", "futexMutex", "ring"];

export async function speedTable(options: SpeedOptions = {}): Promise<SpeedRow[]> {
  const { only = [""], seconds = 1 } = options;
  const wanted = (name: string): boolean => only.some((part) => name.includes(part));
  const rows: SpeedRow[] = [];
  for (const { name } of check_scenarios) {
    if (!wanted(name)) continue;
    const { program } = await loadScenario({ scenario: name });
    const detecting = speedOf(new Execution(program, { monitors: defaultMonitors() }), seconds);
    rows.push({ group: "scenario", name, detecting, bare: speedOf(new Execution(program), seconds) });
  }
  const programs = [lostUpdate(), ...(await loadBenchmarks()).map(({ program }) => program)];
  for (const program of programs) {
    if (!wanted(program.name)) continue;
    const bare = speedOf(new Execution(program), seconds);
    if (bare.length > 0 && bare.length <= SMALL_STEPS)
      rows.push({ group: "program", name: program.name, detecting: undefined, bare });
  }
  for (const name of GATED_PROGRAMS) if (wanted(`gated ${name}`)) rows.push(await gatedRow(name, seconds));
  return rows;
}

/** Executions between looks at the clock. */
const CLOCK_EVERY = 16;

/** Of a random walk, after a third of the time to warm up. */
export function speedOf(execution: Execution, seconds: number): Speed {
  const strategy = new RandomWalk(1);
  walk(execution, strategy, seconds / 3);
  return walk(execution, strategy, seconds);
}

function walk(execution: Execution, strategy: RandomWalk, seconds: number): Speed {
  let steps = 0;
  let ops = 0;
  let executions = 0;
  let found = 0;
  const start = performance.now();
  let now = start;
  for (const end = start + 1000 * seconds; now < end; now = performance.now()) {
    for (let i = 0; i < CLOCK_EVERY; i++) {
      strategy.begin(execution, executions);
      const outcome = execution.run(strategy, executions++);
      steps += outcome.picks;
      ops += outcome.steps;
      if (outcome.finding !== undefined) found++;
    }
  }
  const taken = (now - start) / 1000;
  return {
    executions: executions / taken,
    steps: steps / taken,
    ops: ops / taken,
    length: steps / executions,
    failing: found / executions,
  };
}

async function gatedRow(name: string, seconds: number): Promise<SpeedRow> {
  const program = { url: PROGRAMS, name };
  const gated = new GatedThreads({ program });
  try {
    const execution = new Execution(await loadProgram(program), { start: gated.start });
    return { group: "gated", name, detecting: undefined, bare: speedOf(execution, seconds) };
  } finally {
    await gated.close();
  }
}

/** A Markdown table. */
export function speedText(rows: readonly SpeedRow[]): string {
  const head = [
    "",
    "switch points",
    "failing",
    "executions/s",
    "switch points/s",
    "ops/s",
    "executions/s",
    "ops/s",
  ];
  const lines = rows.map(({ group, name, detecting, bare }) => {
    const { executions, steps, ops, length, failing } = bare;
    const share = failing === 0 ? "" : `${(100 * failing).toFixed(0)} %`;
    const off = [length.toFixed(0), share, short(executions), short(steps), short(ops)];
    const on = detecting === undefined ? ["", ""] : [short(detecting.executions), short(detecting.ops)];
    return [group === "gated" ? `${name}, real threads` : name, ...off, ...on];
  });
  const with_detectors = head.map((title, i) => (i > 5 ? `${title}, detectors on` : title));
  const rule = head.map((_, i) => (i > 0 ? "--:" : "---"));
  return [with_detectors, rule, ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** "1.25 M", "630 k", "87" */
function short(n: number): string {
  if (n >= 999_500) return `${(n / 1e6).toFixed(2)} M`;
  return n >= 9999.5 ? `${(n / 1000).toFixed(0)} k` : n.toFixed(0);
}
