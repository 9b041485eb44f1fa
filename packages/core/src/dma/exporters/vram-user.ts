/**
 * CPU accesses of the user to a buffer that may move (mmap, page faults and unmap_mapping_range): short
 * sections that a mover waits out, and that wait while a mover copies.
 *
 * One word per CPU says "I am inside", one flag says "a mover is at work": Dekker's pattern. A reader stores
 * its word, then loads the flag; a mover stores the flag, then loads the words; both stores are full barriers.
 * So at least one of the two sees the other: either the reader backs out, or the mover waits for it. Were
 * either store ordered after the load that follows it, a reader could write into a page while it is copied,
 * and the write would be lost.
 *
 * Interface: vram_user_begin ... vram_user_end (vram.ts) around loads and stores that do not sleep; not nested.
 * At most one mover at a time.
 */
import { backoff } from "atomics-sync";
import { struct_layout } from "../../debug/layout.ts";
import { WARN } from "../../debug/warn.ts";
import { alloc_percpu, free_percpu } from "../../mm/percpu.ts";
import { GFP_KERNEL } from "../../mm/slab.ts";
import { type Cpu, nr_cpu_ids } from "../../sched/cpu.ts";
import { schedule } from "../../sched/schedule.ts";
import { TASK_UNINTERRUPTIBLE } from "../../sched/task.ts";
import {
  finish_wait,
  init_waitqueue_head,
  prepare_to_wait,
  wait_entry_push,
  WAIT_QUEUE_HEAD_SIZE,
  wake_up_all,
} from "../../sched/wait.ts";

// struct vram_user. Constant after vram_user_init:
const INSIDE = 0;
// Written by the mover:
const MOVING = 4;
// Readers that wait for it:
const WAITERS = 8;
const VRAM_USER_SIZE: number = 8 + WAIT_QUEUE_HEAD_SIZE;

struct_layout("vram_user", VRAM_USER_SIZE, [
  ["inside", INSIDE, 4],
  ["moving", MOVING, 4],
  ["waiters", WAITERS, WAIT_QUEUE_HEAD_SIZE],
]);

/** log2 of PERCPU_LINE. */
const LINE_SHIFT = 7;
/** A reader that stays inside longer than this many rounds (10 s) has gone to sleep there, or died. */
const PATIENCE_ROUNDS = 10_000;

/** `user` is zeroed. 0 when there is no memory. */
export function vram_user_init(cpu: Cpu, user: number): number {
  const inside = alloc_percpu(cpu, 4, GFP_KERNEL);
  cpu.mem.write(user + INSIDE, inside);
  init_waitqueue_head(cpu, user + WAITERS);
  return inside;
}

export function vram_user_exit(cpu: Cpu, user: number): void {
  free_percpu(cpu, cpu.mem.read(user + INSIDE));
}

/** Enters a section; sleeps while a mover is at work. Forbids sleeping until the end. */
export function vram_user_enter(cpu: Cpu, user: number): void {
  const word = cpu.mem.read(user + INSIDE) + (cpu.id << LINE_SHIFT);
  for (;;) {
    // Full order; pairs with the exchange in vram_user_exclude (see the head).
    cpu.mem.exchange(word, 1);
    if (cpu.mem.loadAcquire(user + MOVING) === 0) break;
    cpu.mem.storeRelease(word, 0);
    wait_for_mover(cpu, user);
  }
  cpu.preempt_count++;
}

export function vram_user_leave(cpu: Cpu, user: number): void {
  cpu.preempt_count--;
  // Pairs with the loadAcquire in vram_user_exclude: the mover copies what was written inside.
  cpu.mem.storeRelease(cpu.mem.read(user + INSIDE) + (cpu.id << LINE_SHIFT), 0);
}

/** A page fault on a buffer that moves. */
function wait_for_mover(cpu: Cpu, user: number): void {
  const entry = wait_entry_push(cpu);
  for (;;) {
    prepare_to_wait(cpu, user + WAITERS, entry, TASK_UNINTERRUPTIBLE);
    if (cpu.mem.loadAcquire(user + MOVING) === 0) break;
    schedule(cpu);
  }
  finish_wait(cpu, user + WAITERS, entry);
}

/** Mover: keeps new readers out and waits for those inside (unmap_mapping_range). */
export function vram_user_exclude(cpu: Cpu, user: number): void {
  WARN(cpu, cpu.mem.exchange(user + MOVING, 1) !== 0, "vram: two movers of one buffer");
  const inside = cpu.mem.read(user + INSIDE);
  for (let id = 0; id < nr_cpu_ids(cpu); id++) wait_for_reader(cpu, inside + (id << LINE_SHIFT));
}

function wait_for_reader(cpu: Cpu, word: number): void {
  let round = 0;
  for (let i = 0; i < PATIENCE_ROUNDS; i++) {
    if (cpu.mem.loadAcquire(word) === 0) return;
    // Readers are quick and do not notify: a notify would make every access pay for the rare move.
    round = backoff(cpu.mem, word, 1, round);
  }
  WARN(cpu, true, "vram: a CPU access does not end");
}

/** Mover: the table is switched; lets readers in again. */
export function vram_user_include(cpu: Cpu, user: number): void {
  // Pairs with the loadAcquire in vram_user_enter: who gets in reads the new table.
  cpu.mem.storeRelease(user + MOVING, 0);
  wake_up_all(cpu, user + WAITERS);
}
