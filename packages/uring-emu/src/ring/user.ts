/** What user mode may point to: access_ok, for addresses that come in 64-bit ABI structs. */
import type { Cpu } from "@ringside/core/sched/cpu";
import { PAGE_SIZE } from "@ringside/core/mm/memory-map";

/** May the kernel read and write `bytes` at user address `p`? `align`: the structs here hold words. */
export function access_ok(cpu: Cpu, p: number, bytes: number, align: number): boolean {
  return p >= PAGE_SIZE && p + bytes <= cpu.mem.size && p % align === 0;
}
