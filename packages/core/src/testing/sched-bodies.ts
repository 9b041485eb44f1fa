/** What the CPUs do in sched-threads.test.ts: sleeping and waking, timers, task work, interrupts, spinlocks. */
import { kernel_static, kernel_symbol } from "../debug/image.ts";
import { spin_lock, SPINLOCK_SIZE, spin_unlock } from "../lock/spinlock.ts";
import { complete, COMPLETION_SIZE, init_completion, wait_for_completion } from "../sched/completion.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
import { irq_raise, request_irq } from "../sched/irq.ts";
import { cond_resched, schedule, schedule_timeout } from "../sched/schedule.ts";
import {
  set_current_state,
  TASK_INTERRUPTIBLE,
  task_of_cpu,
  TASK_RUNNING,
  TASK_UNINTERRUPTIBLE,
  wake_up_process,
} from "../sched/task.ts";
import { init_task_work, task_work_add, task_work_run } from "../sched/task-work.ts";
import type { CallbackHeadPtr } from "../sched/task-work.ts";
import {
  mod_timer,
  timer_delete,
  timer_delete_sync,
  timer_setup,
  TIMER_SIZE,
  type TimerPtr,
} from "../sched/timer.ts";
import {
  finish_wait,
  init_waitqueue_head,
  prepare_to_wait,
  prepare_to_wait_exclusive,
  WAIT_QUEUE_HEAD_SIZE,
  wait_entry_push,
  wake_up,
  wake_up_all,
} from "../sched/wait.ts";
import { linger, rendezvous } from "./rendezvous.ts";

const POINT = kernel_static("test_point", 4);
const PING = kernel_static("test_ping", COMPLETION_SIZE);
const PONG = kernel_static("test_pong", COMPLETION_SIZE);
const LOCK = kernel_static("test_lock", SPINLOCK_SIZE + 4);
const GUARDED = LOCK + SPINLOCK_SIZE;
const QUEUE = kernel_static("test_queue", WAIT_QUEUE_HEAD_SIZE);
const TOKENS = kernel_static("test_tokens", 4);
const TAKEN = kernel_static("test_taken", 4);
const TIMER = kernel_static("test_timer", TIMER_SIZE) as TimerPtr;
const FREED = kernel_static("test_freed", 4);
const LATE = kernel_static("test_late", 4);
const FIRED = kernel_static("test_fired", 4);
const COUNT = kernel_static("test_count", 4);
/** Per CPU: how far this CPU has come. */
const TURN = kernel_static("test_turn", 64 * 128);

const ON_TIMER = kernel_symbol(on_timer);
const ON_IRQ = kernel_symbol(on_irq);
const ON_TASK_WORK = kernel_symbol(on_task_work);

export function set_up(cpu: Cpu): void {
  init_completion(cpu, PING);
  init_completion(cpu, PONG);
  init_waitqueue_head(cpu, QUEUE);
  timer_setup(cpu, TIMER, ON_TIMER);
}

/** Two CPUs hand the turn back and forth; a lost wake-up would never end. */
export function ping_pong(cpu: Cpu, rounds: number): number {
  const [mine, other] = cpu.id === 0 ? [PING, PONG] : [PONG, PING];
  for (let i = 0; i < rounds; i++) {
    if (cpu.id === 0) complete(cpu, other);
    wait_for_completion(cpu, mine);
    if (cpu.id !== 0) complete(cpu, other);
    linger(cpu, 100);
  }
  return rounds;
}

/** A completion on the stack: its memory is reused at once after the wait. */
const BOX = kernel_static("test_box", 4);
export function stack_completion(cpu: Cpu, rounds: number): number {
  let wrong = 0;
  for (let i = 0; i < rounds; i++) {
    if (cpu.id === 0) {
      const x = stack_push(cpu, COMPLETION_SIZE);
      init_completion(cpu, x);
      cpu.mem.storeRelease(BOX, x);
      wait_for_completion(cpu, x);
      stack_pop(cpu, x);
      const reused = stack_push(cpu, COMPLETION_SIZE);
      cpu.mem.memset(reused, 0x5a, COMPLETION_SIZE);
      linger(cpu, 200);
      for (let w = 0; w < COMPLETION_SIZE; w += 4) if (cpu.mem.readOnce(reused + w) !== 0x5a5a5a5a) wrong++;
      stack_pop(cpu, reused);
    } else {
      let x = 0;
      while (x === 0) {
        x = cpu.mem.exchange(BOX, 0);
        cond_resched(cpu);
      }
      complete(cpu, x);
    }
  }
  return wrong;
}

/** Hand-off by state and wake_up_process alone, sleeping right (state, test, sleep). Wake-ups lost. */
export function raw_hand_off(cpu: Cpu, rounds: number): number {
  return hand_off(cpu, rounds, sleep_right);
}
/** The same with the test before the state: the classic mistake. */
export function wrong_hand_off(cpu: Cpu, rounds: number): number {
  return hand_off(cpu, rounds, sleep_wrong);
}

function hand_off(cpu: Cpu, rounds: number, sleep: (cpu: Cpu, until: number) => number): number {
  const partner = 1 - cpu.id;
  let lost = 0;
  rendezvous(cpu, POINT, 2);
  for (let i = 1; i <= rounds && lost === 0; i++) {
    linger(cpu, 300);
    cpu.mem.storeRelease(TURN + partner * 128, i);
    wake_up_process(cpu, task_of_cpu(cpu, partner));
    lost += sleep(cpu, i);
  }
  // The partner need not wait for us if we stop early.
  cpu.mem.storeRelease(TURN + partner * 128, rounds);
  wake_up_process(cpu, task_of_cpu(cpu, partner));
  return lost;
}

function my_turn(cpu: Cpu, until: number): boolean {
  return cpu.mem.loadAcquire(TURN + cpu.id * 128) >= until;
}
function sleep_right(cpu: Cpu, until: number): number {
  for (;;) {
    set_current_state(cpu, TASK_UNINTERRUPTIBLE);
    if (my_turn(cpu, until)) break;
    if (schedule_timeout(cpu, 1000) === 0 && my_turn(cpu, until)) return 1;
  }
  set_current_state(cpu, TASK_RUNNING);
  return 0;
}
function sleep_wrong(cpu: Cpu, until: number): number {
  while (!my_turn(cpu, until)) {
    linger(cpu, 100);
    set_current_state(cpu, TASK_UNINTERRUPTIBLE);
    if (schedule_timeout(cpu, 200) === 0 && my_turn(cpu, until)) return 1;
  }
  return 0;
}

/** Tokens and exclusive waiters: one wake_up per token must be enough for all tokens to be taken. */
export function producer(cpu: Cpu, tokens: number): number {
  rendezvous(cpu, POINT, cpu.config.cpus);
  for (let i = 0; i < tokens; i++) {
    cpu.mem.fetchAdd(TOKENS, 1);
    wake_up(cpu, QUEUE);
    linger(cpu, 300);
  }
  while (cpu.mem.loadAcquire(TAKEN) < tokens) cond_resched(cpu);
  cpu.mem.storeRelease(TOKENS, -1);
  wake_up_all(cpu, QUEUE);
  return 0;
}
export function consumer(cpu: Cpu): number {
  let taken = 0;
  rendezvous(cpu, POINT, cpu.config.cpus);
  for (;;) {
    const tokens = wait_for_token(cpu);
    if (tokens < 0) return taken;
    // Another consumer was faster.
    if (tokens === 0) continue;
    if (cpu.mem.compareExchange(TOKENS, tokens, tokens - 1) !== tokens) continue;
    taken++;
    cpu.mem.fetchAdd(TAKEN, 1);
  }
}
function wait_for_token(cpu: Cpu): number {
  const entry = wait_entry_push(cpu);
  for (;;) {
    if (cpu.id % 2 === 0) prepare_to_wait_exclusive(cpu, QUEUE, entry, TASK_UNINTERRUPTIBLE);
    else prepare_to_wait(cpu, QUEUE, entry, TASK_INTERRUPTIBLE);
    if (cpu.mem.loadAcquire(TOKENS) !== 0) break;
    schedule(cpu);
  }
  finish_wait(cpu, QUEUE, entry);
  return cpu.mem.loadAcquire(TOKENS);
}

/** More threads than cores on one lock, with a plain counter behind it. What is missing from the count. */
export function lock_and_count(cpu: Cpu, rounds: number): number {
  rendezvous(cpu, POINT, cpu.config.cpus);
  for (let i = 0; i < rounds; i++) {
    spin_lock(cpu, LOCK);
    const value = cpu.mem.read(GUARDED);
    if (i % 50 === 0) linger(cpu, 200);
    cpu.mem.write(GUARDED, value + 1);
    spin_unlock(cpu, LOCK);
  }
  rendezvous(cpu, POINT, cpu.config.cpus);
  return cpu.config.cpus * rounds - cpu.mem.read(GUARDED);
}

function on_timer(cpu: Cpu): void {
  if (cpu.mem.loadAcquire(FREED) !== 0) cpu.mem.fetchAdd(LATE, 1);
  cpu.mem.fetchAdd(FIRED, 1);
  linger(cpu, 500);
  if (cpu.mem.loadAcquire(FREED) !== 0) cpu.mem.fetchAdd(LATE, 1);
}

/** All CPUs arm and delete one timer; after timer_delete_sync by CPU 0 it must not run until armed again. */
export function timer_fight(cpu: Cpu, rounds: number): number {
  for (let i = 0; i < rounds; i++) {
    rendezvous(cpu, POINT, cpu.config.cpus);
    for (let j = 0; j < 5; j++) {
      mod_timer(cpu, TIMER, cpu.now() + (cpu.random32() % 2));
      if (cpu.random32() % 4 === 0) timer_delete(cpu, TIMER);
      linger(cpu, 500);
      cond_resched(cpu);
    }
    rendezvous(cpu, POINT, cpu.config.cpus);
    if (cpu.id === 0) {
      timer_delete_sync(cpu, TIMER);
      cpu.mem.storeRelease(FREED, 1);
    }
    linger(cpu, 1000);
    cond_resched(cpu);
    rendezvous(cpu, POINT, cpu.config.cpus);
    if (cpu.id === 0) cpu.mem.storeRelease(FREED, 0);
  }
  return cpu.mem.loadAcquire(LATE);
}
/** CPU 1 runs its timer at the moment in which CPU 0 deletes it and then takes its memory away. */
export function timer_delete_race(cpu: Cpu, rounds: number): number {
  for (let i = 0; i < rounds; i++) {
    if (cpu.id === 1) mod_timer(cpu, TIMER, cpu.now() - 1);
    // Spins alone: both must arrive in the same microsecond.
    cpu.mem.fetchAdd(POINT, 1);
    while (cpu.mem.loadAcquire(POINT) < 2 * i + 2) cpu.mem.pause();
    linger(cpu, 100);
    if (cpu.id === 1) cond_resched(cpu);
    else {
      timer_delete_sync(cpu, TIMER);
      cpu.mem.storeRelease(FREED, 1);
      linger(cpu, 200);
    }
    rendezvous(cpu, TAKEN, 2);
    if (cpu.id === 0) cpu.mem.storeRelease(FREED, 0);
    rendezvous(cpu, TAKEN, 2);
  }
  return cpu.mem.loadAcquire(LATE);
}
export function timers_fired(cpu: Cpu): number {
  return cpu.mem.loadAcquire(FIRED);
}

function on_task_work(cpu: Cpu): void {
  cpu.mem.write(COUNT, cpu.mem.read(COUNT) + 1);
}

/** CPU 0 sleeps interruptibly and runs the works that the others add; none is lost. */
export function task_work_target(cpu: Cpu, works: number): number {
  const expected = works * (cpu.config.cpus - 1);
  rendezvous(cpu, POINT, cpu.config.cpus);
  while (cpu.mem.read(COUNT) < expected) {
    set_current_state(cpu, TASK_INTERRUPTIBLE);
    schedule(cpu);
    task_work_run(cpu);
  }
  cpu.mem.storeRelease(TAKEN, 1);
  return cpu.mem.read(COUNT) - expected;
}
export function task_work_adder(cpu: Cpu, works: number): number {
  const heads = stack_push(cpu, works * 8);
  rendezvous(cpu, POINT, cpu.config.cpus);
  for (let i = 0; i < works; i++) {
    const head = (heads + i * 8) as CallbackHeadPtr;
    init_task_work(cpu, head, ON_TASK_WORK);
    task_work_add(cpu, task_of_cpu(cpu, 0), head);
    linger(cpu, 200);
  }
  while (cpu.mem.loadAcquire(TAKEN) === 0) cond_resched(cpu);
  stack_pop(cpu, heads);
  return 0;
}

function on_irq(cpu: Cpu, wanted: number): void {
  // Interrupts coalesce, so the handler looks at the device's count.
  if (cpu.mem.loadAcquire(COUNT) >= wanted) complete(cpu, PING);
}

/** A CPU that sleeps in schedule() takes its interrupts there; none is lost. */
export function irq_target(cpu: Cpu, raises: number): number {
  request_irq(cpu, cpu.id, 3, ON_IRQ, raises);
  rendezvous(cpu, POINT, cpu.config.cpus);
  wait_for_completion(cpu, PING);
  return cpu.mem.loadAcquire(COUNT) - raises;
}
export function irq_source(cpu: Cpu, raises: number): number {
  rendezvous(cpu, POINT, cpu.config.cpus);
  for (let i = 0; i < raises; i++) {
    cpu.mem.fetchAdd(COUNT, 1);
    irq_raise(cpu, 0, 3);
    linger(cpu, 300);
  }
  return 0;
}
