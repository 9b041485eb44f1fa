/**
 * rcu: what a reader pays to follow one pointer. Our QSBR read section on the CPUs of a machine, beside the same in C
 * and beside a count of readers that all threads share, as a reader-writer lock keeps.
 */
import type { Bench } from "../bench.ts";
import { crew, mean } from "../crew.ts";
import { nativePeer } from "../peers.ts";
import { machineSubjects } from "./machine.ts";
import { sharedCount } from "./shared-count.ts";

const LOOPS = new URL(
  import.meta.url.endsWith(".ts") ? "./shared-count.ts" : "./shared-count.js",
  import.meta.url,
);
const BASE = { unit: "ns", better: "lower" } as const;
const SOURCE = { source: "rcu.c", libraries: ["pthread"] } as const;

export const rcu: Bench = {
  name: "rcu",
  what: "RCU read side: lock, dereference, unlock; beside C and a shared count of readers",
  comparisons: async () => {
    const data = sharedCount();
    const readers = [
      { loop: "readSection", data },
      { loop: "readSection", data },
    ];
    const ours = machineSubjects("rcu", { cpus: 2 });
    return [
      {
        ...BASE,
        name: "read section",
        ours: ours("rcu_read_lock, dereference, unlock", 1),
        peers: [
          await nativePeer({ ...SOURCE, name: "C, nesting count", args: ["nested", "1"] }),
          await nativePeer({ ...SOURCE, name: "C, QSBR: no count at all", args: ["qsbr", "1"] }),
        ],
      },
      {
        ...BASE,
        name: "read section in 2 threads",
        ours: ours("rcu_read_lock, dereference, unlock, 2 CPUs", 2),
        peers: [
          crew("shared count of readers by Atomics, 2 threads", LOOPS, readers, mean),
          await nativePeer({
            ...SOURCE,
            name: "C, shared count of readers, 2 threads",
            args: ["shared", "2"],
          }),
          await nativePeer({ ...SOURCE, name: "C, nesting count, 2 threads", args: ["nested", "2"] }),
        ],
      },
    ];
  },
};
