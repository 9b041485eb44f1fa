/**
 * scale-invalidations: 4 KiB reads at depth 32 on a buffer that its exporter invalidates 10 to 1000 times a second:
 * what an I/O costs.
 *
 * Each invalidation takes the same from the I/O: until its fence is signaled (a grace period, the I/Os in flight, a
 * worker) nothing is issued inline, then one request maps anew. So time lost is linear in the rate, until the rate
 * is one over that time and no more invalidations fit.
 */
import type { Bench, Comparison } from "../bench.ts";
import { BenchMachine } from "../bench-machine.ts";
import { invalidateLoaded } from "../io/invalidate.ts";
import { curvePoint } from "./curve.ts";

const RATES: readonly number[] = [10, 30, 100, 300, 1000];

const SERIES = { series: "random read 4 KiB, invalidated", xName: "invalidations/s", unit: "ns" };

export const scaleInvalidations: Bench = {
  name: "scale-invalidations",
  what: "10 to 1000 invalidations a second: the cost of an I/O on that buffer",
  reading:
    "Each invalidation takes the same from the I/O: until its fence is signaled nothing is issued inline, then one " +
    "request maps anew. Time lost is linear in the rate, until no more invalidations fit.",
  comparisons: ({ quick }) => Promise.resolve((quick ? RATES.slice(-2) : RATES).map(point)),
};

function point(rate: number): Comparison {
  const machine = new BenchMachine({ cpus: 2 });
  let done = 0;
  const cost = machine.subject("ringside", async (ms, booted) => {
    const { iops, unmapped, seconds } = await invalidateLoaded(booted, ms, 1000 / rate);
    done = unmapped.length / seconds;
    return 1e9 / iops;
  });
  return curvePoint(SERIES, rate, cost, { notes: () => ({ "invalidations/s done": done }) });
}
