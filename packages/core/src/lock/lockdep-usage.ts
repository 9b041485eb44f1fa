/**
 * How a class is used with interrupts (the {....} of a lock's name): taken in an interrupt or softirq, taken where one
 * may come. A lock used both ways deadlocks when the interrupt comes while its CPU holds the lock.
 *
 * Here interrupts run at safe points only and so never meet a held spinlock; the rule is the kernel's all the same, and
 * code that breaks it would deadlock there. Interrupts are off under spin_lock_irqsave and in an interrupt.
 */
import type { Cpu } from "../sched/cpu.ts";
import { class_at } from "./lockdep-class.ts";
import { HELD_HARDIRQ, HELD_READ, held_site, HELD_SOFTIRQ, HELD_TRYLOCK } from "./lockdep-held.ts";
import { CLASS_USAGE, CLASS_USAGE_SITES } from "./lockdep-layout.ts";

/** Bits of CLASS_USAGE for write acquisitions; << 4 for reads. "In" and "on" are neighbours: bit ^ 1. */
const IN_HARDIRQ = 1;
const HARDIRQ_ON = 2;
const IN_SOFTIRQ = 4;
const SOFTIRQ_ON = 8;
const READ_SHIFT = 4;

const USAGE_NAMES: readonly string[] = ["IN-HARDIRQ", "HARDIRQ-ON", "IN-SOFTIRQ", "SOFTIRQ-ON"];

/** What this acquisition says of its class. */
export function usage_of(cpu: Cpu, flags: number): number {
  const trylock = (flags & HELD_TRYLOCK) !== 0;
  let usage = 0;
  // An interrupt that only tries does not wait for whom it interrupted.
  if ((flags & HELD_HARDIRQ) !== 0) usage = trylock ? 0 : IN_HARDIRQ;
  else if ((flags & HELD_SOFTIRQ) !== 0) usage = trylock ? 0 : IN_SOFTIRQ;
  if ((flags & HELD_HARDIRQ) === 0 && cpu.lock_state.irqs_off === 0) {
    usage |= HARDIRQ_ON;
    if ((flags & HELD_SOFTIRQ) === 0) usage |= SOFTIRQ_ON;
  }
  return (flags & HELD_READ) !== 0 ? usage << READ_SHIFT : usage;
}

/**
 * Adds the usage of entry `i` to its class. 0, or new bit * 256 + the bit it must not meet (bit numbers + 1), the first
 * time the two are there.
 */
export function mark_usage(cpu: Cpu, class_id: number, usage: number, i: number): number {
  const entry = class_at(cpu, class_id);
  if ((cpu.mem.readOnce(entry + CLASS_USAGE) & usage) === usage) return 0;
  const before = cpu.mem.fetchOr(entry + CLASS_USAGE, usage);
  const fresh = usage & ~before;
  const all = before | usage;
  let conflict = 0;
  for (let bit = 0; bit < 2 * READ_SHIFT; bit++) {
    if ((fresh & (1 << bit)) === 0) continue;
    cpu.mem.write(entry + CLASS_USAGE_SITES + bit * 4, held_site(cpu, i));
    const other = conflicting(all, bit);
    if (other >= 0) conflict = (bit + 1) * 256 + other + 1;
  }
  return conflict;
}

/** The usage in `all` that deadlocks with usage `bit`; -1 if there is none. Two readers do not. */
function conflicting(all: number, bit: number): number {
  const opposite = (bit & 3) ^ 1;
  if ((all & (1 << opposite)) !== 0) return opposite;
  const read = opposite + READ_SHIFT;
  return bit < READ_SHIFT && (all & (1 << read)) !== 0 ? read : -1;
}

/** "SOFTIRQ-ON-W" for a bit number. */
export function usage_name(bit: number): string {
  return `${USAGE_NAMES[bit & 3]}-${bit < READ_SHIFT ? "W" : "R"}`;
}

/** Where the class was used so first; a site id. */
export function usage_site(cpu: Cpu, class_id: number, bit: number): number {
  return cpu.mem.read(class_at(cpu, class_id) + CLASS_USAGE_SITES + bit * 4);
}

/** The four characters of a lock's name: hardirq, its reads, softirq, its reads. */
export function usage_text(cpu: Cpu, class_id: number): string {
  const usage = cpu.mem.readOnce(class_at(cpu, class_id) + CLASS_USAGE);
  let text = "";
  for (const shift of [0, READ_SHIFT, 2, 2 + READ_SHIFT]) text += ".-+?"[(usage >> shift) & 3];
  return text;
}
