/**
 * The allocator of VRAM pages: a stack of free pages, the one freed last handed out first.
 *
 * A freed page is filled with VRAM_POISON, and one whose filling changed is reported when it is handed out
 * or at shutdown: somebody did DMA to a place a buffer had moved away from.
 *
 * Interface: vram_page_alloc, vram_page_free; both may be called in any context.
 */
import { kernel_exitcall, kernel_initcall, kernel_static } from "../../debug/image.ts";
import { struct_layout } from "../../debug/layout.ts";
import { violation, WARN } from "../../debug/warn.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../../lock/spinlock.ts";
import { PAGE_SIZE } from "../../mm/memory-map.ts";
import { alloc_pages_exact, free_pages_exact } from "../../mm/page-alloc.ts";
import { GFP_KERNEL } from "../../mm/slab.ts";
import type { Cpu } from "../../sched/cpu.ts";

/** Contents of a free VRAM page. */
export const VRAM_POISON = 0xdf;

// Constant after boot:
const STACK = 0;
const POISON_CRC = 4;
// Guarded by LOCK:
const LOCK = 128;
/** Free pages on the stack. */
const FREE = 132;
/** Pages from here to the end were never used. */
const FRESH = 136;
const VRAM_ZONE_SIZE = 256;
const ZONE = kernel_static("vram_zone", VRAM_ZONE_SIZE);

struct_layout("vram_zone", VRAM_ZONE_SIZE, [
  ["stack", STACK, 4],
  ["poison_crc", POISON_CRC, 4],
  ["lock", LOCK, 4],
  ["free", FREE, 4],
  ["fresh", FRESH, 4],
]);

function vram_init(cpu: Cpu): void {
  const { vram, vram_end } = cpu.map;
  cpu.mem.write(ZONE + FRESH, vram);
  if (vram === vram_end) return;
  cpu.mem.write(ZONE + STACK, alloc_pages_exact(cpu, ((vram_end - vram) / PAGE_SIZE) * 4, GFP_KERNEL));
  cpu.mem.memset(vram, VRAM_POISON, PAGE_SIZE);
  cpu.mem.write(ZONE + POISON_CRC, cpu.mem.crc32c(vram, PAGE_SIZE));
  cpu.mem.memset(vram, 0, PAGE_SIZE);
}
kernel_initcall(vram_init);

function vram_exit(cpu: Cpu): void {
  const { vram, vram_end } = cpu.map;
  const used = vram_pages_used(cpu);
  WARN(cpu, used !== 0, `vram: ${used} pages are still allocated`);
  const free = cpu.mem.read(ZONE + FREE);
  for (let i = 0; i < free; i++) check_poison(cpu, cpu.mem.read(cpu.mem.read(ZONE + STACK) + 4 * i));
  free_pages_exact(cpu, cpu.mem.read(ZONE + STACK), ((vram_end - vram) / PAGE_SIZE) * 4);
  cpu.mem.write(ZONE + STACK, 0);
}
kernel_exitcall(vram_exit);

/** A page of VRAM, contents undefined; 0 when all are in use. */
export function vram_page_alloc(cpu: Cpu): number {
  let page = 0;
  let used_before = true;
  spin_lock_irqsave(cpu, ZONE + LOCK);
  const free = cpu.mem.read(ZONE + FREE);
  const fresh = cpu.mem.read(ZONE + FRESH);
  if (free > 0) {
    page = cpu.mem.read(cpu.mem.read(ZONE + STACK) + 4 * (free - 1));
    cpu.mem.write(ZONE + FREE, free - 1);
  } else if (fresh < cpu.map.vram_end && cpu.mem.read(ZONE + STACK) !== 0) {
    page = fresh;
    used_before = false;
    cpu.mem.write(ZONE + FRESH, fresh + PAGE_SIZE);
  }
  spin_unlock_irqrestore(cpu, ZONE + LOCK);
  if (page !== 0 && used_before) check_poison(cpu, page);
  return page;
}

export function vram_page_free(cpu: Cpu, page: number): void {
  cpu.mem.memset(page, VRAM_POISON, PAGE_SIZE);
  spin_lock_irqsave(cpu, ZONE + LOCK);
  const free = cpu.mem.read(ZONE + FREE);
  cpu.mem.write(cpu.mem.read(ZONE + STACK) + 4 * free, page);
  cpu.mem.write(ZONE + FREE, free + 1);
  spin_unlock_irqrestore(cpu, ZONE + LOCK);
}

/** Pages handed out and not given back. */
export function vram_pages_used(cpu: Cpu): number {
  const ever = (cpu.mem.readOnce(ZONE + FRESH) - cpu.map.vram) / PAGE_SIZE;
  return ever - cpu.mem.readOnce(ZONE + FREE);
}

function check_poison(cpu: Cpu, page: number): void {
  if ((cpu.mem.crc32c(page, PAGE_SIZE) | 0) === cpu.mem.read(ZONE + POISON_CRC)) return;
  let at = page;
  while (cpu.mem.read8(at) === VRAM_POISON) at++;
  const value = cpu.mem.read8(at).toString(16);
  violation(
    cpu,
    "vram-use-after-free",
    `0x${value} at ${at} in VRAM page ${page}, written after it was freed`,
  );
}
