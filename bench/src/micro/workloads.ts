/**
 * What the micro benches run on a machine's CPUs (Machine's option `workloads`). Threads of a machine load this;
 * the host must not, or the kernel's numbering would be another.
 *
 * Interface: "percpu-setup" and "rcu-setup" on one CPU give {address}; "percpu" and "rcu" with {address, ms} on
 * any CPUs at once give {ns} of a get and put, or of a read section; then "…-teardown" with {address}.
 */
import { kernel_symbol } from "@ringside/core/debug/image";
import { GFP_KERNEL, kfree, kzalloc } from "@ringside/core/mm/slab";
import { rcu_assign_pointer, synchronize_rcu } from "@ringside/core/rcu/rcu";
import {
  percpu_ref_exit,
  percpu_ref_init,
  percpu_ref_kill,
  type PercpuRefPtr,
} from "@ringside/core/ref/percpu-ref";
import type { Cpu } from "@ringside/core/sched/cpu";
import {
  complete,
  COMPLETION_SIZE,
  init_completion,
  wait_for_completion_timeout,
} from "@ringside/core/sched/completion";
import { type Args, number_arg, type Result, type Workload } from "@ringside/scenarios/workload";
import { nsPerTurn } from "./clock.ts";
import { getAndPut } from "./percpu-loop.ts";
import { readSections } from "./rcu-loop.ts";

const TURNS = 10_000;
/** What readers find behind the pointer. */
const PAYLOAD = 7;

/** The ref's object: the ref, and who waits for its end. */
const RELEASED = 16;
const OBJECT_SIZE: number = RELEASED + COMPLETION_SIZE;
/** For a release that follows a grace period (ms). */
const RELEASE_TIMEOUT = 10_000;

function release(cpu: Cpu, ref: number): void {
  complete(cpu, ref + RELEASED);
}
const RELEASE = kernel_symbol(release);

function percpu_setup(cpu: Cpu): Result {
  const ref = kzalloc(cpu, OBJECT_SIZE, GFP_KERNEL) as PercpuRefPtr;
  if (ref === 0 || percpu_ref_init(cpu, ref, RELEASE, 0, GFP_KERNEL) !== 0) throw new Error("out of memory");
  init_completion(cpu, ref + RELEASED);
  return { address: ref };
}

function percpu(cpu: Cpu, args: Args): Result {
  const ref = number_arg(args, "address") as PercpuRefPtr;
  return { ns: nsPerTurn(number_arg(args, "ms"), TURNS, () => getAndPut(cpu, ref, TURNS)) };
}

/** Also the proof that every get had its put: otherwise the last one does not come. */
function percpu_teardown(cpu: Cpu, args: Args): Result {
  const ref = number_arg(args, "address") as PercpuRefPtr;
  percpu_ref_kill(cpu, ref);
  if (wait_for_completion_timeout(cpu, ref + RELEASED, RELEASE_TIMEOUT) === 0) {
    throw new Error("bench percpu: gets and puts do not balance");
  }
  percpu_ref_exit(cpu, ref);
  kfree(cpu, ref);
  return {};
}

function rcu_setup(cpu: Cpu): Result {
  const pointer = kzalloc(cpu, 4, GFP_KERNEL);
  const object = kzalloc(cpu, 4, GFP_KERNEL);
  if (pointer === 0 || object === 0) throw new Error("out of memory");
  cpu.mem.write(object, PAYLOAD);
  rcu_assign_pointer(cpu, pointer, object);
  return { address: pointer };
}

function rcu(cpu: Cpu, args: Args): Result {
  const p = number_arg(args, "address");
  let wrong = 0;
  const slice = (): void => {
    if (readSections(cpu, p, TURNS) !== TURNS * PAYLOAD) wrong++;
  };
  const ns = nsPerTurn(number_arg(args, "ms"), TURNS, slice);
  if (wrong > 0) throw new Error("bench rcu: a reader read something else");
  return { ns };
}

function rcu_teardown(cpu: Cpu, args: Args): Result {
  const pointer = number_arg(args, "address");
  const object = cpu.mem.read(pointer);
  rcu_assign_pointer(cpu, pointer, 0);
  synchronize_rcu(cpu);
  kfree(cpu, object);
  kfree(cpu, pointer);
  return {};
}

export const workloads: Readonly<Record<string, Workload>> = {
  "percpu-setup": percpu_setup,
  percpu,
  "percpu-teardown": percpu_teardown,
  "rcu-setup": rcu_setup,
  rcu,
  "rcu-teardown": rcu_teardown,
};
