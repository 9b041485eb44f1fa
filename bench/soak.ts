/**
 * Stress with random settings, one run after another, for as long as you like.
 *
 *   node bench/soak.ts [--minutes 10] [--threads 1] [--seed N]
 *
 * A line per run, what broke and the command that repeats it, and a closing line. Exit 1 when anything broke.
 */
import { parseArgs } from "node:util";
import { run_jobs } from "@ringside/workers/jobs";
import type { StressReport } from "@ringside/workers/stress";
import {
  DEFAULT_STRESS,
  type StressOptions,
  stress_command_line,
  stress_conflict,
} from "@ringside/workers/stress-config";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    threads: { type: "string", default: "1" },
    seed: { type: "string", default: String(1 + Math.floor(Math.random() * 2 ** 30)) },
  },
});

/** A number from `min` to `max`, or exit 2 with one line. */
function number(name: "minutes" | "threads" | "seed", min: number, max: number): number {
  const value = Number(values[name]);
  if (!(value >= min && value <= max)) {
    console.error(`error: --${name} ${values[name]}: expected a number from ${min} to ${max}`);
    process.exit(2);
  }
  return value;
}

const minutes = number("minutes", 0.01, 7 * 24 * 60);
const threads = Math.floor(number("threads", 1, 2));
const seed = Math.floor(number("seed", 1, 2 ** 31 - 1));

/** xorshift32: the seed gives the same settings again. */
let state = seed;
function random(n: number): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % n;
}
function pick<T>(choices: readonly T[]): T {
  return choices[random(choices.length)] as T;
}

const KIB = 1024;

function settings(): StressOptions {
  const buffer = pick(["dmabuf", "dmabuf", "dmabuf", "registered"] as const);
  return {
    ...DEFAULT_STRESS,
    buffer,
    seconds: pick([2, 5, 10]),
    cpus: pick([2, 2, 2, 3, 3, 4, 5, 8]),
    depth: pick([1, 2, 3, 8, 31, 32, 64, 128, 256]),
    bs: pick([512, 512, 4 * KIB, 4 * KIB, 8 * KIB, 12 * KIB, 64 * KIB, 256 * KIB, 1024 * KIB, 4096 * KIB]),
    rw: pick(["randrw", "randrw", "randread", "randwrite"] as const),
    invalidateMs: pick([0.1, 1, 1, 5, 20]),
    iommu: pick(["strict", "strict", "lazy", "passthrough"] as const),
    percpu: pick(["atomic", "owner"] as const),
    completion: buffer === "dmabuf" ? "irq" : pick(["irq", "poll"] as const),
    kasan: random(5) === 0,
    seed: 1 + random(2 ** 31 - 1),
    hangMs: 30_000,
  };
}

const deadline = performance.now() + minutes * 60_000;

/** Settings that make a machine, until the time is over. */
function* jobs(): Generator<StressOptions> {
  while (performance.now() < deadline) {
    const job = settings();
    if (stress_conflict(job) === undefined) yield job;
  }
}

let runs = 0;
let broken = 0;
let ios = 0;
let invalidations = 0;

function complaints(outcome: StressReport | Error): string[] {
  if (outcome instanceof Error) return [outcome.message];
  const leaks = outcome.leaks.map((leak) => `leak: ${leak.objects} objects from ${leak.site}`);
  return [...outcome.violations, ...outcome.warnings, ...leaks];
}

function done(job: StressOptions, outcome: StressReport | Error): void {
  runs++;
  const found = complaints(outcome);
  if (!(outcome instanceof Error)) {
    ios += outcome.io.reads + outcome.io.writes;
    invalidations += outcome.token.invalidations;
  }
  const what =
    outcome instanceof Error ? "" : `${outcome.io.iops} IOPS, ${outcome.token.invalidations} invalidations`;
  if (found.length > 0) broken++;
  console.log(`${found.length > 0 ? "FAIL" : "ok  "} ${stress_command_line(job)}  ${what}`);
  for (const text of found) console.log(`       ${text}`);
}

console.log(`soak: ${minutes} minutes, ${threads} at a time, seed ${seed}`);
await run_jobs(jobs(), { threads, onDone: done });
const verdict = broken === 0 ? "pass" : `FAIL: ${broken} runs broke`;
console.log(`${verdict}: ${runs} runs, ${ios} I/Os, ${invalidations} invalidations, seed ${seed}`);
process.exitCode = broken === 0 ? 0 : 1;
