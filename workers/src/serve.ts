/** The thread's side of the control plane: makes the Cpu and exposes what the host may ask for. */
// First: the root of the kernel image.
import { base_image, workloads } from "@ringside/scenarios/index";
import type { Workload } from "@ringside/scenarios/workload";
import type { MessagePort } from "node:worker_threads";
import { image_hash, start_kernel, stop_kernel } from "@ringside/core/debug/image";
import { kasan_attach, kasan_memory } from "@ringside/core/debug/kasan";
import { kmem_leaks, kmem_mark } from "@ringside/core/mm/slab-report";
import { rcu_gp_kthread } from "@ringside/core/rcu/rcu";
import { Cpu, type Platform } from "@ringside/core/sched/cpu";
import { cpu_enter, cpu_exit } from "@ringside/core/sched/schedule";
import {
  virtual_clock_join,
  virtual_clock_leave,
  virtual_clock_ms,
} from "@ringside/core/sched/virtual-clock";
import { kworker_thread } from "@ringside/core/sched/workqueue";
import { nvme_controller_thread } from "@ringside/nvme-emu/controller/thread";
import { nvme_probe, nvme_remove } from "@ringside/nvme-emu/driver/probe";
import { type Memory, threadMemory } from "atomics-sync";
import * as Comlink from "comlink";
import nodeEndpoint from "comlink/dist/esm/node-adapter.mjs";
import { clock_origin } from "./clock.ts";
import { idle_enter, idle_leave, idle_loop } from "./idle.ts";
import { settle } from "./settle.ts";
import type { Leak, ThreadApi, ThreadData, WorkloadArgs, WorkloadResult } from "./roles.ts";

function make_platform(data: ThreadData, mem: Memory): Platform {
  if (data.config.clock === "virtual") return { now: () => virtual_clock_ms(mem) };
  const origin = clock_origin(data.epoch);
  return { now: () => performance.now() + origin };
}

function make_cpu(data: ThreadData): Cpu {
  const mem = data.shadow === undefined ? threadMemory(data.wasm) : kasan_memory(data.wasm, data.shadow);
  const cpu = new Cpu(mem, data.id, data.config, make_platform(data, mem));
  kasan_attach(cpu);
  // A kernel thread counts as running from here on: its loop is about to start.
  if (data.role !== "cpu") virtual_clock_join(cpu);
  return cpu;
}

/** Runs `body` with RCU watching this thread. */
function in_kernel<T>(cpu: Cpu, body: () => T): T {
  idle_leave(cpu);
  cpu_enter(cpu);
  const result = body();
  cpu_exit(cpu);
  idle_enter(cpu);
  return result;
}

function loop(cpu: Cpu, data: ThreadData): void {
  if (data.role === "nvme") nvme_controller_thread(cpu, cpu.map.media, data.config.media);
  else in_kernel(cpu, () => (data.role === "rcu_gp" ? rcu_gp_kthread(cpu) : kworker_thread(cpu)));
  virtual_clock_leave(cpu);
}

type Workloads = Readonly<Record<string, Workload>>;

function run(cpu: Cpu, known: Workloads, workload: string, args: WorkloadArgs): WorkloadResult {
  const body = known[workload];
  if (body === undefined) throw new Error(`unknown workload ${workload}`);
  return in_kernel(cpu, () => body(cpu, args));
}

function remove(cpu: Cpu): readonly Leak[] {
  return in_kernel(cpu, () => {
    settle(cpu);
    nvme_remove(cpu);
    stop_kernel(cpu);
    settle(cpu);
    return kmem_leaks(cpu);
  });
}

/** `extra`: workloads besides the listed ones. `resolutions`: where this thread's imports led. */
export function serve(
  data: ThreadData,
  port: MessagePort,
  extra: Workloads,
  resolutions: () => string,
): void {
  const cpu = make_cpu(data);
  const known = { ...workloads, ...extra };
  const api: ThreadApi = {
    image: () => ({ base: base_image, whole: image_hash() }),
    resolutions,
    start_kernel: () =>
      in_kernel(cpu, () => {
        const error = start_kernel(cpu);
        kmem_mark(cpu);
        return error;
      }),
    probe: () => in_kernel(cpu, () => nvme_probe(cpu)),
    loop: () => loop(cpu, data),
    run: (workload, args) => run(cpu, known, workload, args),
    remove: () => remove(cpu),
  };
  Comlink.expose(api, nodeEndpoint(port));
  if (data.role === "cpu") void idle_loop(cpu);
}
