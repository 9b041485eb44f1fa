/** What the CPUs do in tags-threads.test.ts: they fight for a few tags, with and without waiting. */
import {
  blk_mq_free_tags,
  blk_mq_get_tags,
  blk_mq_init_tags,
  blk_mq_put_tags,
  blk_mq_tags_busy,
  blk_mq_tags_waiters,
  blk_mq_try_get_tags,
  TAGS_SIZE,
  type TagsPtr,
} from "../block/tags.ts";
import { kernel_static } from "../debug/image.ts";
import { GFP_KERNEL, kmem_in_use } from "../mm/slab.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
import { cond_resched } from "../sched/schedule.ts";
import { linger, rendezvous } from "./rendezvous.ts";

const TAGS = kernel_static("tags_bodies", TAGS_SIZE) as TagsPtr;
const STATE = kernel_static("tags_bodies_state", 128);
const BEFORE = 0;
const POINT = 4;
const MAX_TAGS = 64;
/** Who has each tag: CPU number + 1. */
const OWNERS = kernel_static("tags_bodies_owners", 4 * MAX_TAGS);

export function set_up(cpu: Cpu, depth: number): void {
  cpu.mem.write(STATE + BEFORE, kmem_in_use(cpu));
  blk_mq_init_tags(cpu, TAGS, depth, GFP_KERNEL);
}

/** Takes tags, holds them a little, gives them back. Returns how many it got that somebody had. */
export function fight(cpu: Cpu, _depth: number, rounds: number): number {
  const out = stack_push(cpu, 4);
  let wrong = 0;
  rendezvous(cpu, STATE + POINT, cpu.config.cpus);
  for (let i = 0; i < rounds; i++) {
    const nr = 1 + (cpu.random32() % 4);
    let bits = cpu.random32() % 4 === 0 ? blk_mq_try_get_tags(cpu, TAGS, nr, out) : 0;
    if (bits === 0) bits = blk_mq_get_tags(cpu, TAGS, nr, out);
    const base = cpu.mem.read(out);
    wrong += mark(cpu, base, bits, 0, cpu.id + 1);
    linger(cpu, 400);
    if (cpu.random32() % 16 === 0) cond_resched(cpu);
    wrong += mark(cpu, base, bits, cpu.id + 1, 0);
    blk_mq_put_tags(cpu, TAGS, base, bits);
  }
  stack_pop(cpu, out);
  return wrong;
}

/** Changes the owner of each tag; returns how many had another one than expected. */
function mark(cpu: Cpu, base: number, bits: number, from: number, to: number): number {
  let wrong = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) {
    const tag = base + 31 - Math.clz32(rest & -rest);
    if (cpu.mem.exchange(OWNERS + 4 * tag, to) !== from) wrong++;
  }
  return wrong;
}

/** Everything that is left: tags, waiters, memory. */
export function tear_down(cpu: Cpu): number[] {
  const left = [blk_mq_tags_busy(cpu, TAGS), blk_mq_tags_waiters(cpu, TAGS)];
  blk_mq_free_tags(cpu, TAGS);
  return [...left, kmem_in_use(cpu) - cpu.mem.read(STATE + BEFORE)];
}
