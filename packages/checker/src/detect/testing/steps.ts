/**
 * For tests of detectors: programs by hand whose ops stand at sites with names. `yield* go(m, m.$read(X, site))` is one
 * step; `sites("mp.ts", "writer", 2)` gives two sites in function writer, on lines of their own.
 */
import type { ControlledMemory } from "../../controlled-memory.ts";
import { Execution, type Outcome } from "../../execution.ts";
import { explore } from "../../explore.ts";
import type { Program } from "../../program.ts";
import { $sites } from "../../runtime.ts";
import { RandomWalk } from "../../strategy/random.ts";
import { Replay } from "../../strategy/replay.ts";
import type { FailureKind, Finding } from "../../world.ts";
import { type DetectOptions, defaultMonitors } from "../index.ts";

export type Steps = Generator<unknown, void>;

/** One step: the result of the op that was just published. */
export function* go(m: ControlledMemory, asks: boolean): Generator<unknown, number> {
  if (asks) yield;
  return m.$go() as number;
}

/** Sites in function `name` of `file`: lines 1, 2 ... */
export function sites(file: string, name: string, count: number): number[] {
  const positions = Array.from({ length: count }, (_, i) => [i + 1, 1]).flat();
  const first = $sites(
    file,
    positions,
    [name],
    Array.from({ length: count }, () => 0),
  );
  return Array.from({ length: count }, (_, i) => first + i);
}

/** A lock as plain as can be: a word, taken by exchange, waited for in a futex. Bare of the mutex's finesse. */
export function* lock(m: ControlledMemory, p: number, site: number): Steps {
  if ((yield* go(m, m.$compareExchange(p, 0, 1, site))) === 0) return;
  while ((yield* go(m, m.$exchange(p, 2, site))) !== 0) yield* go(m, m.$wait(p, 2, Infinity, site));
}
export function* unlock(m: ControlledMemory, p: number, site: number): Steps {
  if ((yield* go(m, m.$exchange(p, 0, site))) === 2) yield* go(m, m.$notify(p, 1, site));
}

/** One schedule: thread of each step. */
export function runOn(program: Program, schedule: readonly number[], options: DetectOptions = {}): Outcome {
  const execution = new Execution(program, { monitors: defaultMonitors(options) });
  const replay = new Replay(Uint8Array.from(schedule), []);
  replay.begin();
  return execution.run(replay, 0);
}

/** What random schedules find: the first finding of each kind. */
export function found(
  program: Program,
  options: DetectOptions = {},
  executions = 400,
): Map<FailureKind, Finding> {
  const execution = new Execution(program, { monitors: defaultMonitors(options), maxSteps: 2000 });
  const findings = new Map<FailureKind, Finding>();
  explore(execution, new RandomWalk(1), {
    executions,
    keepGoing: true,
    each: ({ finding }) => {
      if (finding !== undefined && !findings.has(finding.kind)) findings.set(finding.kind, finding);
    },
  });
  return findings;
}

export function kinds(program: Program, options: DetectOptions = {}): FailureKind[] {
  return [...found(program, options).keys()].sort();
}
