/**
 * Task work (kernel/task_work.c): callbacks that a task runs itself, at its next return to user mode or when
 * an interruptible sleep is broken for it.
 *
 * A callback_head is { next, func }. Anyone pushes; only the task takes the list. FIFO.
 */
import type { Ptr } from "atomics-sync";
import { symbol_call, type SymbolId } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { llist_add, llist_del_all, llist_empty, llist_reverse_order } from "../mm/llist.ts";
import type { Cpu } from "./cpu.ts";
import {
  clear_thread_flag,
  current_task,
  kick_task,
  set_tsk_thread_flag,
  task_works_head,
  type TaskPtr,
  TIF_NOTIFY_SIGNAL,
} from "./task.ts";

export type CallbackHeadPtr = Ptr<"callback_head">;

export const CALLBACK_HEAD_SIZE = 8;
const NEXT = 0;
const FUNC = 4;

struct_layout("callback_head", CALLBACK_HEAD_SIZE, [
  ["next", NEXT, 4],
  ["func", FUNC, 4],
]);

export function init_task_work(cpu: Cpu, work: CallbackHeadPtr, func: SymbolId): void {
  cpu.mem.write(work + FUNC, func);
}

/** Queues `func(cpu, work)` to run in `task` and breaks its interruptible sleep (TWA_SIGNAL). */
export function task_work_add(cpu: Cpu, task: TaskPtr, work: CallbackHeadPtr): void {
  llist_add(cpu, task_works_head(task), work, NEXT);
  set_tsk_thread_flag(cpu, task, TIF_NOTIFY_SIGNAL);
  kick_task(cpu, task);
}

export function task_work_pending(cpu: Cpu): boolean {
  return !llist_empty(cpu, task_works_head(current_task(cpu)));
}

/** Runs all pending works of the running task, oldest first, until none is left. True if there were any. */
export function task_work_run(cpu: Cpu): boolean {
  const head = task_works_head(current_task(cpu));
  let ran = false;
  for (;;) {
    if (llist_empty(cpu, head)) return ran;
    // The flag goes first: a work added after the take sets it again.
    clear_thread_flag(cpu, TIF_NOTIFY_SIGNAL);
    let work = llist_reverse_order(cpu, llist_del_all(cpu, head), NEXT);
    while (work !== 0) {
      const next = cpu.mem.read(work + NEXT);
      symbol_call(cpu, cpu.mem.read(work + FUNC), work);
      work = next;
      ran = true;
    }
  }
}
