/**
 * A solo kernel for tests of API laws: one thread, one CPU. When its task would sleep, grace periods and
 * queued work run inline on the same stack, so everything is deterministic.
 *
 * Interface: `const cpu = boot_solo()`; call kernel verbs; `dmesg(cpu)` tells what it warned about.
 */
import { CheckedMemory, createSharedMemory, Memory } from "atomics-sync";
import { dmesg_read, LOG_INFO } from "../debug/dmesg.ts";
import { start_kernel } from "../debug/image.ts";
import { kasan_memory } from "../debug/kasan.ts";
import { DEFAULT_CONFIG, type KernelConfig, memory_map } from "../mm/memory-map.ts";
import { rcu_gp_once } from "../rcu/rcu.ts";
import { Cpu, type Platform } from "../sched/cpu.ts";
import { cpu_enter } from "../sched/schedule.ts";
import { workqueue_run_one } from "../sched/workqueue.ts";

/** A clock that moves only when the kernel idles or a test advances it. */
export class SoloPlatform implements Platform {
  time_ms: number = 0;
  now(): number {
    return this.time_ms;
  }
  idle(cpu: Cpu): boolean {
    // Each look is a millisecond, so that time-outs pass.
    this.time_ms += 1;
    return workqueue_run_one(cpu) || rcu_gp_once(cpu);
  }
}

export interface SoloOptions extends Partial<KernelConfig> {
  readonly platform?: Platform;
}

export function boot_solo(options: SoloOptions = {}): Cpu {
  const { platform, ...overrides } = options;
  const config: KernelConfig = {
    ...DEFAULT_CONFIG,
    cpus: 1,
    kthreads: 2,
    ram: 8 << 20,
    vram: 2 << 20,
    media: 2 << 20,
    lockdep: true,
    ...overrides,
  };
  const wasm = createSharedMemory(memory_map(config).size);
  const mem = config.kasan
    ? kasan_memory(wasm, CheckedMemory.createShadow(wasm.buffer.byteLength))
    : new Memory(wasm);
  const cpu = new Cpu(mem, 0, config, platform ?? new SoloPlatform());
  cpu_enter(cpu);
  const error = start_kernel(cpu);
  if (error < 0) throw new Error(`solo kernel: boot failed with ${error}`);
  return cpu;
}

/** Warnings, bugs and violations so far, oldest first. */
export function dmesg(cpu: Cpu): string[] {
  return dmesg_read(cpu, 0)
    .filter((record) => record.level > LOG_INFO)
    .map((record) => record.text);
}
