/**
 * A machine for tests of the controller: one host CPU, and the device either stepped inline or on a thread of
 * its own. Memory is handed out from the bottom of RAM and never given back.
 */
import { createSharedMemory, Memory, type WasmMemory } from "atomics-sync";
import { start_kernel } from "@ringside/core/debug/image";
import { DEFAULT_CONFIG, device_cpu_id, type KernelConfig, memory_map } from "@ringside/core/mm/memory-map";
import { Cpu, type Platform } from "@ringside/core/sched/cpu";

export interface MachineParts {
  readonly wasm: WasmMemory;
  readonly config: KernelConfig;
}

/** A clock the test moves. */
export class TestClock implements Platform {
  time_ms: number = 0;
  now(): number {
    return this.time_ms;
  }
}

export const TEST_CONFIG: KernelConfig = {
  ...DEFAULT_CONFIG,
  cpus: 2,
  kthreads: 2,
  ram: 24 << 20,
  vram: 0,
  media: 8 << 20,
  iommu: "passthrough",
};

export function machine_parts(overrides: Partial<KernelConfig> = {}): MachineParts {
  const config = { ...TEST_CONFIG, ...overrides };
  return { wasm: createSharedMemory(memory_map(config).size), config };
}

export function join_machine(parts: MachineParts, id: number, platform: Platform = new TestClock()): Cpu {
  return new Cpu(new Memory(parts.wasm), id, parts.config, platform);
}

/** The host's CPU of a machine whose kernel has booted. */
export function boot_host(parts: MachineParts, platform: Platform = new TestClock()): Cpu {
  const cpu = join_machine(parts, 0, platform);
  const error = start_kernel(cpu);
  if (error < 0) throw new Error(`test machine: boot failed with ${error}`);
  return cpu;
}

export function join_device(parts: MachineParts, platform: Platform = new TestClock()): Cpu {
  return join_machine(parts, device_cpu_id(parts.config), platform);
}
