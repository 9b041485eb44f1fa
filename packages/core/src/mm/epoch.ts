/** The leak epoch: allocations are stamped with it, kmem_mark starts a new one (mm/slab-report.ts). */
import { kernel_static } from "../debug/image.ts";
import type { Cpu } from "../sched/cpu.ts";

/** 0 while booting. */
const EPOCH = kernel_static("mm_epoch", 4);

/** 16 bits, as the records hold it. */
export function mm_epoch(cpu: Cpu): number {
  return cpu.mem.readOnce(EPOCH) & 0xffff;
}

export function mm_next_epoch(cpu: Cpu): void {
  cpu.mem.fetchAdd(EPOCH, 1);
}
