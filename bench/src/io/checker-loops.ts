/**
 * What a thread of the bench `checker` runs: for the time of a run it answers nobody, so it is not the main thread. It
 * keeps what it has loaded and compiled from run to run.
 */
import { defaultMonitors } from "@ringside/checker/detect/index";
import { Execution } from "@ringside/checker/execution";
import { GatedThreads, loadProgram } from "@ringside/checker/gated/index";
import { PROGRAMS } from "@ringside/checker/gated/testing/compare";
import { lostUpdate } from "@ringside/checker/testing/hand";
import { loadScenario } from "@ringside/workers/check/load";
import { speedOf } from "@ringside/workers/check/speed-table";

export interface CheckerProgram {
  readonly kind: "scenario" | "small" | "gated";
  readonly name: string;
  /** Of a scenario. */
  readonly detectors?: boolean;
}

let loaded: Promise<Execution> | undefined;

async function load({ kind, name, detectors = false }: CheckerProgram): Promise<Execution> {
  if (kind === "small") return new Execution(lostUpdate());
  if (kind === "gated") {
    const program = { url: PROGRAMS, name };
    return new Execution(await loadProgram(program), { start: new GatedThreads({ program }).start });
  }
  const { program } = await loadScenario({ scenario: name });
  return new Execution(program, detectors ? { monitors: defaultMonitors() } : {});
}

/** Executions a second, of the one program that this thread has. */
export async function executions(program: CheckerProgram, ms: number): Promise<number> {
  loaded ??= load(program);
  return speedOf(await loaded, ms / 1000).executions;
}
