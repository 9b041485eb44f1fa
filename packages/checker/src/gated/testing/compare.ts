/** Runs one program on both back-ends under the same random schedules and compares what every step did. */
import type { ControlledMemory } from "../../controlled-memory.ts";
import { Execution, type Outcome } from "../../execution.ts";
import { OPS } from "../../op.ts";
import { siteOf } from "../../runtime.ts";
import { RandomWalk } from "../../strategy/random.ts";
import { type ControlledLoader, registerControlled } from "../../transform/load.ts";
import { loadProgram, type ModuleRef } from "../load.ts";
import { GatedThreads } from "../threads.ts";

export const PROGRAMS = new URL("./programs.ts", import.meta.url).href;

let loader: ControlledLoader | undefined;

/** The program as coroutines: the same source, transformed. */
async function controlled(name: string): Promise<Execution> {
  loader ??= registerControlled({ entry: new URL(PROGRAMS), granularity: "all" });
  return new Execution(await loadProgram({ url: loader.url, name }));
}

export interface Traced {
  readonly outcome: Outcome;
  readonly schedule: readonly number[];
  /** "thread verb place result file:line" of each op. */
  readonly trace: readonly string[];
}

export function traced(execution: Execution, seed: number, index: number): Traced {
  const trace: string[] = [];
  execution.world.recorder = (mem: ControlledMemory): void => {
    const { file, line } = siteOf(mem.site);
    const verb = OPS[mem.kind]?.name ?? "?";
    trace.push(`${mem.thread} ${verb} ${mem.p} = ${mem.result} at ${file}:${line}`);
  };
  const strategy = new RandomWalk(seed);
  strategy.begin(execution, index);
  const outcome = execution.run(strategy, index);
  execution.world.recorder = undefined;
  return { outcome, schedule: [...execution.schedule.subarray(0, execution.picks)], trace };
}

/** The first schedule on which the back-ends differ; undefined: none of them. */
export async function firstDifference(
  name: string,
  schedules: number,
  memory?: ModuleRef,
): Promise<{ readonly index: number; readonly coroutine: Traced; readonly gated: Traced } | undefined> {
  const coroutines = await controlled(name);
  const program: ModuleRef = { url: PROGRAMS, name };
  const gated = new GatedThreads({ program, ...(memory === undefined ? {} : { memory }) });
  const threads = new Execution(await loadProgram(program), { start: gated.start });
  try {
    for (let index = 0; index < schedules; index++) {
      const [one, other] = [traced(coroutines, 7, index), traced(threads, 7, index)];
      if (!same(one, other)) return { index, coroutine: one, gated: other };
    }
    return undefined;
  } finally {
    await gated.close();
  }
}

function same(a: Traced, b: Traced): boolean {
  return (
    a.outcome.hash === b.outcome.hash &&
    a.outcome.state === b.outcome.state &&
    a.outcome.finding?.kind === b.outcome.finding?.kind &&
    a.outcome.finding?.message === b.outcome.finding?.message &&
    a.schedule.join(" ") === b.schedule.join(" ") &&
    a.trace.join("\n") === b.trace.join("\n")
  );
}
