/**
 * The cases of blk-mq with several bodies at work: few tags, freezing, waiters, time-outs against completions, a
 * queue that dies.
 */
import { blk_mq_freeze_queue, blk_mq_unfreeze_queue } from "@ringside/core/block/freeze";
import { del_gendisk, put_disk } from "@ringside/core/block/disk";
import { BLK_STS_OK } from "@ringside/core/block/status";
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
} from "@ringside/core/block/tags";
import { ENODEV } from "@ringside/core/debug/errno";
import { GFP_KERNEL } from "@ringside/core/mm/slab";
import type { Cpu } from "@ringside/core/sched/cpu";
import { cond_resched } from "@ringside/core/sched/schedule";
import { current_state, task_is_sleeping, task_of_cpu, TASK_RUNNING } from "@ringside/core/sched/task";
import { msleep } from "@ringside/core/sched/delay";
import {
  ram_disk,
  ram_disk_complete,
  ram_disk_defer,
  ram_disk_remove,
} from "@ringside/core/testing/ram-disk";
import { send as send_timed, serve, set_up, tear_down } from "@ringside/core/testing/timeout-bodies";
import type { Checks } from "../checks.ts";
import type { Case } from "../suite.ts";
import {
  add_disk,
  busy,
  disk_queue,
  execute,
  make,
  send,
  slot,
  wait_end,
  wait_word,
  word,
} from "./blk-mq-fixture.ts";

const REQUESTS = 150;

/** word 0: senders that are done. */
function send_many(cpu: Cpu, t: Checks, count: number): void {
  for (let i = 0; i < count; i++) t.equal(execute(cpu, disk_queue(cpu)), BLK_STS_OK, `request ${i}`);
  cpu.mem.fetchAdd(word(t, 0), 1);
}

/** The device, until all senders are done. `tags`: more are never in use. */
function complete_all(cpu: Cpu, t: Checks, senders: number, tags: number): void {
  let most = 0;
  while (cpu.mem.loadAcquire(word(t, 0)) < senders) {
    most = Math.max(most, busy(cpu));
    if (ram_disk_complete(cpu, 1 + (cpu.random32() % 4)) === 0) msleep(cpu, 1);
    cond_resched(cpu);
  }
  t.ok(most <= tags, `at most ${tags} tags are in use, not ${most}`);
}

function sender(cpu: Cpu, t: Checks): void {
  t.meet();
  send_many(cpu, t, REQUESTS);
  t.meet();
}

function single_tag(cpu: Cpu, t: Checks): void {
  add_disk(cpu, t, { depth: 1 });
  ram_disk_defer(cpu, true);
  t.meet();
  complete_all(cpu, t, t.parties - 1, 1);
  t.meet();
  ram_disk_remove(cpu);
}

function freeze_device(cpu: Cpu, t: Checks): void {
  add_disk(cpu, t, { depth: 4 });
  ram_disk_defer(cpu, true);
  t.meet();
  complete_all(cpu, t, t.parties - 2, 4);
  t.meet();
  ram_disk_remove(cpu);
}

function freezer(cpu: Cpu, t: Checks): void {
  t.meet();
  const q = disk_queue(cpu);
  for (let i = 0; i < 30 && cpu.mem.loadAcquire(word(t, 0)) < t.parties - 2; i++) {
    const depth = 1 + (cpu.random32() % 3);
    for (let k = 0; k < depth; k++) blk_mq_freeze_queue(cpu, q);
    t.equal(busy(cpu), 0, "tags in use of a frozen queue");
    msleep(cpu, 1);
    t.equal(busy(cpu), 0, "tags in use of a frozen queue, later");
    for (let k = 0; k < depth; k++) blk_mq_unfreeze_queue(cpu, q);
    msleep(cpu, 1);
  }
  t.meet();
}

/** What the greedy sender sends while the modest ones must get something too, and how much. */
const GREEDY_REQUESTS = 1200;
const GREEDY_AT_ONCE = 8;
const MODEST_REQUESTS = 10;

function fairness_device(cpu: Cpu, t: Checks): void {
  add_disk(cpu, t, { depth: 2 });
  ram_disk_defer(cpu, true);
  t.meet();
  complete_all(cpu, t, t.parties - 1, 2);
  t.meet();
  ram_disk_remove(cpu);
}

/** Always wants more tags than there are. word 1: it has sent everything. */
function greedy(cpu: Cpu, t: Checks): void {
  t.meet();
  const q = disk_queue(cpu);
  for (let i = 0; i < GREEDY_REQUESTS; i += GREEDY_AT_ONCE) {
    for (let k = 0; k < GREEDY_AT_ONCE; k++) {
      cpu.mem.storeRelease(slot(t, k), 0);
      send(cpu, t, q, k);
    }
    for (let k = 0; k < GREEDY_AT_ONCE; k++) wait_end(cpu, t, k);
  }
  cpu.mem.storeRelease(word(t, 1), 1);
  cpu.mem.fetchAdd(word(t, 0), 1);
  t.meet();
}

function modest(cpu: Cpu, t: Checks): void {
  t.meet();
  let got = 0;
  while (cpu.mem.loadAcquire(word(t, 1)) === 0) {
    t.equal(execute(cpu, disk_queue(cpu)), BLK_STS_OK, "a modest request");
    got++;
  }
  t.ok(got >= MODEST_REQUESTS, `one at a time got ${got} requests while the other got ${GREEDY_REQUESTS}`);
  cpu.mem.fetchAdd(word(t, 0), 1);
  t.meet();
}

/** Somebody waits for a tag, somebody at the door of a frozen queue, and the disk is removed. */
function remover(cpu: Cpu, t: Checks): void {
  const q = add_disk(cpu, t, { depth: 1 });
  ram_disk_defer(cpu, true);
  send(cpu, t, q, 0);
  t.meet();
  // Time to get into their waits; that they do not would be no failure.
  msleep(cpu, 20);
  del_gendisk(cpu, ram_disk(cpu));
  t.equal(wait_end(cpu, t, 0), BLK_STS_OK, "the request in flight");
  t.equal(execute(cpu, q), -ENODEV, "after the removal");
  t.meet();
  put_disk(cpu, ram_disk(cpu));
}

/** Waits for the tag: it is inside, so its request is done before the disk goes. */
function tag_waiter(cpu: Cpu, t: Checks): void {
  t.meet();
  const status = execute(cpu, disk_queue(cpu));
  t.ok(status === BLK_STS_OK || status === -ENODEV, `the waiter's status ${status}`);
  cpu.mem.fetchAdd(word(t, 0), 1);
  t.meet();
}

function slow_device(cpu: Cpu, t: Checks): void {
  t.meet();
  msleep(cpu, 40);
  complete_all(cpu, t, t.parties - 2, 1);
  t.meet();
}

/** Waits at the door until body 0 of the case thaws or kills. */
function door_waiter(cpu: Cpu, t: Checks): void {
  t.meet();
  t.equal(make(cpu, t, disk_queue(cpu), 2), -ENODEV, "who waits at the door of a queue that dies");
  t.meet();
}

function kill_at_door(cpu: Cpu, t: Checks): void {
  const q = add_disk(cpu, t, { depth: 1 });
  blk_mq_freeze_queue(cpu, q);
  t.meet();
  msleep(cpu, 20);
  del_gendisk(cpu, ram_disk(cpu));
  t.meet();
  blk_mq_unfreeze_queue(cpu, q);
  put_disk(cpu, ram_disk(cpu));
}

/** Words of the next case: the tags and, in time, what has happened. */
const TAGS = 0;
const OUT = 1;
const HAS_TAG = 2;
const HAS_QUEUED = 3;
const SLEEP_LIMIT_MS = 5000;

/**
 * Body 0 gets tag 0 just before it would sleep, with no wake-up meant for it; then tag 1 is freed, which wakes body 0,
 * the first in the queue. It must hand that wake-up to body 1, who sleeps behind it: nobody else will.
 *
 * To be at the right places it watches its own atomics.
 */
function first_waiter(cpu: Cpu, t: Checks): void {
  const tags = (t.scratch + 1024) as TagsPtr;
  t.ok(TAGS_SIZE <= 512, "room for the tags");
  blk_mq_init_tags(cpu, tags, 2, GFP_KERNEL);
  cpu.mem.write(word(t, TAGS), tags);
  t.meet();
  const out = word(t, OUT);
  const both = blk_mq_try_get_tags(cpu, tags, 2, out);
  t.equal(both, 3, "both tags");
  const undo = watch(cpu, t, tags);
  t.equal(blk_mq_get_tags(cpu, tags, 1, out), 1, "the tag that became free before it slept");
  undo();
  t.equal(current_state(cpu), TASK_RUNNING, "the state afterwards");
  t.ok(
    wait_word(cpu, word(t, HAS_TAG), 1, SLEEP_LIMIT_MS),
    "the second waiter sleeps though a tag is free: a wake-up was lost",
  );
  blk_mq_put_tags(cpu, tags, 0, 1);
  t.meet();
  t.equal(blk_mq_tags_busy(cpu, tags), 0, "tags in use at the end");
  blk_mq_free_tags(cpu, tags);
}

/** Frees tag 0 before the waiter is counted, and tag 1 once it has tag 0 and the second waiter sleeps. */
function watch(cpu: Cpu, t: Checks, tags: TagsPtr): () => void {
  const { mem } = cpu;
  // Bound to the methods of the class, before they are hidden.
  const fetch_add = mem.fetchAdd.bind(mem);
  const compare_exchange = mem.compareExchange.bind(mem);
  const undo = (): void => {
    Reflect.deleteProperty(mem, "fetchAdd");
    Reflect.deleteProperty(mem, "compareExchange");
  };
  mem.fetchAdd = (p, value): number => {
    if (p >= tags && p < tags + TAGS_SIZE) {
      Reflect.deleteProperty(mem, "fetchAdd");
      blk_mq_put_tags(cpu, tags, 0, 1);
    }
    return fetch_add(p, value);
  };
  mem.compareExchange = (p, expected, value): number => {
    const seen = compare_exchange(p, expected, value);
    // Tag 0 of the first word, taken while tag 1 is.
    if (expected === 2 && value === 3 && seen === 2) {
      undo();
      cpu.mem.storeRelease(word(t, HAS_QUEUED), 1);
      const limit = cpu.now() + SLEEP_LIMIT_MS;
      while (!(blk_mq_tags_waiters(cpu, tags) === 2 && task_is_sleeping(cpu, task_of_cpu(cpu, 1)))) {
        if (cpu.now() > limit) break;
        mem.pause();
      }
      blk_mq_put_tags(cpu, tags, 0, 2);
    }
    return seen;
  };
  return undo;
}

function second_waiter(cpu: Cpu, t: Checks): void {
  t.meet();
  const tags = cpu.mem.read(word(t, TAGS)) as TagsPtr;
  t.ok(wait_word(cpu, word(t, HAS_QUEUED), 1), "the first waiter has its tag");
  const out = word(t, OUT) + 4;
  const bits = blk_mq_get_tags(cpu, tags, 1, out);
  cpu.mem.storeRelease(word(t, HAS_TAG), 1);
  blk_mq_put_tags(cpu, tags, cpu.mem.read(out), bits);
  t.meet();
}

const TIMED_SENDERS = 2;
const TIMED_DEPTH = 6;
const TIMED_REQUESTS = 600;

function timed_first(cpu: Cpu, t: Checks): void {
  set_up(cpu, TIMED_SENDERS, TIMED_DEPTH);
  timed_sender(cpu, t);
  const end = tear_down(cpu);
  t.equal(end.bad, 0, "requests that ended twice, or strangely");
  t.equal(end.lost, 0, "requests that did not end");
  t.equal(end.stolen, 0, "requests given to somebody else while their handler ran");
  t.ok(end.expired > 0, "some requests timed out");
  t.note(`${end.asked} late, ${end.expired} ended by the handler, ${end.late} completed too late`);
}
function timed_sender(cpu: Cpu, t: Checks): void {
  t.meet();
  send_timed(cpu, TIMED_SENDERS, TIMED_DEPTH, TIMED_REQUESTS);
  t.meet();
}
function timed_device(cpu: Cpu, t: Checks): void {
  t.meet();
  serve(cpu);
  t.meet();
}

export const LOAD_CASES: readonly Case[] = [
  { name: "block/020 single tag", bodies: [single_tag, sender, sender, sender] },
  { name: "block/022 freeze and unfreeze", bodies: [freeze_device, sender, sender, freezer] },
  { name: "block/035 tag fairness", bodies: [fairness_device, greedy, modest, modest] },
  { name: "removal with somebody waiting for a tag", bodies: [remover, tag_waiter, slow_device] },
  { name: "removal with somebody waiting for a thaw", bodies: [kill_at_door, door_waiter] },
  { name: "a waiter passes its wake-up on", bodies: [first_waiter, second_waiter] },
  { name: "time-out against completion", bodies: [timed_first, timed_sender, timed_device] },
];
