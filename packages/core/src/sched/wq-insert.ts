/**
 * queue_work (kernel/workqueue.c): how a work gets onto a pool.
 *
 * A work is queued on the pool of the CPU asked for, unless it still runs on another pool for the same queue: then
 * it goes there, to the worker that runs it, and so never runs twice at the same time.
 */
import { type SymbolId, symbol_name } from "../debug/image.ts";
import { WARN_ON, WARN_ON_ONCE, WARN_ONCE } from "../debug/warn.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import { list_empty } from "../mm/list.ts";
import type { Cpu } from "./cpu.ts";
import { WORKER_CURRENT_PWQ } from "./wq-idle.ts";
import { find_executing_worker } from "./wq-pool.ts";
import { PWQ_POOL, pwq_queue, PWQ_WQ } from "./wq-pwq.ts";
import {
  __WQ_DESTROYING,
  __WQ_DRAINING,
  __WQ_ORDERED,
  current_pwq,
  wq_flags,
  wq_name,
  wq_pwq,
} from "./wq-queue.ts";
import {
  offq_disable_depth,
  offq_pool,
  ran_elsewhere,
  set_work_data,
  WORK_DATA,
  WORK_ENTRY,
  WORK_FUNC,
  WORK_OFFQ_DROPPED,
  WORK_STRUCT_PENDING,
  work_claim,
  type WorkPtr,
  type WorkqueuePtr,
} from "./wq-work.ts";
import { POOL_ID, POOL_LOCK, raw_smp_processor_id, WORK_CPU_UNBOUND } from "./wq-worker.ts";

/** Queues a work on this CPU. True iff this call made it pending; false: it is pending already and will still run. */
export function queue_work(cpu: Cpu, wq: WorkqueuePtr, work: WorkPtr | number): boolean {
  return queue_work_on(cpu, WORK_CPU_UNBOUND, wq, work);
}

/** As queue_work, on CPU `id` if the queue is bound; WORK_CPU_UNBOUND: this one. */
export function queue_work_on(cpu: Cpu, id: number, wq: WorkqueuePtr, work: WorkPtr | number): boolean {
  if (!work_claim_enabled(cpu, work)) return false;
  __queue_work(cpu, id, wq, work);
  return true;
}

/** Takes PENDING unless another has it or the work is disabled. */
export function work_claim_enabled(cpu: Cpu, work: number): boolean {
  const old = work_claim(cpu, work);
  if ((old & WORK_STRUCT_PENDING) !== 0) return false;
  if (offq_disable_depth(old) === 0) return true;
  set_work_data(cpu, work, old);
  return false;
}

/** is_chained_work(): the running task executes a work of `wq`. */
export function is_chained_work(cpu: Cpu, wq: number): boolean {
  const pwq = current_pwq(cpu);
  return pwq !== 0 && cpu.mem.read(pwq + PWQ_WQ) === wq;
}

/** Puts a work whose PENDING the caller has set onto the queue. */
export function __queue_work(cpu: Cpu, id: number, wq: WorkqueuePtr, work: WorkPtr | number): void {
  const flags = wq_flags(cpu, wq);
  if ((flags & (__WQ_DRAINING | __WQ_DESTROYING)) !== 0 && !is_chained_work(cpu, wq)) {
    warn_cannot_queue(cpu, wq, cpu.mem.read(work + WORK_FUNC));
    // As in Linux the item stays PENDING; the mark lets a later cancel get it back instead of spinning for ever.
    cpu.mem.fetchOr(work + WORK_DATA, WORK_OFFQ_DROPPED);
    return;
  }
  const wanted = wq_pwq(cpu, wq, id === WORK_CPU_UNBOUND ? raw_smp_processor_id(cpu) : checked_cpu(cpu, id));
  const pwq = lock_pwq_for(cpu, wq, flags, work, wanted);
  const pool = cpu.mem.read(pwq + PWQ_POOL);
  if (!WARN_ON(cpu, !list_empty(cpu, work + WORK_ENTRY))) pwq_queue(cpu, pwq, pool, work);
  spin_unlock_irqrestore(cpu, pool + POOL_LOCK);
}

/** `wanted`, or the pwq the work runs on now; its pool is locked. */
function lock_pwq_for(cpu: Cpu, wq: WorkqueuePtr, flags: number, work: number, wanted: number): number {
  const pool = cpu.mem.read(wanted + PWQ_POOL);
  const data = cpu.mem.readOnce(work + WORK_DATA);
  // Ordered queues have one pool anyway; nothing may take a work past that order.
  if (ran_elsewhere(data, cpu.mem.read(pool + POOL_ID)) && (flags & __WQ_ORDERED) === 0) {
    const last = offq_pool(cpu, data);
    spin_lock_irqsave(cpu, last + POOL_LOCK);
    const worker = find_executing_worker(cpu, last, work);
    const running = worker === 0 ? 0 : cpu.mem.read(worker + WORKER_CURRENT_PWQ);
    if (running !== 0 && cpu.mem.read(running + PWQ_WQ) === wq) return running;
    spin_unlock_irqrestore(cpu, last + POOL_LOCK);
  }
  spin_lock_irqsave(cpu, pool + POOL_LOCK);
  return wanted;
}

function checked_cpu(cpu: Cpu, id: number): number {
  return WARN_ON_ONCE(cpu, id < 0 || id >= cpu.config.cpus) ? 0 : id;
}

function warn_cannot_queue(cpu: Cpu, wq: number, func: SymbolId): void {
  WARN_ONCE(cpu, true, `workqueue: cannot queue ${symbol_name(func)} on wq ${wq_name(cpu, wq)}`);
}
