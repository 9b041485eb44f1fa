/**
 * Boot and shutdown of a machine of the default size, wall clock, in one process.
 *
 *   node bench/boot.ts [--runs 10]
 *
 * The first boot fills the caches of its process and is told apart.
 */
import { parseArgs } from "node:util";
import { Machine } from "@ringside/workers/machine";

const { values } = parseArgs({ options: { runs: { type: "string", default: "10" } } });
const runs = Number(values.runs);

interface Times {
  readonly boot: number;
  readonly shutdown: number;
}

async function once(): Promise<Times> {
  const start = performance.now();
  const machine = await Machine.boot();
  const booted = performance.now();
  await machine.shutdown();
  return { boot: booted - start, shutdown: performance.now() - booted };
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1] as number;
}

const first = await once();
const later: Times[] = [];
for (let i = 0; i < runs; i++) later.push(await once());
const boot = median(later.map((times) => times.boot));
const shutdown = median(later.map((times) => times.shutdown));
console.log(`first boot ${first.boot.toFixed(0)} ms, shutdown ${first.shutdown.toFixed(0)} ms`);
console.log(`later boots, median of ${runs}: ${boot.toFixed(0)} ms, shutdown ${shutdown.toFixed(0)} ms`);
