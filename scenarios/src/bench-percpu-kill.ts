/** What the end of a percpu_ref costs: from its kill, through a grace period and the sum of the shards, to release. */
import { kernel_symbol } from "@ringside/core/debug/image";
import { GFP_KERNEL, kfree, kmalloc, ksize } from "@ringside/core/mm/slab";
import {
  percpu_ref_exit,
  percpu_ref_get,
  percpu_ref_init,
  percpu_ref_kill,
  percpu_ref_put,
  PERCPU_REF_SIZE,
  type PercpuRefPtr,
} from "@ringside/core/ref/percpu-ref";
import {
  complete,
  COMPLETION_SIZE,
  init_completion,
  wait_for_completion,
} from "@ringside/core/sched/completion";
import type { Cpu } from "@ringside/core/sched/cpu";
import { type Args, number_arg, type Result } from "./workload.ts";

// struct: the ref, then the completion of its end.
const DONE = PERCPU_REF_SIZE;
const SIZE: number = DONE + COMPLETION_SIZE;
/** Low bits of the shard pointer are flags. */
const FLAGS = 3;

const RELEASE = kernel_symbol(bench_ref_release);

/** Runs where the last reference goes: on rcu_gp. */
function bench_ref_release(cpu: Cpu, ref: PercpuRefPtr): void {
  complete(cpu, ref + DONE);
}

/** args: ms. Results: kills; killMs: of all, from kill to release; bytes: of the shards of one ref. */
export function bench_percpu_kill(cpu: Cpu, args: Args): Result {
  const ref = kmalloc(cpu, SIZE, GFP_KERNEL) as PercpuRefPtr;
  if (ref === 0) throw new Error("bench: no memory for a percpu_ref");
  const start = cpu.now();
  let kills = 0;
  let killMs = 0;
  let bytes = 0;
  while (kills === 0 || cpu.now() - start < number_arg(args, "ms")) {
    init_completion(cpu, ref + DONE);
    if (percpu_ref_init(cpu, ref, RELEASE, 0, GFP_KERNEL) !== 0)
      throw new Error("bench: no memory for shards");
    bytes = ksize(cpu, cpu.mem.read(ref) & ~FLAGS);
    percpu_ref_get(cpu, ref);
    percpu_ref_put(cpu, ref);
    const killed = cpu.now();
    percpu_ref_kill(cpu, ref);
    wait_for_completion(cpu, ref + DONE);
    killMs += cpu.now() - killed;
    percpu_ref_exit(cpu, ref);
    kills++;
  }
  kfree(cpu, ref);
  return { kills, killMs, bytes };
}
