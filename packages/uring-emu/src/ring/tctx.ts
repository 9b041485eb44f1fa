/**
 * struct io_uring_task (io_uring/tctx.c): what a task that uses io_uring owns, over all its rings: the
 * requests whose completion it has yet to run.
 *
 * A completion may come from anywhere: the task's own interrupt, another CPU's, an io-wq worker. The request
 * goes onto one of two lists:
 *   local   completed on the task's own CPU. Only that thread touches the list, so plain words do: no atomic
 *           operation an I/O.
 *   shared  completed elsewhere: a lock-free stack, and one task work a batch.
 *
 * STATE says what the task is doing, to its own interrupts: in user mode they must queue task work; inside
 * io_uring code they need not, it looks at the lists before it returns or sleeps; asleep in io_cqring_wait
 * they make it runnable.
 */
import { kernel_initcall, percpu_static, type SymbolId } from "@ringside/core/debug/image";
import { struct_layout } from "@ringside/core/debug/layout";
import { llist_add, llist_del_all, llist_reverse_order } from "@ringside/core/mm/llist";
import { nr_cpu_ids, per_cpu_ptr, this_cpu_ptr, type Cpu } from "@ringside/core/sched/cpu";
import { set_current_state, task_of_cpu, TASK_RUNNING, type TaskPtr } from "@ringside/core/sched/task";
import {
  CALLBACK_HEAD_SIZE,
  type CallbackHeadPtr,
  init_task_work,
  task_work_add,
  task_work_pending,
} from "@ringside/core/sched/task-work";
import type { Ptr } from "atomics-sync";
import { REQ_REFS, REQ_TCTX, REQ_TW_NEXT, type ReqPtr } from "./req.ts";

export type TctxPtr = Ptr<"io_uring_task">;

// The task's own thread only:
const LOCAL_FIRST = 0;
const LOCAL_LAST = 4;
const STATE = 8;
// Constant:
const TASK = 12;
// Anyone; LIST by compareExchange and exchange, QUEUED by exchange:
const LIST = 128;
/** The callback is on the task's list of works. */
const QUEUED = 132;
const CALLBACK = 136;
const TCTX_SIZE = 256;

struct_layout("io_uring_task", TCTX_SIZE, [
  ["local_list.first", LOCAL_FIRST, 4],
  ["local_list.last", LOCAL_LAST, 4],
  ["state", STATE, 4],
  ["task", TASK, 4],
  ["task_list", LIST, 4],
  ["queued", QUEUED, 4],
  ["task_work", CALLBACK, CALLBACK_HEAD_SIZE],
]);

export const TCTX_USER = 0;
export const TCTX_IN_RING = 1;
export const TCTX_WAITING = 2;

const TCTX = percpu_static("io_uring_task", TCTX_SIZE);

const OF_TASK = REQ_TCTX;
const NEXT = REQ_TW_NEXT;
const REFS = REQ_REFS;
const WAITING = TCTX_WAITING;
const USER = TCTX_USER;
const RUNNING = TASK_RUNNING;

kernel_initcall(io_uring_tctx_init);
function io_uring_tctx_init(cpu: Cpu): void {
  for (let id = 0; id < nr_cpu_ids(cpu); id++) {
    cpu.mem.write(per_cpu_ptr(cpu, TCTX, id) + TASK, task_of_cpu(cpu, id));
  }
}

export function current_tctx(cpu: Cpu): TctxPtr {
  return this_cpu_ptr(cpu, TCTX) as TctxPtr;
}

/** The function `func(cpu, work)` runs the lists; ring/task-work.ts. */
export function tctx_callback_init(cpu: Cpu, func: SymbolId): void {
  for (let id = 0; id < nr_cpu_ids(cpu); id++) {
    init_task_work(cpu, (per_cpu_ptr(cpu, TCTX, id) + CALLBACK) as CallbackHeadPtr, func);
  }
}

/** Sets what the task is doing; returns what it did before. */
export function tctx_set_state(cpu: Cpu, state: number): number {
  const word = this_cpu_ptr(cpu, TCTX) + STATE;
  const before = cpu.mem.read(word);
  cpu.mem.write(word, state);
  return before;
}

/** Hands a completed request to its task. Any context; do not touch the request afterwards. */
export function io_req_task_work_add(cpu: Cpu, req: ReqPtr): void {
  // Issued by a worker: the later of completion and worker goes on, or the file's operation could still be
  // running on a request that is recycled.
  if (cpu.mem.readOnce(req + REFS) !== 0 && cpu.mem.fetchSub(req + REFS, 1) !== 1) return;
  const tctx = cpu.mem.read(req + OF_TASK);
  if (tctx === this_cpu_ptr(cpu, TCTX)) add_local(cpu, tctx, req);
  else add_shared(cpu, tctx, req);
}

function add_local(cpu: Cpu, tctx: number, req: ReqPtr): void {
  const mem = cpu.mem;
  mem.write(req + NEXT, 0);
  if (mem.read(tctx + LOCAL_FIRST) !== 0) {
    mem.write(mem.read(tctx + LOCAL_LAST) + NEXT, req);
    mem.write(tctx + LOCAL_LAST, req);
    return;
  }
  mem.write(tctx + LOCAL_FIRST, req);
  mem.write(tctx + LOCAL_LAST, req);
  const state = mem.read(tctx + STATE);
  // We are this task, in its interrupt: it sleeps in schedule() right below us and tests its state next.
  if (state === WAITING) set_current_state(cpu, RUNNING);
  else if (state === USER) queue_callback(cpu, tctx);
}

function add_shared(cpu: Cpu, tctx: number, req: ReqPtr): void {
  // Not empty: whoever made it so has queued, or is about to queue, the callback.
  if (llist_add(cpu, tctx + LIST, req, NEXT)) queue_callback(cpu, tctx);
}

function queue_callback(cpu: Cpu, tctx: number): void {
  // Pairs with the storeRelease in tctx_unqueue, which comes before the runner takes the lists: either it
  // takes what we just pushed, or we find 0 here and queue again. Otherwise the request would lie forever.
  if (cpu.mem.exchange(tctx + QUEUED, 1) !== 0) return;
  task_work_add(cpu, cpu.mem.read(tctx + TASK) as TaskPtr, (tctx + CALLBACK) as CallbackHeadPtr);
}

/** Of this task: the callback runs now. */
export function tctx_unqueue(cpu: Cpu): void {
  cpu.mem.storeRelease(this_cpu_ptr(cpu, TCTX) + QUEUED, 0);
}

/** Of this task: is there anything to run? */
export function tctx_work_pending(cpu: Cpu): boolean {
  return cpu.mem.read(this_cpu_ptr(cpu, TCTX) + LOCAL_FIRST) !== 0 || task_work_pending(cpu);
}

/** Of this task: the local list, oldest first; 0 when empty. */
export function tctx_take_local(cpu: Cpu): ReqPtr {
  const tctx = this_cpu_ptr(cpu, TCTX);
  const first = cpu.mem.read(tctx + LOCAL_FIRST);
  cpu.mem.write(tctx + LOCAL_FIRST, 0);
  return first as ReqPtr;
}

/** The shared list of any task, oldest first; 0 when empty. */
export function tctx_take_shared(cpu: Cpu, tctx: TctxPtr): ReqPtr {
  return llist_reverse_order(cpu, llist_del_all(cpu, tctx + LIST), NEXT) as ReqPtr;
}

export function tctx_of_cpu(cpu: Cpu, id: number): TctxPtr {
  return per_cpu_ptr(cpu, TCTX, id) as TctxPtr;
}
