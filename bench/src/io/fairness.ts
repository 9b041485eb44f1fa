/**
 * fairness: two CPUs, each with a queue of its own, read from one controller at the same time. Do they get equal
 * shares? The notes say: the smaller share beside the larger, and Jain's index, (sum)^2 / (n * sum of squares): 1 is
 * equal, 1/n is all for one.
 */
import type { Machine } from "@ringside/workers/machine";
import type { Bench, Comparison } from "../bench.ts";
import { BenchMachine } from "../bench-machine.ts";
import { runIo } from "./io-run.ts";

const IO = { op: "read", bs: 4096, depth: 32 } as const;
const QUEUES = 2;

/** Jain, Chiu, Hawe 1984. 1 for equal shares; of at least one share above 0. */
export function jainIndex(shares: readonly number[]): number {
  const sum = shares.reduce((total, share) => total + share, 0);
  const squares = shares.reduce((total, share) => total + share * share, 0);
  return (sum * sum) / (shares.length * squares);
}

export const fairness: Bench = {
  name: "fairness",
  what: "two CPUs with a queue each on one controller: throughput, and how equal their shares are",
  comparisons: async () => [compare()],
};

function compare(): Comparison {
  const machine = new BenchMachine({ cpus: QUEUES });
  let notes: Readonly<Record<string, number>> = {};
  const both = async (ms: number, booted: Machine): Promise<number> => {
    const ids = Array.from({ length: QUEUES }, (_, id) => id);
    const shares = (await Promise.all(ids.map(async (id) => await runIo(booted, id, IO, ms)))).map(
      ({ iops }) => iops,
    );
    notes = {
      minToMaxShare: Math.min(...shares) / Math.max(...shares),
      jainIndex: jainIndex(shares),
    };
    return shares.reduce((total, share) => total + share, 0);
  };
  return {
    name: "random read 4 KiB, depth 32, 2 CPUs on 2 queues",
    unit: "IOPS",
    better: "higher",
    ours: machine.subject("both CPUs", both),
    peers: [machine.subject("one CPU", async (ms, booted) => (await runIo(booted, 0, IO, ms)).iops)],
    notes: () => notes,
  };
}
