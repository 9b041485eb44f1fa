/**
 * Thread entry for tests of the allocators on real threads: each thread plays one role on a bare machine and
 * posts what it counted.
 */
import { parentPort, workerData } from "node:worker_threads";
import { type BareParts, join_bare } from "./bare.ts";
import { FAULT_SLAB, should_fail } from "../debug/fault-inject.ts";
import { printk } from "../debug/dmesg.ts";
import { caller_site } from "../debug/site.ts";
import { GFP_KERNEL, kfree, kmalloc } from "../mm/slab.ts";
import type { Cpu } from "../sched/cpu.ts";

export interface MmRole {
  readonly parts: BareParts;
  readonly id: number;
  readonly role: keyof typeof ROLES;
  readonly steps: number;
  /** Address and words of memory the roles share. */
  readonly shared: number;
  readonly words: number;
}

/** An object's bytes all carry its tag, and its first word its size: an overlap breaks one of them. */
function is_intact(cpu: Cpu, p: number): boolean {
  const size = cpu.mem.read(p);
  const tag = cpu.mem.read8(p + 4);
  for (let i = 5; i < size; i++) if (cpu.mem.read8(p + i) !== tag) return false;
  return size >= 8 && size < 10_000;
}

/** Allocates and frees; every second object is freed by whoever finds it in a shared slot. Counts broken ones. */
function hammer(cpu: Cpu, { steps, shared, words }: MmRole): number {
  let broken = 0;
  for (let i = 0; i < steps; i++) {
    const size = 8 + (cpu.random32() % (cpu.random32() % 16 === 0 ? 5000 : 250));
    const p = kmalloc(cpu, size, GFP_KERNEL);
    if (p === 0) continue;
    cpu.mem.memset(p, cpu.random32() & 0xff, size);
    cpu.mem.write(p, size);
    const other = (i & 1) === 0 ? p : cpu.mem.exchange(shared + 4 * (cpu.random32() % words), p);
    if (other === 0) continue;
    if (!is_intact(cpu, other)) broken++;
    kfree(cpu, other);
  }
  return broken;
}

/** Frees everything in the shared words, at the same time as others do. */
function free_all(cpu: Cpu, { shared, words }: MmRole): number {
  cpu.mem.fetchAdd(shared, 1);
  while (cpu.mem.loadAcquire(shared) < 2) cpu.mem.pause();
  for (let i = 1; i < words; i++) kfree(cpu, cpu.mem.read(shared + 4 * i));
  return 0;
}

/** Counts its failures of an armed fault. */
function fail_slab(cpu: Cpu, { steps }: MmRole): number {
  let failures = 0;
  for (let i = 0; i < steps; i++) if (should_fail(cpu, FAULT_SLAB)) failures++;
  return failures;
}

/** Logs `steps` records, and names a site equal in all threads. */
function log(cpu: Cpu, { steps, id }: MmRole): number {
  for (let i = 0; i < steps; i++) printk(cpu, 1, `cpu ${id} line ${i} ${"x".repeat(i % 50)}`);
  return caller_site(cpu);
}

const ROLES = { hammer, free_all, fail_slab, log };

const role = workerData as MmRole | undefined;
if (role !== undefined && parentPort !== null) {
  parentPort.postMessage(ROLES[role.role](join_bare(role.parts, role.id), role));
}
