/**
 * scale-depth: 1 to 4096 I/Os in flight: what one costs (time of all, divided by their number), for NOPs and 512-byte
 * reads.
 *
 * The cost of one falls while batches grow, then stays: nothing walks what is in flight. A queue of the controller
 * has 1023 tags (io_queue_depth 1024, as in Linux); what finds none goes to io-wq and waits there, as in Linux too. The
 * more of them, the larger the share of I/Os that take this way, until all do: the cost of one rises to that of a hop
 * between threads, and stays there. The points beyond 4096 are there to show that it does.
 */
import type { Bench, Comparison } from "../bench.ts";
import { BenchMachine } from "../bench-machine.ts";
import { runIo } from "../io/io-run.ts";
import { curvePoint } from "./curve.ts";

/** In flight. */
const DEPTHS: readonly number[] = [1, 4, 16, 64, 256, 1024, 4096];
/** Of one queue of the controller (NVME_IO_QUEUE_DEPTH less one): as many as have a tag. */
const TAGS = 1023;
const WITH_TAG: readonly number[] = [1, 4, 16, 64, 256, TAGS];
const WITHOUT_TAG: readonly number[] = [2048, 4096, 8192, 16384];

export const scaleDepth: Bench = {
  name: "scale-depth",
  what: "1 to 4096 in flight: the cost of a NOP and of a 512-byte read",
  reading:
    "The time of all divided by their number: it falls while batches grow, then stays, because nothing walks what is " +
    `in flight. A queue of the controller has ${TAGS} tags; what finds none waits in io-wq, so the more there are ` +
    "beyond, the larger the share that pays for a hop between threads, until all do. Points beyond 4096 show that " +
    "it ends there.",
  comparisons: ({ quick }) =>
    Promise.resolve(
      quick
        ? curve("nop", "NOP", DEPTHS.slice(0, 2))
        : [
            ...curve("nop", "NOP", DEPTHS),
            ...curve("read", "random read 512 B", WITH_TAG),
            ...curve("read", "random read 512 B, more than the queue has tags", WITHOUT_TAG),
          ],
    ),
};

function curve(op: "nop" | "read", series: string, xs: readonly number[]): Comparison[] {
  return xs.map((depth) => {
    const machine = new BenchMachine({ cpus: 1, ram: 160 << 20, vram: 1 << 20 });
    const cost = machine.subject(
      "ringside",
      async (ms, booted) => 1e9 / (await runIo(booted, 0, { op, bs: 512, depth }, ms)).iops,
    );
    return curvePoint({ series, xName: "depth", unit: "ns" }, depth, cost);
  });
}
