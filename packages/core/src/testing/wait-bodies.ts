/** What the CPUs do in wait-threads.test.ts: a signal against a wake-up, and who of several waiters is woken. */
import { kernel_static } from "../debug/image.ts";
import { complete, COMPLETION_SIZE, init_completion, wait_for_completion } from "../sched/completion.ts";
import type { Cpu } from "../sched/cpu.ts";
import { cond_resched, schedule } from "../sched/schedule.ts";
import {
  clear_thread_flag,
  kick_task,
  set_tsk_thread_flag,
  signal_pending,
  task_is_sleeping,
  task_of_cpu,
  TASK_INTERRUPTIBLE,
  TASK_UNINTERRUPTIBLE,
  TIF_SIGPENDING,
} from "../sched/task.ts";
import {
  finish_wait,
  init_waitqueue_head,
  prepare_to_wait_event,
  prepare_to_wait_exclusive,
  WAIT_QUEUE_HEAD_SIZE,
  wait_entry_push,
  wake_up,
  wake_up_all,
} from "../sched/wait.ts";
import { linger, rendezvous, wait_until } from "./rendezvous.ts";

const QUEUE = kernel_static("wait_bodies_queue", WAIT_QUEUE_HEAD_SIZE);
const X = kernel_static("wait_bodies_completion", COMPLETION_SIZE);
const STATE = kernel_static("wait_bodies", 512);
const TOKENS = 0;
const TAKEN = 4;
/** The interruptible waiter has finished its round; it took the token. */
const LEFT = 8;
const TOOK = 12;
const POINT = 128;
const TURN = 256;
const ORDER = 260;

export function set_up(cpu: Cpu): void {
  init_waitqueue_head(cpu, QUEUE);
  init_completion(cpu, X);
}

function take(cpu: Cpu): boolean {
  const tokens = cpu.mem.loadAcquire(STATE + TOKENS);
  if (tokens <= 0 || cpu.mem.compareExchange(STATE + TOKENS, tokens, tokens - 1) !== tokens) return false;
  cpu.mem.fetchAdd(STATE + TAKEN, 1);
  return true;
}

function put(cpu: Cpu): void {
  cpu.mem.fetchAdd(STATE + TOKENS, 1);
}

/**
 * CPU 0: one token, one wake-up, and a signal to CPU 1 at the same time. A token not taken within `lost_ms` is
 * lost. Returns how many were.
 */
export function wake_and_signal(cpu: Cpu, rounds: number, lost_ms: number): number {
  let lost = 0;
  for (let i = 1; i <= rounds; i++) {
    rendezvous(cpu, STATE + POINT, 3);
    linger(cpu, 4000);
    put(cpu);
    const task = task_of_cpu(cpu, 1);
    const wake_first = cpu.random32() % 2 === 0;
    if (wake_first) wake_up(cpu, QUEUE);
    set_tsk_thread_flag(cpu, task, TIF_SIGPENDING);
    kick_task(cpu, task);
    if (!wake_first) wake_up(cpu, QUEUE);
    wait_until(cpu, STATE + LEFT, i);
    const limit = cpu.now() + lost_ms;
    while (cpu.mem.loadAcquire(STATE + TOKENS) > 0 && cpu.now() < limit) cond_resched(cpu);
    if (cpu.mem.loadAcquire(STATE + TOKENS) > 0) lost++;
    // Whoever still waits gets a token of its own.
    if (cpu.mem.loadAcquire(STATE + TOOK) === i) put(cpu);
    wake_up_all(cpu, QUEUE);
    rendezvous(cpu, STATE + POINT, 3);
  }
  return lost;
}

/** CPU 1: waits interruptibly, and exclusively, for a token; a signal ends the wait. */
export function wait_interruptibly(cpu: Cpu, rounds: number): void {
  for (let i = 1; i <= rounds; i++) {
    rendezvous(cpu, STATE + POINT, 3);
    leave(cpu, i, wait_right(cpu));
  }
}
/** The same, but the signal is looked at before the token: the classic mistake. */
export function wait_wrongly(cpu: Cpu, rounds: number): void {
  for (let i = 1; i <= rounds; i++) {
    rendezvous(cpu, STATE + POINT, 3);
    leave(cpu, i, wait_wrong(cpu));
  }
}

function leave(cpu: Cpu, round: number, took: boolean): void {
  if (took) cpu.mem.storeRelease(STATE + TOOK, round);
  cpu.mem.storeRelease(STATE + LEFT, round);
  rendezvous(cpu, STATE + POINT, 3);
  clear_thread_flag(cpu, TIF_SIGPENDING);
}

function wait_right(cpu: Cpu): boolean {
  const entry = wait_entry_push(cpu);
  for (;;) {
    const error = prepare_to_wait_event(cpu, QUEUE, entry, TASK_INTERRUPTIBLE, true);
    const took = take(cpu);
    if (!took && error === 0) {
      schedule(cpu);
      continue;
    }
    finish_wait(cpu, QUEUE, entry);
    return took;
  }
}
function wait_wrong(cpu: Cpu): boolean {
  const entry = wait_entry_push(cpu);
  for (;;) {
    prepare_to_wait_exclusive(cpu, QUEUE, entry, TASK_INTERRUPTIBLE);
    const interrupted = signal_pending(cpu);
    const took = !interrupted && take(cpu);
    if (!took && !interrupted) {
      schedule(cpu);
      continue;
    }
    finish_wait(cpu, QUEUE, entry);
    return took;
  }
}

/** CPU 2: waits exclusively, and for as long as it takes. */
export function wait_patiently(cpu: Cpu, rounds: number): void {
  for (let i = 1; i <= rounds; i++) {
    rendezvous(cpu, STATE + POINT, 3);
    const entry = wait_entry_push(cpu);
    for (;;) {
      prepare_to_wait_exclusive(cpu, QUEUE, entry, TASK_UNINTERRUPTIBLE);
      if (take(cpu)) break;
      schedule(cpu);
    }
    finish_wait(cpu, QUEUE, entry);
    rendezvous(cpu, STATE + POINT, 3);
  }
}

/** CPU 0 lets the others wait one after the other, then completes once for each. Returns those out of turn. */
export function complete_in_turn(cpu: Cpu, rounds: number): number {
  const waiters = cpu.config.cpus - 1;
  let wrong = 0;
  for (let round = 0; round < rounds; round++) {
    for (let id = 1; id <= waiters; id++) {
      cpu.mem.storeRelease(STATE + TURN, round * 8 + id);
      while (!task_is_sleeping(cpu, task_of_cpu(cpu, id)) || cpu.mem.loadAcquire(STATE + TURN) !== -1)
        cond_resched(cpu);
    }
    for (let id = 1; id <= waiters; id++) {
      cpu.mem.storeRelease(STATE + ORDER, 0);
      complete(cpu, X);
      wait_until(cpu, STATE + ORDER, 1);
      if (cpu.mem.loadAcquire(STATE + ORDER) !== id) wrong++;
    }
  }
  cpu.mem.storeRelease(STATE + TURN, 0x7fffffff);
  return wrong;
}
export function wait_in_turn(cpu: Cpu, rounds: number): void {
  for (let round = 0; round < rounds; round++) {
    while (cpu.mem.loadAcquire(STATE + TURN) !== round * 8 + cpu.id) {
      cpu.mem.pause();
      cond_resched(cpu);
    }
    cpu.mem.storeRelease(STATE + TURN, -1);
    wait_for_completion(cpu, X);
    cpu.mem.storeRelease(STATE + ORDER, cpu.id);
  }
}
