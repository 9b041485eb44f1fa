/**
 * Interrupts as messages (MSI): a device sets a bit in the CPU's pending word and kicks it; the CPU runs the
 * handler at its next safe point (schedule, cond_resched, the idle loop), never with a spinlock held and
 * never nested.
 *
 * Interface: request_irq on the driver side, irq_raise on the device side, irq_poll at safe points.
 */
import { path_count, PATH_INTERRUPTS } from "../debug/path-counters.ts";
import { percpu_static, symbol_call, type SymbolId } from "../debug/image.ts";
import { type Cpu, per_cpu_ptr, this_cpu_ptr } from "./cpu.ts";
import { irq_pending_word, kick_task, task_of_cpu } from "./task.ts";
import { rcu_irq_enter, rcu_irq_exit } from "../rcu/qs.ts";

/** Vectors per CPU: those of devices, then one with which a CPU interrupts itself. */
export const IRQ_VECTORS = 9;
/** For irq-work.ts. */
export const IRQ_WORK_VECTOR = 8;

/** Per vector { handler, data }. Guarded by: written while the device is quiet. */
const IRQ_TABLE = percpu_static("irq_table", IRQ_VECTORS * 8);
const INTERRUPTS = PATH_INTERRUPTS;
const HANDLER = 0;
const DATA = 4;

function irq_slot(cpu: Cpu, id: number, vector: number): number {
  return per_cpu_ptr(cpu, IRQ_TABLE, id) + vector * 8;
}

/** Installs `handler(cpu, data)` for `vector` (devices: 0 ... 7) of CPU `id`. */
export function request_irq(cpu: Cpu, id: number, vector: number, handler: SymbolId, data: number): void {
  cpu.mem.write(irq_slot(cpu, id, vector) + DATA, data);
  cpu.mem.storeRelease(irq_slot(cpu, id, vector) + HANDLER, handler);
}

/** The handler may still run on its CPU: whoever frees its data waits for a grace period first. */
export function free_irq(cpu: Cpu, id: number, vector: number): void {
  cpu.mem.storeRelease(irq_slot(cpu, id, vector) + HANDLER, 0);
}

/** Raises `vector` on CPU `id`: sets the bit, wakes the CPU if it sleeps. */
export function irq_raise(cpu: Cpu, id: number, vector: number): void {
  const word = irq_pending_word(cpu, id);
  const bit = 1 << vector;
  // Already pending: whoever set it has kicked, and the CPU has not taken it yet.
  if ((cpu.mem.fetchOr(word, bit) & bit) !== 0) return;
  kick_task(cpu, task_of_cpu(cpu, id));
}

export function irq_is_pending(cpu: Cpu): boolean {
  return cpu.mem.loadAcquire(irq_pending_word(cpu, cpu.id)) !== 0;
}

/** Runs the pending handlers of this CPU. True when there were any. */
export function irq_poll(cpu: Cpu): boolean {
  if (cpu.in_irq || cpu.preempt_count !== 0 || !irq_is_pending(cpu)) return false;
  // Pairs with the fetchOr in irq_raise: a bit set after this exchange raises a new interrupt.
  const pending = cpu.mem.exchange(irq_pending_word(cpu, cpu.id), 0);
  path_count(cpu, INTERRUPTS, 1);
  cpu.in_irq = true;
  rcu_irq_enter(cpu);
  for (let vector = 0; vector < IRQ_VECTORS; vector++) {
    if ((pending & (1 << vector)) === 0) continue;
    const slot = this_cpu_ptr(cpu, IRQ_TABLE) + vector * 8;
    const handler = cpu.mem.loadAcquire(slot + HANDLER);
    if (handler !== 0) symbol_call(cpu, handler, cpu.mem.read(slot + DATA));
  }
  rcu_irq_exit(cpu);
  cpu.in_irq = false;
  return true;
}
