/**
 * What the allocators tell KASAN (include/linux/kasan.h). All of it does nothing unless config.kasan, and
 * nothing on a thread with unchecked memory (the host looks at a machine through one).
 */
import { CheckedMemory } from "atomics-sync";
import type { Cpu } from "../sched/cpu.ts";

function is_checked(cpu: Cpu): boolean {
  return cpu.config.kasan && cpu.mem instanceof CheckedMemory;
}

/** Forbids `bytes` at `p` from now on, for the reason `code` (KASAN_*). A partial granule keeps its start. */
export function kasan_poison(cpu: Cpu, p: number, bytes: number, code: number): void {
  if (is_checked(cpu)) (cpu.mem as CheckedMemory).poison(p, bytes, code);
}

/** Allows exactly `bytes` at 8-aligned `p`. */
export function kasan_unpoison(cpu: Cpu, p: number, bytes: number): void {
  if (is_checked(cpu)) (cpu.mem as CheckedMemory).unpoison(p, bytes);
}

/** Between these two this thread's accesses are not checked: the allocator looks at free memory. */
export function kasan_disable_current(cpu: Cpu): void {
  if (is_checked(cpu)) (cpu.mem as CheckedMemory).checksOff();
}
export function kasan_enable_current(cpu: Cpu): void {
  if (is_checked(cpu)) (cpu.mem as CheckedMemory).checksOn();
}
