/**
 * rw: random reads and writes through dma-buf buffers, one CPU and the controller, beside this machine's io_uring on
 * files of the namespace's size: in the page cache of a disk's file system, and on tmpfs. Nobody uses O_DIRECT: all
 * sides move memory. The limit is memcpy of random blocks of a region of that size, by one thread.
 *
 * Both sides keep to one batch rule (scenarios/src/bench-io.ts, peers/uring.c): half of the depth at a time,
 * which suits ours and makes no difference to the peer.
 */
import type { Bench, Comparison, Target } from "../bench.ts";
import { BenchMachine } from "../bench-machine.ts";
import { runIo } from "./io-run.ts";
import {
  diskDirectory,
  memcpyLimit,
  ScratchFile,
  tmpfsDirectory,
  uringBest,
  uringSameCalls,
} from "./native-io.ts";

const MEDIA = 64 << 20;
const QUICK_MEDIA = 4 << 20;
const DEPTHS: readonly number[] = [1, 32, 64];
const DEEP = 64;

const SAME = "io_uring page cache, same calls";
const BEST = "io_uring page cache, best settings";
const TMPFS = "io_uring tmpfs, same calls";
const LIMIT = "memcpy";
const OF_PAGE_CACHE = 2;
const OF_LIMIT = 0.6;

interface Case {
  readonly op: "read" | "write";
  readonly bs: number;
  readonly depth: number;
}

export const rw: Bench = {
  name: "rw",
  what: "random reads and writes, 512 B and 4 KiB, depths 1, 32, 64, beside io_uring on the page cache and tmpfs",
  reading:
    "Same calls: as ours, the buffer is registered, file and ring are plain descriptors, the ring has no flags. Best " +
    "settings: file and ring are registered too, with the flags that did best in the warm-up (DEFER_TASKRUN, " +
    "COOP_TASKRUN or none). Each turn submits and reaps half of the depth on all sides. Ours has two threads, the " +
    "CPU and the controller; the peers and memcpy have one.",
  comparisons: async ({ quick }) => {
    const bytes = quick ? QUICK_MEDIA : MEDIA;
    const files = {
      disk: new ScratchFile(bytes, diskDirectory),
      tmpfs: new ScratchFile(bytes, tmpfsDirectory),
    };
    return await Promise.all(cases(quick).map(async (one) => await compare(one, bytes, files)));
  },
};

function cases(quick: boolean): Case[] {
  if (quick) return [{ op: "read", bs: 4096, depth: DEEP }];
  const all: Case[] = [];
  for (const op of ["read", "write"] as const) {
    for (const bs of [512, 4096]) for (const depth of DEPTHS) all.push({ op, bs, depth });
  }
  return all;
}

interface Files {
  readonly disk: ScratchFile;
  readonly tmpfs: ScratchFile;
}

async function compare({ op, bs, depth }: Case, bytes: number, { disk, tmpfs }: Files): Promise<Comparison> {
  const job = { op, bs, depth, batch: Math.max(1, depth >> 1) } as const;
  const machine = new BenchMachine({ cpus: 1, media: bytes, ram: 16 << 20, vram: 1 << 20 });
  let notes: Readonly<Record<string, number>> = {};
  return {
    name: `random ${op} ${bs === 4096 ? "4 KiB" : `${bs} B`}, depth ${depth}`,
    unit: "IOPS",
    better: "higher",
    ours: machine.subject("ringside, dma-buf", async (ms, booted) => {
      const run = await runIo(booted, 0, job, ms);
      notes = run.notes;
      return run.iops;
    }),
    peers: await Promise.all([
      uringSameCalls(SAME, { ...job, file: disk }),
      uringBest(BEST, { ...job, file: disk }),
      uringSameCalls(TMPFS, { ...job, file: tmpfs }),
    ]),
    limit: await memcpyLimit(LIMIT, { op, bytes, bs, depth }),
    targets: op === "read" && bs === 4096 && depth === DEEP ? TARGETS : [],
    notes: () => notes,
  };
}

const TARGETS: readonly Target[] = [
  { of: SAME, atLeast: OF_PAGE_CACHE },
  { of: LIMIT, atLeast: OF_LIMIT },
];
