/**
 * blk-mq: the block layer's requests (block/blk-mq.c, blk-mq-tag.c, blk-timeout.c): their life, time-outs, tags,
 * freezing and quiescing. Cases that begin with block/NNN are named after the test of blktests (tests/block) that
 * does the same to null_blk from user space; the others are laws of our own, most of them without a race, so that a
 * broken kernel fails them every time. The races are in blk-mq-load.ts.
 */
import { blk_mq_complete_request } from "@ringside/core/block/complete";
import {
  blk_freeze_queue_start,
  blk_mq_freeze_queue,
  blk_mq_freeze_queue_wait,
  blk_mq_freeze_queue_wait_timeout,
  blk_mq_quiesce_queue,
  blk_mq_unfreeze_queue,
} from "@ringside/core/block/freeze";
import { blk_execute_rq_nowait } from "@ringside/core/block/execute";
import {
  blk_mq_kick_requeue_list,
  blk_mq_requeue_request,
  blk_mq_unquiesce_queue,
} from "@ringside/core/block/issue";
import { BLK_MQ_REQ_NOWAIT } from "@ringside/core/block/queue";
import type { RequestPtr } from "@ringside/core/block/request";
import { blk_mq_mark_complete, blk_mq_request_started, req_ref_read } from "@ringside/core/block/rq-state";
import { BLK_STS_OK, BLK_STS_RESOURCE, BLK_STS_TIMEOUT } from "@ringside/core/block/status";
import { blk_mq_queue_tag_busy_iter, blk_mq_tagset_busy_iter } from "@ringside/core/block/tag-iter";
import { blk_abort_request } from "@ringside/core/block/timeout";
import { EAGAIN, ENODEV } from "@ringside/core/debug/errno";
import { FAULT_IO_TIMEOUT, fault_arm, fault_disarm, fault_hits } from "@ringside/core/debug/fault-inject";
import { kernel_symbol } from "@ringside/core/debug/image";
import type { Cpu } from "@ringside/core/sched/cpu";
import { msleep } from "@ringside/core/sched/delay";
import {
  ram_disk,
  ram_disk_abort,
  ram_disk_complete,
  ram_disk_defer,
  ram_disk_give_back,
  ram_disk_issued,
  ram_disk_refuse,
  ram_disk_remove,
  ram_disk_requeues,
  ram_disk_take,
  ram_disk_timeouts,
} from "@ringside/core/testing/ram-disk";
import { del_gendisk, put_disk } from "@ringside/core/block/disk";
import type { Checks } from "../checks.ts";
import type { Body, Case, Suite } from "../suite.ts";
import { add_disk, busy, ends, execute, make, send, wait_end, word } from "./blk-mq-fixture.ts";
import { LOAD_CASES } from "./blk-mq-load.ts";

const EWOULDBLOCK = EAGAIN;
const FAULTY_REQUESTS = 40;

function timeout_injection(cpu: Cpu, t: Checks): void {
  const q = add_disk(cpu, t, { depth: 4, timeout: 5 });
  fault_arm(cpu, FAULT_IO_TIMEOUT, { times: -1, probability: 0.5 });
  let late = 0;
  for (let i = 0; i < FAULTY_REQUESTS; i++) {
    const status = execute(cpu, q);
    t.ok(status === BLK_STS_OK || status === BLK_STS_TIMEOUT, `status ${status}`);
    if (status === BLK_STS_TIMEOUT) late++;
  }
  fault_disarm(cpu, FAULT_IO_TIMEOUT);
  t.equal(
    late,
    fault_hits(cpu, FAULT_IO_TIMEOUT),
    "requests that timed out: as many as completions were lost",
  );
  t.ok(late > 0, "some completions were lost");
  t.equal(execute(cpu, q), BLK_STS_OK, "a request after that");
  ram_disk_remove(cpu);
}

function requeue_injection(cpu: Cpu, t: Checks): void {
  const q = add_disk(cpu, t, { depth: 4 });
  for (let i = 0; i < FAULTY_REQUESTS; i++) {
    if (i % 2 === 0) ram_disk_give_back(cpu, 1 + (i % 3));
    if (i % 5 === 0) ram_disk_refuse(cpu, BLK_STS_RESOURCE, 2);
    t.equal(execute(cpu, q), BLK_STS_OK, `request ${i}`);
  }
  t.ok(ram_disk_requeues(cpu) > FAULTY_REQUESTS / 2, "requests were handed back");
  t.equal(busy(cpu), 0, "tags in use at the end");
  ram_disk_remove(cpu);
}

function nowait(cpu: Cpu, t: Checks): void {
  const q = add_disk(cpu, t, { depth: 1 });
  ram_disk_defer(cpu, true);
  send(cpu, t, q, 0);
  t.equal(make(cpu, t, q, 1, BLK_MQ_REQ_NOWAIT), -EWOULDBLOCK, "without a tag");
  ram_disk_complete(cpu, 1);
  t.equal(wait_end(cpu, t, 0), BLK_STS_OK, "the first request");
  blk_mq_freeze_queue(cpu, q);
  t.equal(make(cpu, t, q, 1, BLK_MQ_REQ_NOWAIT), -EAGAIN, "into a frozen queue");
  blk_mq_unfreeze_queue(cpu, q);
  ram_disk_defer(cpu, false);
  t.equal(execute(cpu, q), BLK_STS_OK, "after that");
  ram_disk_remove(cpu);
}

function dying(cpu: Cpu, t: Checks): void {
  const q = add_disk(cpu, t, { depth: 2 });
  del_gendisk(cpu, ram_disk(cpu));
  t.equal(make(cpu, t, q, 0), -ENODEV, "a request of a dying queue");
  t.equal(make(cpu, t, q, 0, BLK_MQ_REQ_NOWAIT), -EAGAIN, "the same without waiting");
  put_disk(cpu, ram_disk(cpu));
}

/** Body 0 freezes while a request is in flight, which body 1 completes when told. */
function freeze_waits(cpu: Cpu, t: Checks): void {
  const q = add_disk(cpu, t, { depth: 2 });
  ram_disk_defer(cpu, true);
  send(cpu, t, q, 0);
  blk_freeze_queue_start(cpu, q);
  t.equal(blk_mq_freeze_queue_wait_timeout(cpu, q, 20), 0, "ms left of 20, with a request in flight");
  t.equal(ends(cpu, t, 0), 0, "ends of the request so far");
  t.meet();
  blk_mq_freeze_queue_wait(cpu, q);
  t.equal(ends(cpu, t, 0), 1, "ends of the request when the queue is frozen");
  t.ok(blk_mq_freeze_queue_wait_timeout(cpu, q, 20) > 0, "a frozen queue is not waited for");
  blk_mq_unfreeze_queue(cpu, q);
  ram_disk_remove(cpu);
}
function complete_later(cpu: Cpu, t: Checks): void {
  t.meet();
  msleep(cpu, 5);
  ram_disk_complete(cpu, 1);
}

function freezes_nest(cpu: Cpu, t: Checks): void {
  const q = add_disk(cpu, t, { depth: 2 });
  for (let i = 0; i < 3; i++) blk_mq_freeze_queue(cpu, q);
  for (let i = 0; i < 3; i++) {
    t.equal(make(cpu, t, q, 0, BLK_MQ_REQ_NOWAIT), -EAGAIN, `frozen ${3 - i} times`);
    blk_mq_unfreeze_queue(cpu, q);
  }
  t.equal(execute(cpu, q), BLK_STS_OK, "thawed");
  ram_disk_remove(cpu);
}

function unbalanced_unfreeze(cpu: Cpu, t: Checks): void {
  const q = add_disk(cpu, t, { depth: 2 });
  blk_mq_unfreeze_queue(cpu, q);
  t.equal(execute(cpu, q), BLK_STS_OK, "the queue still works");
  blk_mq_freeze_queue(cpu, q);
  t.equal(make(cpu, t, q, 0, BLK_MQ_REQ_NOWAIT), -EAGAIN, "and can be frozen");
  blk_mq_unfreeze_queue(cpu, q);
  ram_disk_remove(cpu);
}

/** The freezer waits for a request that only its time-out will end. */
function freeze_and_timeout(cpu: Cpu, t: Checks): void {
  const q = add_disk(cpu, t, { depth: 2, timeout: 10 });
  ram_disk_defer(cpu, true);
  ram_disk_abort(cpu, true);
  send(cpu, t, q, 0);
  blk_freeze_queue_start(cpu, q);
  t.ok(blk_mq_freeze_queue_wait_timeout(cpu, q, 5000) > 0, "the time-out ends what the freezer waits for");
  t.equal(wait_end(cpu, t, 0), BLK_STS_TIMEOUT, "its status");
  blk_mq_unfreeze_queue(cpu, q);
  ram_disk_remove(cpu);
}

const COMPLETE_TWICE = kernel_symbol(blk_mq_case_complete_twice);
function blk_mq_case_complete_twice(cpu: Cpu, rq: RequestPtr, out: number): number {
  cpu.mem.write(out, blk_mq_complete_request(cpu, rq) ? 1 : 0);
  cpu.mem.write(out + 4, blk_mq_complete_request(cpu, rq) ? 1 : 0);
  return 1;
}

function late_completion(cpu: Cpu, t: Checks): void {
  const q = add_disk(cpu, t, { depth: 2 });
  ram_disk_defer(cpu, true);
  const rq = send(cpu, t, q, 0);
  t.equal(ram_disk_take(cpu), rq, "what the device has");
  t.ok(blk_mq_mark_complete(cpu, rq), "the first completion wins");
  t.ok(!blk_mq_mark_complete(cpu, rq), "the second loses");
  // Nobody has ended it: a second life.
  blk_mq_requeue_request(cpu, rq, true);
  t.ok(reissued(cpu, 2), "it is issued again");
  blk_mq_tagset_busy_iter(cpu, q, COMPLETE_TWICE, word(t, 1));
  t.equal(cpu.mem.read(word(t, 1)), 1, "completed during a walk");
  t.equal(cpu.mem.read(word(t, 1) + 4), 0, "completed once more, while the walk holds it");
  t.equal(wait_end(cpu, t, 0), BLK_STS_OK, "its status");
  ram_disk_take(cpu);
  ram_disk_remove(cpu);
}

function reissued(cpu: Cpu, times: number): boolean {
  const limit = cpu.now() + 5000;
  while (ram_disk_issued(cpu) < times && cpu.now() < limit) msleep(cpu, 1);
  return ram_disk_issued(cpu) >= times;
}

const COMPLETE_AND_ALLOC = kernel_symbol(blk_mq_case_complete_and_alloc);
function blk_mq_case_complete_and_alloc(cpu: Cpu, rq: RequestPtr, out: number): number {
  blk_mq_complete_request(cpu, rq);
  cpu.mem.write(out, req_ref_read(cpu, rq));
  cpu.mem.write(out + 4, busy(cpu));
  return 1;
}

/** The walk has the last reference of a request that ends under it. */
function tag_until_last_ref(cpu: Cpu, t: Checks): void {
  const q = add_disk(cpu, t, { depth: 1 });
  ram_disk_defer(cpu, true);
  send(cpu, t, q, 0);
  ram_disk_take(cpu);
  blk_mq_tagset_busy_iter(cpu, q, COMPLETE_AND_ALLOC, word(t, 1));
  t.equal(ends(cpu, t, 0), 1, "ends of the request");
  t.equal(cpu.mem.read(word(t, 1)), 1, "references left during the visit");
  t.equal(cpu.mem.read(word(t, 1) + 4), 1, "tags in use during the visit");
  t.equal(busy(cpu), 0, "tags in use after it");
  ram_disk_remove(cpu);
}

const COUNT = kernel_symbol(blk_mq_case_count);
function blk_mq_case_count(cpu: Cpu, _rq: RequestPtr, out: number): number {
  cpu.mem.write(out, cpu.mem.read(out) + 1);
  return cpu.mem.read(out) === 3 ? 0 : 1;
}

function busy_iter(cpu: Cpu, t: Checks): void {
  const q = add_disk(cpu, t, { depth: 64 });
  ram_disk_defer(cpu, true);
  const idle = make(cpu, t, q, 0);
  for (let i = 1; i <= 2; i++) t.ok(blk_mq_request_started(cpu, send(cpu, t, q, i)), "started");
  blk_mq_tagset_busy_iter(cpu, q, COUNT, word(t, 0));
  t.equal(cpu.mem.read(word(t, 0)), 2, "started requests");
  blk_mq_queue_tag_busy_iter(cpu, q, COUNT, word(t, 1));
  t.equal(cpu.mem.read(word(t, 1)), 3, "requests");
  for (let i = 3; i <= 8; i++) send(cpu, t, q, i);
  blk_mq_tagset_busy_iter(cpu, q, COUNT, word(t, 2));
  t.equal(cpu.mem.read(word(t, 2)), 3, "a walk that is ended early");
  blk_execute_rq_nowait(cpu, idle, false);
  ram_disk_complete(cpu, 9);
  for (let i = 0; i <= 8; i++) wait_end(cpu, t, i);
  ram_disk_remove(cpu);
}

function reset_timer(cpu: Cpu, t: Checks): void {
  const q = add_disk(cpu, t, { depth: 2, timeout: 5 });
  ram_disk_defer(cpu, true);
  send(cpu, t, q, 0);
  const limit = cpu.now() + 5000;
  while (ram_disk_timeouts(cpu) < 3 && cpu.now() < limit) msleep(cpu, 1);
  t.ok(ram_disk_timeouts(cpu) >= 3, "the driver is asked again and again");
  t.equal(ends(cpu, t, 0), 0, "ends of the request so far");
  ram_disk_complete(cpu, 1);
  t.equal(wait_end(cpu, t, 0), BLK_STS_OK, "its status");
  ram_disk_remove(cpu);
}

function abort_request(cpu: Cpu, t: Checks): void {
  const q = add_disk(cpu, t, { depth: 2 });
  ram_disk_defer(cpu, true);
  ram_disk_abort(cpu, true);
  const rq = send(cpu, t, q, 0);
  send(cpu, t, q, 1);
  blk_abort_request(cpu, rq);
  t.equal(wait_end(cpu, t, 0), BLK_STS_TIMEOUT, "the aborted request");
  t.equal(ends(cpu, t, 1), 0, "ends of the other one");
  ram_disk_complete(cpu, 1);
  t.equal(wait_end(cpu, t, 1), BLK_STS_OK, "the other one");
  ram_disk_remove(cpu);
}

/** The time-out handler ends it by queueing it again; the device keeps it once more. */
function late_twice(cpu: Cpu, t: Checks): void {
  const q = add_disk(cpu, t, { depth: 2, timeout: 5 });
  ram_disk_defer(cpu, true);
  ram_disk_abort(cpu, true);
  ram_disk_give_back(cpu, 1);
  send(cpu, t, q, 0);
  t.equal(wait_end(cpu, t, 0), BLK_STS_TIMEOUT, "its status");
  t.equal(ram_disk_requeues(cpu), 1, "times it was handed back");
  t.equal(ram_disk_timeouts(cpu), 2, "times it was late");
  ram_disk_complete(cpu, 1);
  ram_disk_remove(cpu);
}

function quiesce(cpu: Cpu, t: Checks): void {
  const q = add_disk(cpu, t, { depth: 8 });
  blk_mq_quiesce_queue(cpu, q);
  blk_mq_quiesce_queue(cpu, q);
  for (let i = 0; i < 4; i++) send(cpu, t, q, i);
  msleep(cpu, 10);
  t.equal(ram_disk_issued(cpu), 0, "requests the driver saw");
  blk_mq_unquiesce_queue(cpu, q);
  msleep(cpu, 10);
  t.equal(ram_disk_issued(cpu), 0, "requests the driver saw, quiesced once");
  blk_mq_unquiesce_queue(cpu, q);
  for (let i = 0; i < 4; i++) t.equal(wait_end(cpu, t, i), BLK_STS_OK, `request ${i}`);
  ram_disk_remove(cpu);
}

function requeue_list(cpu: Cpu, t: Checks): void {
  const q = add_disk(cpu, t, { depth: 8 });
  ram_disk_defer(cpu, true);
  const rq = send(cpu, t, q, 0);
  ram_disk_take(cpu);
  t.ok(blk_mq_mark_complete(cpu, rq), "claimed");
  blk_mq_requeue_request(cpu, rq, false);
  t.ok(!blk_mq_request_started(cpu, rq), "not started any more");
  msleep(cpu, 10);
  t.equal(ram_disk_issued(cpu), 1, "issues before the kick");
  blk_mq_kick_requeue_list(cpu, q);
  t.ok(reissued(cpu, 2), "issued after the kick");
  ram_disk_complete(cpu, 1);
  t.equal(wait_end(cpu, t, 0), BLK_STS_OK, "its status");
  ram_disk_remove(cpu);
}

function law(name: string, ...bodies: readonly Body[]): Case {
  return { name, bodies };
}

export const suite: Suite = {
  name: "blk-mq",
  source: "block/blk-mq.c; blktests tests/block",
  cases: [
    law("block/014 timeout injection", timeout_injection),
    law("block/015 requeue injection", requeue_injection),
    ...LOAD_CASES,
    law("NOWAIT waits neither for a tag nor for a thaw", nowait),
    law("a dying queue refuses", dying),
    law("freeze waits for zero", freeze_waits, complete_later),
    law("freezes nest", freezes_nest),
    { ...law("unfreeze without freeze", unbalanced_unfreeze), warns: ["freeze.ts"] },
    law("a time-out ends what a freezer waits for", freeze_and_timeout),
    law("a late completion loses", late_completion),
    law("a tag is taken until the last reference is dropped", tag_until_last_ref),
    law("busy iteration", busy_iter),
    law("BLK_EH_RESET_TIMER", reset_timer),
    law("a request that was late and is queued again is late again", late_twice),
    law("blk_abort_request", abort_request),
    law("quiesce", quiesce),
    law("the requeue list waits for its kick", requeue_list),
  ],
};
