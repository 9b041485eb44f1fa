/**
 * A bare kernel for tests of what lies below the scheduler: memory, sites, log. Only the modules a test
 * imports are in its image; nothing sleeps. Several threads may join one machine.
 *
 * Interface: boot_bare makes a machine and its CPU 0; join_bare makes a further CPU on another thread from
 * the machine's `bare_parts`. Threads of one machine import this module before any other of the kernel, so
 * that their images are equal; join_bare checks it.
 */
import { CheckedMemory, createSharedMemory, Memory, type WasmMemory } from "atomics-sync";
import "../mm/percpu.ts";
import { image_hash, start_kernel } from "../debug/image.ts";
import { kasan_attach, kasan_memory } from "../debug/kasan.ts";
import { DEFAULT_CONFIG, type KernelConfig, memory_map } from "../mm/memory-map.ts";
import { Cpu } from "../sched/cpu.ts";

/** What a machine's threads share; can be posted to a worker. */
export interface BareParts {
  readonly wasm: WasmMemory;
  readonly shadow: SharedArrayBuffer | undefined;
  readonly config: KernelConfig;
  readonly image: number;
}

export function bare_parts(overrides: Partial<KernelConfig> = {}): BareParts {
  const config = { ...DEFAULT_CONFIG, cpus: 1, kthreads: 2, ram: 4 << 20, vram: 0, media: 0, ...overrides };
  const wasm = createSharedMemory(memory_map(config).size);
  const shadow = config.kasan ? CheckedMemory.createShadow(wasm.buffer.byteLength) : undefined;
  return { wasm, shadow, config, image: image_hash() };
}

/** CPU `id` of a machine: its own Memory over the shared bytes. */
export function join_bare(parts: BareParts, id: number): Cpu {
  const { wasm, shadow, config, image } = parts;
  if (image !== image_hash()) throw new Error("bare kernel: this thread loaded other modules than the first");
  const mem = shadow === undefined ? new Memory(wasm) : kasan_memory(wasm, shadow);
  const cpu = new Cpu(mem, id, config, { now: () => 0 });
  kasan_attach(cpu);
  return cpu;
}

/** Boots a machine of one thread, or the first thread of one. */
export function boot_bare(
  overrides: Partial<KernelConfig> = {},
  parts: BareParts = bare_parts(overrides),
): Cpu {
  const cpu = join_bare(parts, 0);
  const error = start_kernel(cpu);
  if (error < 0) throw new Error(`bare kernel: boot failed with ${error}`);
  return cpu;
}
