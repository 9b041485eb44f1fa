/**
 * checker: how fast the controlled scheduler runs programs, one thread: kernel scenarios with and without detectors, a
 * small program, and real threads that take turns. `bench/checker-speed.ts` prints more about all of them.
 */
import type { Bench, Comparison, Subject } from "../bench.ts";
import { crew, mean } from "../crew.ts";
import type { CheckerProgram } from "./checker-loops.ts";

const LOOPS = new URL(
  import.meta.url.endsWith(".ts") ? "./checker-loops.ts" : "./checker-loops.js",
  import.meta.url,
);
const BASE = { unit: "executions/s", better: "higher" } as const;

export const checker: Bench = {
  name: "checker",
  what: "executions a second of the checker: scenarios, a small program, real threads in turn",
  comparisons: ({ quick }) => {
    const small = alone({ kind: "small", name: "lost update" }, "lost update, a small program");
    if (quick) return Promise.resolve([small]);
    const ring = alone({ kind: "gated", name: "ring" }, "ring, real threads in turn");
    return Promise.resolve([scenario("token-lifetime-3"), scenario("percpu-ref"), small, ring]);
  },
};

function subject(name: string, program: CheckerProgram): Subject {
  return crew(name, LOOPS, [{ loop: "executions", data: program }], mean);
}

function scenario(name: string): Comparison {
  return {
    ...BASE,
    name: `check ${name}`,
    ours: subject("detectors on", { kind: "scenario", name, detectors: true }),
    peers: [subject("detectors off", { kind: "scenario", name })],
  };
}

function alone(program: CheckerProgram, what: string): Comparison {
  return { ...BASE, name: `check ${what}`, ours: subject("detectors off", program), peers: [] };
}
