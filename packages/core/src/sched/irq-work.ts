/**
 * irq_work (include/linux/irq_work.h, kernel/irq_work.c): a function to run on this CPU in interrupt context, as soon
 * as interrupts are on. For what a callback under a spinlock must not do itself.
 *
 * In Linux the CPU interrupts itself. Here a queued work runs when the fence's lock that kept interrupts off is
 * dropped (irq_work_tick), else at the CPU's next safe point, as any interrupt: so a CPU that queues under
 * another spinlock calls irq_work_tick after it, or goes through a safe point.
 *
 * Invariants: a work is on one list at most, from irq_work_queue until right before its function runs; the
 * function may free it. Works of a CPU run in the order they were queued, one at a time.
 */
import type { Ptr } from "atomics-sync";
import { kernel_initcall, kernel_symbol, percpu_static, symbol_call, type SymbolId } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { rcu_irq_enter, rcu_irq_exit } from "../rcu/qs.ts";
import { type Cpu, nr_cpu_ids, SOFTIRQ_OFFSET, this_cpu_ptr } from "./cpu.ts";
import { irq_raise, IRQ_WORK_VECTOR, request_irq } from "./irq.ts";

export type IrqWorkPtr = Ptr<"irq_work">;

/** Link; owned by the CPU that has it queued. */
const NEXT = 0;
/** Atomic: who sets PENDING queues. */
const FLAGS = 4;
const FUNC = 8;
export const IRQ_WORK_SIZE = 12;

const IRQ_WORK_PENDING = 1;

struct_layout("irq_work", IRQ_WORK_SIZE, [
  ["next", NEXT, 4],
  ["flags", FLAGS, 4],
  ["func", FUNC, 4],
]);

/** First and last queued work of the CPU; only it touches them, and no interrupt comes in between. */
const RAISED_LIST = percpu_static("irq_work_raised_list", 8);
const FIRST = 0;
const LAST = 4;

/** `func(cpu, work)` runs in interrupt context. */
export function init_irq_work(cpu: Cpu, work: number, func: SymbolId): void {
  cpu.mem.write(work + NEXT, 0);
  cpu.mem.writeOnce(work + FLAGS, 0);
  cpu.mem.write(work + FUNC, func);
}

/** Queues the work on this CPU. False when it is queued already. */
export function irq_work_queue(cpu: Cpu, work: number): boolean {
  if ((cpu.mem.fetchOr(work + FLAGS, IRQ_WORK_PENDING) & IRQ_WORK_PENDING) !== 0) return false;
  const list = this_cpu_ptr(cpu, RAISED_LIST);
  const last = cpu.mem.read(list + LAST);
  cpu.mem.write(work + NEXT, 0);
  cpu.mem.write(last === 0 ? list + FIRST : last + NEXT, work);
  cpu.mem.write(list + LAST, work);
  if (last === 0) irq_raise(cpu, cpu.id, IRQ_WORK_VECTOR);
  return true;
}

/** Interrupts may have come on again: runs what is queued. One load when there is nothing. */
export function irq_work_tick(cpu: Cpu): void {
  if (cpu.mem.read(this_cpu_ptr(cpu, RAISED_LIST) + FIRST) === 0) return;
  if (cpu.in_irq || (cpu.preempt_count & (SOFTIRQ_OFFSET - 1)) !== 0) return;
  cpu.in_irq = true;
  rcu_irq_enter(cpu);
  irq_work_run(cpu);
  rcu_irq_exit(cpu);
  cpu.in_irq = false;
}

/** The interrupt: runs all works of this CPU, also those that come meanwhile. */
function irq_work_run(cpu: Cpu): void {
  const list = this_cpu_ptr(cpu, RAISED_LIST);
  let work = cpu.mem.read(list + FIRST);
  while (work !== 0) {
    const next = cpu.mem.read(work + NEXT);
    cpu.mem.write(list + FIRST, next);
    if (next === 0) cpu.mem.write(list + LAST, 0);
    const func = cpu.mem.read(work + FUNC);
    // From here on it may be queued again, and from the call on it may be gone.
    cpu.mem.fetchAnd(work + FLAGS, ~IRQ_WORK_PENDING);
    symbol_call(cpu, func, work);
    work = cpu.mem.read(list + FIRST);
  }
}

const IRQ_WORK_RUN = kernel_symbol(irq_work_run);

kernel_initcall(irq_work_init);
function irq_work_init(cpu: Cpu): void {
  for (let id = 0; id < nr_cpu_ids(cpu); id++) request_irq(cpu, id, IRQ_WORK_VECTOR, IRQ_WORK_RUN, 0);
}
