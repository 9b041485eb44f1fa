/**
 * What the boot test runs natively and controlled: a solo kernel boots, allocates and frees, signals a fence, and takes
 * a token through its life. Whatever waits runs what it waits for.
 */
// First: the root of the kernel image.
import "@ringside/scenarios/kernel";
import { image_hash, start_kernel, stop_kernel } from "@ringside/core/debug/image";
import { vram_invalidate, vram_move } from "@ringside/core/dma/exporters/vram";
import { type KernelConfig, SITE_RECORDS } from "@ringside/core/mm/memory-map";
import { GFP_KERNEL, kfree, kmalloc } from "@ringside/core/mm/slab";
import { rcu_barrier, rcu_gp_once } from "@ringside/core/rcu/rcu";
import { Cpu, type SiteNames } from "@ringside/core/sched/cpu";
import { cpu_enter, cpu_exit } from "@ringside/core/sched/schedule";
import { flush_workqueue, system_dfl_wq, system_wq, workqueue_run_one } from "@ringside/core/sched/workqueue";
import {
  check_buffer,
  token_node_put,
  token_request,
  token_setup,
  token_teardown,
} from "@ringside/scenarios/check/token-driver";
import type { Memory } from "atomics-sync/memory";

const names = new Map<number, string>();

/** A site's number is a hash of its name: equal numbers in memory are equal names, whoever met which first. */
const hashed_names: SiteNames = {
  site_number(text) {
    let hash = 0x811c9dc5;
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
    const id = 1 + ((hash >>> 0) % (SITE_RECORDS - 1));
    names.set(id, text);
    return id;
  },
  site_name: (id) => names.get(id) ?? "unknown",
};

const SIZES = [8, 24, 100, 500, 3000];

function allocate(cpu: Cpu): void {
  for (const size of SIZES) {
    const p = kmalloc(cpu, size, GFP_KERNEL);
    const q = kmalloc(cpu, size, GFP_KERNEL);
    cpu.mem.memset(p, size & 0xff, size);
    cpu.mem.memcpy(q, p, size);
    cpu.mem.write(q, cpu.mem.crc32c(p, size));
    kfree(cpu, size > 100 ? q : p);
  }
}

function settle(cpu: Cpu): void {
  for (let i = 0; i < 3; i++) {
    rcu_barrier(cpu);
    flush_workqueue(cpu, system_wq(cpu));
    flush_workqueue(cpu, system_dfl_wq(cpu));
  }
}

/** Requests before and after the buffer moves: the token's map goes, its fence is signaled, and a new one is made. */
function use_token(cpu: Cpu): void {
  token_setup(cpu, 2);
  token_request(cpu, 1);
  token_node_put(cpu);
  vram_invalidate(cpu, check_buffer(cpu));
  // A solo kernel cannot wait, under the reservation, for a release that takes it.
  settle(cpu);
  vram_move(cpu, check_buffer(cpu));
  token_request(cpu, 0);
  token_node_put(cpu);
  settle(cpu);
  token_teardown(cpu);
}

/** The hash of the image. */
export function boot_and_work(memory: Memory, config: KernelConfig): number {
  let time = 0;
  const cpu = new Cpu(memory, 0, config, {
    now: () => time,
    sites: hashed_names,
    idle: (idler) => {
      time++;
      return workqueue_run_one(idler) || rcu_gp_once(idler);
    },
    logged: (_level, text) => {
      throw new Error(text);
    },
  });
  cpu_enter(cpu);
  const error = start_kernel(cpu);
  if (error < 0) throw new Error(`boot failed with ${error}`);
  allocate(cpu);
  use_token(cpu);
  settle(cpu);
  stop_kernel(cpu);
  cpu_exit(cpu);
  return image_hash();
}
