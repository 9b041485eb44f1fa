/**
 * percpu: what a reference costs, taken and dropped. Our percpu_ref on the CPUs of a machine, in both shard modes,
 * beside shards in C and beside one shared counter, which is what sharding is there to avoid.
 */
import type { Bench, Comparison, Subject } from "../bench.ts";
import { crew, mean } from "../crew.ts";
import { nativePeer } from "../peers.ts";
import { machineSubjects } from "./machine.ts";
import { sharedCount } from "./shared-count.ts";

const LOOPS = new URL(
  import.meta.url.endsWith(".ts") ? "./shared-count.ts" : "./shared-count.js",
  import.meta.url,
);
const SHARED = "one shared Atomics counter, 2 threads";
const BASE = { unit: "ns", better: "lower" } as const;

export const percpu: Bench = {
  name: "percpu",
  what: "percpu_ref get and put: Atomics and owner shards, beside C and shared counters",
  reading:
    "The peers in C do what percpu_ref_get and percpu_ref_put do in Linux without preemption: look at the mode word, " +
    "add to the shard; with a counted read section, what they do with CONFIG_PREEMPT_COUNT, and what ours always " +
    "does. A pair of plain adds to one word takes 1 ns where the processor renames memory, and 4 ns where it does " +
    "not: one run or another of the C program shows the second.",
  comparisons: async () => {
    const atomic = machineSubjects("percpu", { cpus: 2, percpu: "atomic" });
    const owner = machineSubjects("percpu", { cpus: 2, percpu: "owner" });
    return [
      await beside("Atomics shards", "atomic", atomic("percpu_ref, Atomics shards", 1), 2),
      await beside("owner shards", "owner", owner("percpu_ref, owner shards", 1), 3),
      await beyond("Atomics shards", "atomic", atomic("percpu_ref, Atomics shards, 2 CPUs", 2)),
      await beyond("owner shards", "owner", owner("percpu_ref, owner shards, 2 CPUs", 2)),
    ];
  },
};

/** One thread, alone, beside the same in C. */
async function beside(shards: string, mode: string, ours: Subject, atMost: number): Promise<Comparison> {
  const native = `C, ${mode} shard`;
  return {
    ...BASE,
    name: `get + put, ${shards}`,
    ours,
    peers: [
      await nativePeer({ name: native, source: "percpu.c", libraries: ["pthread"], args: [mode, "1"] }),
      await nativePeer({
        name: `${native}, in a counted read section`,
        source: "percpu.c",
        libraries: ["pthread"],
        args: [`${mode}-counted`, "1"],
      }),
    ],
    targets: [{ of: native, atMost }],
  };
}

/** Two threads at once, beside a counter that they share. */
async function beyond(shards: string, mode: string, ours: Subject): Promise<Comparison> {
  const data = sharedCount();
  const members = [
    { loop: "getAndPut", data },
    { loop: "getAndPut", data },
  ];
  const libraries = ["pthread"] as const;
  return {
    ...BASE,
    name: `get + put from 2 threads, ${shards}`,
    ours,
    peers: [
      crew(SHARED, LOOPS, members, mean),
      await nativePeer({
        name: "C, one shared counter, 2 threads",
        source: "percpu.c",
        libraries,
        args: ["shared", "2"],
      }),
      await nativePeer({
        name: `C, ${mode} shards, 2 threads`,
        source: "percpu.c",
        libraries,
        args: [mode, "2"],
      }),
    ],
    targets: [{ of: SHARED, atMost: 0.1 }],
  };
}
