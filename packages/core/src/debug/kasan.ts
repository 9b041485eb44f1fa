/**
 * KASAN (mm/kasan/report.c): checked memory whose bad accesses become reports in the kernel log.
 *
 * Interface: every thread of a machine with config.kasan makes its Memory with kasan_memory over the one
 * shadow, then its Cpu, then calls kasan_attach(cpu) before it touches memory through kernel code. The boot
 * CPU is attached by mm_init. A report is logged once per (site, object).
 */
import {
  type BadAccess,
  CheckedMemory,
  KASAN_FREE_PAGE,
  KASAN_NULL_PAGE,
  KASAN_OUTSIDE,
  KASAN_PAGE_REDZONE,
  KASAN_SLAB_FREE,
  KASAN_SLAB_REDZONE,
  type Memory,
  type WasmMemory,
  type Shadow,
} from "atomics-sync";
import { kmem_object } from "../mm/slab-report.ts";
import type { Cpu } from "../sched/cpu.ts";
import { LOG_BUG, printk } from "./dmesg.ts";
import { kernel_static } from "./image.ts";
import { access_site, site_text } from "./site.ts";

export { kasan_disable_current, kasan_enable_current, kasan_poison, kasan_unpoison } from "./kasan-poison.ts";

/** One bit per hash of (site, object) reported. */
const REPORTED_BITS = 8192;
const REPORTED = kernel_static("kasan_reported", REPORTED_BITS / 8);

/** Who uses a memory: unknown until its thread has made its Cpu. */
interface Binding {
  cpu: Cpu | undefined;
}

class KasanMemory extends CheckedMemory {
  readonly binding: Binding;

  constructor(wasm: WasmMemory, shadow: Shadow, binding: Binding) {
    super(wasm, shadow, (report) => kasan_report(binding, report));
    this.binding = binding;
  }
}

/** A memory for one thread that checks every access. */
export function kasan_memory(wasm: WasmMemory, shadow: Shadow): Memory {
  return new KasanMemory(wasm, shadow, { cpu: undefined });
}

/** Says whose memory it is, so that reports can be logged. Does nothing for other kinds of memory. */
export function kasan_attach(cpu: Cpu): void {
  if (cpu.mem instanceof KasanMemory) cpu.mem.binding.cpu = cpu;
}

function bug_type(code: number): string {
  switch (code) {
    case KASAN_SLAB_FREE:
      return "slab-use-after-free";
    case KASAN_FREE_PAGE:
      return "use-after-free";
    case KASAN_NULL_PAGE:
      return "null-ptr-deref";
    case KASAN_OUTSIDE:
      return "wild-memory-access";
    case KASAN_SLAB_REDZONE:
    case KASAN_PAGE_REDZONE:
      return "slab-out-of-bounds";
    default:
      return code < 0x80 ? "slab-out-of-bounds" : "invalid-access";
  }
}

/** True the first time for this site and object; two that share a hash share the report. */
function first_report(cpu: Cpu, site: number, object: number): boolean {
  const hash = (Math.imul(site, 0x9e3779b1) ^ Math.imul(object >>> 3, 0x85ebca6b)) >>> 19;
  const bit = 1 << (hash & 31);
  return (cpu.mem.fetchOr(REPORTED + (hash >> 5) * 4, bit) & bit) === 0;
}

function kasan_report(binding: Binding, report: BadAccess): void {
  const { p, bytes, write, code, firstBad } = report;
  const what = `${write ? "Write" : "Read"} of size ${bytes} at addr ${p}`;
  const { cpu } = binding;
  if (cpu === undefined) throw new Error(`BUG: KASAN: ${bug_type(code)}: ${what}, before kasan_attach`);
  const site = access_site(cpu);
  const object = code === KASAN_OUTSIDE ? undefined : kmem_object(cpu, firstBad);
  if (!first_report(cpu, site, object?.address ?? p >>> 12)) return;
  let text = `BUG: KASAN: ${bug_type(code)} in ${site_text(cpu, site)}\n${what} by cpu ${cpu.id}`;
  if (object !== undefined) {
    const { address, size, cache, allocSite, freeSite, generation } = object;
    text += `\nAllocated by: ${allocSite}`;
    if (object.state !== "live") text += `\nFreed by: ${freeSite}`;
    text += `\n${p - address} bytes from the start of ${size} bytes at ${address} (${cache} #${generation})`;
  }
  printk(cpu, LOG_BUG, text);
}
