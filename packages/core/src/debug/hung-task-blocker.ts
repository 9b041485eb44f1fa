/**
 * What a task waits for, in words, and who could end it: the second half of debug/hung-task.ts. Reads shared memory
 * only, without locks, while everything may change: loops are bounded, pointers are checked before they are followed.
 */
import {
  dma_fence_context,
  dma_fence_driver_name,
  dma_fence_ops,
  dma_fence_seqno,
  dma_fence_timeline_name,
  type DmaFencePtr,
} from "../dma/fence-struct.ts";
import { class_name } from "../lock/lockdep-class.ts";
import {
  HELD_ACQUIRED,
  HELD_ADDRESS,
  held_at_of,
  held_depth_of,
  HELD_CLASS,
  HELD_FLAGS,
  held_site_of,
} from "../lock/lockdep-held.ts";
import { mutex_owner } from "../lock/mutex.ts";
import { list_next } from "../mm/list.ts";
import { rcu_cpu_passed, rcu_gps_started } from "../rcu/qs.ts";
import { data_of, percpu_ref_is_dying, type PercpuRefPtr, RELEASE } from "../ref/percpu-ref-count.ts";
import {
  BLOCKER_COMPLETION,
  BLOCKER_FENCE,
  BLOCKER_GRACE_PERIOD,
  BLOCKER_MUTEX,
  BLOCKER_PERCPU_REF,
  BLOCKER_SPINLOCK,
  BLOCKER_WAITQUEUE,
  BLOCKER_WORK,
  BLOCKER_WORKQUEUE,
  hung_task_blocker,
  hung_task_blocker_type,
} from "../sched/blocker.ts";
import { type Cpu, nr_cpu_ids } from "../sched/cpu.ts";
import { task_cpu, type TaskPtr } from "../sched/task.ts";
import { WORKER_CURRENT_FUNC, WORKER_CURRENT_WORK, WORKER_ENTRY, WORKER_TASK } from "../sched/wq-idle.ts";
import { wq_name } from "../sched/wq-queue.ts";
import { WORK_FUNC } from "../sched/wq-work.ts";
import { nr_worker_pools, POOL_BUSY_LIST, worker_pool } from "../sched/wq-worker.ts";
import { STATIC_LIMIT, symbol_name } from "./image.ts";
import { site_text } from "./site.ts";

/** Workers looked at in one pool: more is a list that changes under our eyes. */
const WORKERS_MAX = 128;

function hex(p: number): string {
  return `0x${p.toString(16).padStart(8, "0")}`;
}

/** A word of kernel data lies here. */
function is_pointer(cpu: Cpu, p: number): boolean {
  return p > 0 && p < cpu.map.pages_end && (p & 3) === 0;
}

/** "mutex 0x0001a2c0 (&lock)": what thread `id` says it waits for; "" when it says nothing. */
export function blocker_text(cpu: Cpu, id: number): string {
  const p = hung_task_blocker(cpu, id);
  if (!is_pointer(cpu, p)) return "";
  switch (hung_task_blocker_type(cpu, id)) {
    case BLOCKER_MUTEX:
      return `mutex ${hex(p)}${lock_text(cpu, id, p)}`;
    case BLOCKER_SPINLOCK:
      return `spinlock ${hex(p)}${lock_text(cpu, id, p)}`;
    case BLOCKER_COMPLETION:
      return `completion ${hex(p)}`;
    case BLOCKER_FENCE:
      return `fence ${fence_text(cpu, p as DmaFencePtr)}`;
    case BLOCKER_WORK:
      return `work ${hex(p)} ${symbol_name(cpu.mem.readOnce(p + WORK_FUNC))}`;
    case BLOCKER_WORKQUEUE:
      return `workqueue ${wq_name(cpu, p)}`;
    case BLOCKER_GRACE_PERIOD:
      return `an RCU grace period, not passed by ${readers_text(cpu)}`;
    case BLOCKER_PERCPU_REF:
      return `percpu_ref ${ref_text(cpu, p as PercpuRefPtr)}`;
    case BLOCKER_WAITQUEUE:
      return `wait queue ${hex(p)}`;
    default:
      return "";
  }
}

/** " (&lock) at function file:line" of a lock that thread `id` is acquiring, as lockdep knows it. */
function lock_text(cpu: Cpu, id: number, lock: number): string {
  if (!cpu.lockdep) return "";
  for (let i = held_depth_of(cpu, id) - 1; i >= 0; i--) {
    const entry = held_at_of(cpu, id, i);
    if (cpu.mem.read(entry + HELD_ADDRESS) !== lock) continue;
    const name = class_name(cpu, cpu.mem.read(entry + HELD_CLASS));
    return ` (${name}) at ${site_text(cpu, held_site_of(cpu, entry))}`;
  }
  return "";
}

function fence_text(cpu: Cpu, fence: DmaFencePtr): string {
  // A look at the wrong moment: this is no fence any more.
  if (dma_fence_ops(cpu, fence) >= STATIC_LIMIT) return hex(fence);
  const names = `${dma_fence_driver_name(cpu, fence)}:${dma_fence_timeline_name(cpu, fence)}`;
  return `${names}:${dma_fence_context(cpu, fence)}:${dma_fence_seqno(cpu, fence)} at ${hex(fence)}`;
}

function ref_text(cpu: Cpu, ref: PercpuRefPtr): string {
  const data = data_of(cpu, ref);
  const release = is_pointer(cpu, data) ? symbol_name(cpu.mem.readOnce(data + RELEASE)) : "none";
  return `${hex(ref)} (release ${release}, ${percpu_ref_is_dying(cpu, ref) ? "killed" : "live"})`;
}

function readers_text(cpu: Cpu): string {
  const ids = cpus_in_reader(cpu);
  return ids.length === 0 ? "nobody" : `CPU ${ids.join(", ")}`;
}

/** CPUs the grace period in progress waits for. */
function cpus_in_reader(cpu: Cpu): number[] {
  const sequence = rcu_gps_started(cpu) * 2 + 1;
  const ids: number[] = [];
  for (let id = 0; id < nr_cpu_ids(cpu); id++) if (!rcu_cpu_passed(cpu, id, sequence)) ids.push(id);
  return ids;
}

/** The thread that could end the wait of thread `id`; -1 if nobody in particular. */
export function blocker_owner(cpu: Cpu, id: number): number {
  const p = hung_task_blocker(cpu, id);
  if (!is_pointer(cpu, p)) return -1;
  switch (hung_task_blocker_type(cpu, id)) {
    case BLOCKER_MUTEX:
      return task_cpu(cpu, mutex_owner(cpu, p));
    case BLOCKER_SPINLOCK:
      return spinlock_holder(cpu, p);
    case BLOCKER_WORK:
      return work_runner(cpu, p);
    case BLOCKER_GRACE_PERIOD:
      return cpus_in_reader(cpu).find((reader) => reader !== cpu.config.cpus) ?? -1;
    default:
      return -1;
  }
}

/** Only lockdep knows who holds a spinlock. */
function spinlock_holder(cpu: Cpu, lock: number): number {
  if (!cpu.lockdep) return -1;
  for (let id = 0; id <= nr_cpu_ids(cpu); id++) {
    for (let i = held_depth_of(cpu, id) - 1; i >= 0; i--) {
      const entry = held_at_of(cpu, id, i);
      const held = (cpu.mem.read(entry + HELD_FLAGS) & HELD_ACQUIRED) !== 0;
      if (held && cpu.mem.read(entry + HELD_ADDRESS) === lock) return id;
    }
  }
  return -1;
}

/** The thread that runs the work; -1 if none does. */
function work_runner(cpu: Cpu, work: number): number {
  const worker = find_worker(cpu, WORKER_CURRENT_WORK, work);
  return worker === 0 ? -1 : task_cpu(cpu, cpu.mem.readOnce(worker + WORKER_TASK) as TaskPtr);
}

/** The work function that thread with task `task` is in; "" if none. */
export function current_work_text(cpu: Cpu, task: TaskPtr): string {
  const worker = find_worker(cpu, WORKER_TASK, task);
  return worker === 0 ? "" : symbol_name(cpu.mem.readOnce(worker + WORKER_CURRENT_FUNC));
}

/** The busy worker whose word at `offset` is `value`; 0 for none. */
function find_worker(cpu: Cpu, offset: number, value: number): number {
  for (let id = 0; id < nr_worker_pools(cpu); id++) {
    const head = worker_pool(cpu, id) + POOL_BUSY_LIST;
    let node = list_next(cpu, head);
    for (let i = 0; i < WORKERS_MAX && node !== head && is_pointer(cpu, node); i++) {
      if (cpu.mem.readOnce(node - WORKER_ENTRY + offset) === value) return node - WORKER_ENTRY;
      node = list_next(cpu, node);
    }
  }
  return 0;
}
