/**
 * struct blk_mq_tags with its sbitmap (block/blk-mq-tag.c, lib/sbitmap.c): the free request slots of one
 * hardware queue. A tag is a bit; taking it is one atomic, taking up to 32 at once is one atomic too.
 *
 * Words lie 128 bytes apart. Each CPU has a hint, the word it took a tag from last, so that CPUs meet less.
 *
 * Waiting: a waiter counts itself in WAITERS, queues, then tries again; whoever frees a tag clears the bit,
 * then looks at WAITERS. One of the two sees the other, so nobody sleeps for ever. Each tag that is freed wakes one
 * waiter, the one that waits longest. A waiter that has its tag and is woken all the same passes that on: the
 * wake-up was for another tag. A waiter that was woken, and found that somebody who did not wait had taken the tag,
 * keeps its place, and from then on nobody overtakes (STARVED).
 */
import type { Ptr } from "atomics-sync";
import { ENOMEM } from "../debug/errno.ts";
import { FAULT_TAGS, should_fail } from "../debug/fault-inject.ts";
import { struct_layout } from "../debug/layout.ts";
import { WARN_ONCE } from "../debug/warn.ts";
import { alloc_percpu, free_percpu } from "../mm/percpu.ts";
import { kfree, kzalloc } from "../mm/slab.ts";
import { type Cpu, stack_pop } from "../sched/cpu.ts";
import { schedule } from "../sched/schedule.ts";
import { current_state, set_current_state, TASK_RUNNING, TASK_UNINTERRUPTIBLE } from "../sched/task.ts";
import {
  add_wait_queue_exclusive,
  init_waitqueue_head,
  remove_wait_queue,
  wait_entry_push,
  WAIT_QUEUE_HEAD_SIZE,
  wake_up,
  wake_up_nr,
} from "../sched/wait.ts";

// Hot: local copies, since a read of an imported constant costs several times as much.
const TAGS_FAULT = FAULT_TAGS;

export type TagsPtr = Ptr<"blk_mq_tags">;

// Constant after init:
const NR_TAGS = 0;
const NR_WORDS = 4;
/** Per-CPU hint, a word each. */
const ALLOC_HINT = 8;
/** Address of word 0. */
const MAP = 12;
// A line of its own: atomic, then the queue with its lock.
const WAITERS = 128;
/** Waiters that were overtaken: while there are any, tags are for waiters only. */
const STARVED = 132;
const WAIT = 136;
export const TAGS_SIZE: number = WAIT + WAIT_QUEUE_HEAD_SIZE;

const WORD_BITS = 32;
const WORD_STRIDE = 128;
const PERCPU_STRIDE = 128;

struct_layout("blk_mq_tags", TAGS_SIZE, [
  ["nr_tags", NR_TAGS, 4],
  ["nr_words", NR_WORDS, 4],
  ["alloc_hint", ALLOC_HINT, 4],
  ["map", MAP, 4],
  ["waiters", WAITERS, 4],
  ["starved", STARVED, 4],
  ["wait", WAIT, WAIT_QUEUE_HEAD_SIZE],
]);

/** Returns 0 or -ENOMEM. */
export function blk_mq_init_tags(cpu: Cpu, tags: TagsPtr, nr_tags: number, gfp: number): number {
  const nr_words = Math.ceil(nr_tags / WORD_BITS);
  const map = kzalloc(cpu, nr_words * WORD_STRIDE, gfp);
  if (map === 0) return -ENOMEM;
  const hint = alloc_percpu(cpu, 4, gfp);
  if (hint === 0) {
    kfree(cpu, map);
    return -ENOMEM;
  }
  cpu.mem.write(tags + NR_TAGS, nr_tags);
  cpu.mem.write(tags + NR_WORDS, nr_words);
  cpu.mem.write(tags + ALLOC_HINT, hint);
  cpu.mem.write(tags + MAP, map);
  cpu.mem.write(tags + WAITERS, 0);
  cpu.mem.write(tags + STARVED, 0);
  init_waitqueue_head(cpu, tags + WAIT);
  return 0;
}

export function blk_mq_free_tags(cpu: Cpu, tags: TagsPtr): void {
  WARN_ONCE(cpu, blk_mq_tags_busy(cpu, tags) !== 0, "blk-mq: tags freed while requests are in use");
  kfree(cpu, cpu.mem.read(tags + MAP));
  free_percpu(cpu, cpu.mem.read(tags + ALLOC_HINT));
}

/** Bits of word `w` that stand for tags. */
function valid_bits(cpu: Cpu, tags: TagsPtr, w: number): number {
  const bits = cpu.mem.read(tags + NR_TAGS) - w * WORD_BITS;
  return bits >= WORD_BITS ? -1 : (1 << bits) - 1;
}

/** The lowest `nr` set bits of `bits`. */
function lowest_bits(bits: number, nr: number): number {
  let rest = bits;
  for (let i = 0; i < nr && rest !== 0; i++) rest &= rest - 1;
  return bits & ~rest;
}

/**
 * Takes up to `nr` (1 ... 32) tags of one word: the word's first tag goes to `out`, the bits are returned. 0 when
 * there is none, or somebody has waited for one too long.
 */
export function blk_mq_try_get_tags(cpu: Cpu, tags: TagsPtr, nr: number, out: number): number {
  if (should_fail(cpu, TAGS_FAULT) || cpu.mem.readOnce(tags + STARVED) !== 0) return 0;
  return take_tags(cpu, tags, nr, out);
}

function take_tags(cpu: Cpu, tags: TagsPtr, nr: number, out: number): number {
  const mem = cpu.mem;
  const nr_words = mem.read(tags + NR_WORDS);
  const hint = mem.read(tags + ALLOC_HINT) + cpu.id * PERCPU_STRIDE;
  let w = mem.read(hint);
  for (let tried = 0; tried < nr_words; tried++) {
    const p = mem.read(tags + MAP) + w * WORD_STRIDE;
    const valid = valid_bits(cpu, tags, w);
    let word = mem.readOnce(p);
    let free = ~word & valid;
    while (free !== 0) {
      const take = nr === 1 ? free & -free : lowest_bits(free, nr);
      // Pairs with the fetchAnd in blk_mq_put_tags: the last user is done with the request before it is ours.
      const seen = mem.compareExchange(p, word, word | take);
      if (seen === word) {
        mem.write(hint, w);
        mem.write(out, w * WORD_BITS);
        return take;
      }
      word = seen;
      free = ~word & valid;
    }
    if (++w === nr_words) w = 0;
  }
  return 0;
}

/** As blk_mq_try_get_tags, and sleeps until there is one. Waiters get tags first come, first served. */
export function blk_mq_get_tags(cpu: Cpu, tags: TagsPtr, nr: number, out: number): number {
  const got = blk_mq_try_get_tags(cpu, tags, nr, out);
  // An injected failure is not repeated: with no request in flight nobody would wake us.
  return got !== 0 ? got : wait_for_tag(cpu, tags, out);
}

/** One tag is enough for a waiter: others wait too. */
function wait_for_tag(cpu: Cpu, tags: TagsPtr, out: number): number {
  const mem = cpu.mem;
  const wait = tags + WAIT;
  // Pairs with the fetchAnd, then loadAcquire, in blk_mq_put_tags.
  mem.fetchAdd(tags + WAITERS, 1);
  const entry = wait_entry_push(cpu);
  add_wait_queue_exclusive(cpu, wait, entry);
  let starved = false;
  let got = 0;
  for (let woken = false; ; woken = true) {
    set_current_state(cpu, TASK_UNINTERRUPTIBLE);
    // A newcomer does not overtake a starved waiter here either. That one will have a tag, and when it frees the
    // tag somebody is woken; so the look that is left out here cannot make us sleep for ever.
    if (woken || mem.loadAcquire(tags + STARVED) === 0) got = take_tags(cpu, tags, 1, out);
    if (got !== 0) break;
    if (woken && !starved) {
      starved = true;
      mem.fetchAdd(tags + STARVED, 1);
    }
    schedule(cpu);
  }
  remove_wait_queue(cpu, wait, entry);
  if (starved) mem.fetchSub(tags + STARVED, 1);
  // Nobody wakes us any more. If somebody has, since we said that we would sleep, it was for a tag that is still
  // there: without this the next waiter could sleep though it is free, with no request left to wake it.
  if (starved || current_state(cpu) === TASK_RUNNING) wake_up(cpu, wait);
  set_current_state(cpu, TASK_RUNNING);
  stack_pop(cpu, entry);
  mem.fetchSub(tags + WAITERS, 1);
  return got;
}

/** Frees the tags `base` + set bits of `bits`; `base` is a multiple of 32. */
export function blk_mq_put_tags(cpu: Cpu, tags: TagsPtr, base: number, bits: number): void {
  const p = cpu.mem.read(tags + MAP) + (base / WORD_BITS) * WORD_STRIDE;
  const old = cpu.mem.fetchAnd(p, ~bits);
  WARN_ONCE(cpu, (old & bits) !== bits, "blk-mq: tag freed twice");
  if (cpu.mem.loadAcquire(tags + WAITERS) !== 0) wake_up_nr(cpu, tags + WAIT, bit_count(bits));
}

export function bit_count(bits: number): number {
  let count = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) count++;
  return count;
}

/** The busy tags of word `w`: bit i stands for tag 32 * w + i. 0 past the last word. */
export function blk_mq_tags_word(cpu: Cpu, tags: TagsPtr, w: number): number {
  if (w >= cpu.mem.read(tags + NR_WORDS)) return 0;
  return cpu.mem.loadAcquire(cpu.mem.read(tags + MAP) + w * WORD_STRIDE);
}
export function blk_mq_tags_nr_words(cpu: Cpu, tags: TagsPtr): number {
  return cpu.mem.read(tags + NR_WORDS);
}
/** Tasks that wait for a tag. A snapshot. */
export function blk_mq_tags_waiters(cpu: Cpu, tags: TagsPtr): number {
  return cpu.mem.loadAcquire(tags + WAITERS);
}

export function blk_mq_tag_busy(cpu: Cpu, tags: TagsPtr, tag: number): boolean {
  const word = cpu.mem.readOnce(cpu.mem.read(tags + MAP) + (tag >> 5) * WORD_STRIDE);
  return (word & (1 << (tag & 31))) !== 0;
}

/** Tags in use. A snapshot. */
export function blk_mq_tags_busy(cpu: Cpu, tags: TagsPtr): number {
  let busy = 0;
  for (let w = 0; w < cpu.mem.read(tags + NR_WORDS); w++) {
    busy += bit_count(cpu.mem.loadAcquire(cpu.mem.read(tags + MAP) + w * WORD_STRIDE));
  }
  return busy;
}
