/**
 * nvme_queue_rqs on lists of any make: some requests cannot be prepared, and the hardware queues take turns. The
 * oracle is the list as an array.
 */
import {
  bio_alloc,
  bio_iov_iter_get_pages,
  type BioPtr,
  bio_put,
  bio_set_end_io,
  bio_set_sector,
  bio_status,
  REQ_OP_READ,
} from "@ringside/core/block/bio";
import { blk_mq_end_request } from "@ringside/core/block/complete";
import { bdev_get_queue, disk_part0 } from "@ringside/core/block/disk";
import {
  blk_queue_enter,
  HCTX_TYPE_DEFAULT,
  queue_hctx,
  type RequestQueuePtr,
} from "@ringside/core/block/queue";
import {
  blk_mq_bio_to_request,
  blk_mq_tag_to_rq,
  blk_rq_pos,
  type HctxPtr,
  hctx_tags,
  type RequestPtr,
  rq_next,
  rq_set_next,
} from "@ringside/core/block/request";
import { blk_mq_rq_ctx_init } from "@ringside/core/block/rq-state";
import { BLK_STS_NOTSUPP } from "@ringside/core/block/status";
import { blk_mq_get_tag } from "@ringside/core/block/submit";
import { blk_mq_tags_busy } from "@ringside/core/block/tags";
import { kernel_static, kernel_symbol } from "@ringside/core/debug/image";
import { path_counters } from "@ringside/core/debug/path-counters";
import { ITER_DEST } from "@ringside/core/fs/iov-iter";
import { __get_free_pages } from "@ringside/core/mm/page-alloc";
import { GFP_KERNEL } from "@ringside/core/mm/slab";
import type { Cpu } from "@ringside/core/sched/cpu";
import { dmesg } from "@ringside/core/testing/solo";
import { expect, test } from "vitest";
import { DriverMachine } from "../testing/driver-machine.ts";
import { nvme_poll_queue } from "./complete.ts";
import { dev_queue, nvme_dev, nvme_disk } from "./dev.ts";
import { nvmeq_sq_cmds, nvmeq_sq_tail, type NvmeQueuePtr } from "./queue.ts";
import { nvme_queue_rqs } from "./submit.ts";

const QUEUES = 2;
const TRIALS = 300;
const MOST = 40;
/** REQ_OP_DISCARD, which the driver does not know: preparation fails. */
const OP_UNKNOWN = 3;
const SQE_SHIFT = 6;
const SQE_SLBA = 40;

/** Ends: how many, then each status. */
const ENDS = kernel_static("queue_rqs_ends", 1024);
const END_IO = kernel_symbol(queue_rqs_end_io);
function queue_rqs_end_io(cpu: Cpu, bio: BioPtr): void {
  const n = cpu.mem.read(ENDS) + 1;
  cpu.mem.write(ENDS, n);
  cpu.mem.write(ENDS + 4 * n, bio_status(cpu, bio));
  bio_put(cpu, bio);
}

/** What a request of the list is to be. */
interface Wish {
  /** Its hardware queue. */
  readonly queue: number;
  readonly fails: boolean;
}

class Rig {
  readonly m: DriverMachine = DriverMachine.started({ cpus: QUEUES });
  readonly cpu: Cpu = this.m.cpu;
  readonly q: RequestQueuePtr = bdev_get_queue(this.cpu, disk_part0(nvme_disk(this.cpu)));
  readonly page: number = __get_free_pages(this.cpu, GFP_KERNEL, 0);

  hctx(queue: number): HctxPtr {
    return queue_hctx(this.cpu, this.q, HCTX_TYPE_DEFAULT, queue) as HctxPtr;
  }
  nvmeq(queue: number): NvmeQueuePtr {
    return dev_queue(this.cpu, nvme_dev(this.cpu), queue + 1);
  }
  /** A read of block `sector`, which is its name in the ring. */
  request(wish: Wish, sector: number): RequestPtr {
    const { cpu } = this;
    const bio = bio_alloc(cpu, disk_part0(nvme_disk(cpu)), wish.fails ? OP_UNKNOWN : REQ_OP_READ, GFP_KERNEL);
    bio_set_sector(cpu, bio, sector);
    bio_iov_iter_get_pages(cpu, bio, this.m.iter(ITER_DEST, { bvecs: [[this.page, 512]] }));
    bio_set_end_io(cpu, bio, END_IO, 0);
    expect(blk_queue_enter(cpu, this.q, 0)).toBe(0);
    const hctx = this.hctx(wish.queue);
    const rq = blk_mq_tag_to_rq(cpu, hctx, blk_mq_get_tag(cpu, hctx, true));
    blk_mq_rq_ctx_init(cpu, rq);
    blk_mq_bio_to_request(cpu, rq, bio);
    return rq;
  }
  list(wishes: readonly Wish[]): RequestPtr {
    const rqs = wishes.map((wish, i) => this.request(wish, i));
    for (let i = 0; i + 1 < rqs.length; i++)
      rq_set_next(this.cpu, rqs[i] as RequestPtr, rqs[i + 1] as number);
    return rqs[0] as RequestPtr;
  }
  /** Blocks that the ring's entries from `tail` on name, up to the tail of now. */
  entries(queue: number, tail: number, depth: number): number[] {
    const nvmeq = this.nvmeq(queue);
    const blocks: number[] = [];
    for (let slot = tail; slot !== nvmeq_sq_tail(this.cpu, nvmeq); slot = (slot + 1) % depth) {
      blocks.push(this.cpu.mem.read(nvmeq_sq_cmds(this.cpu, nvmeq) + (slot << SQE_SHIFT) + SQE_SLBA));
    }
    return blocks;
  }
  doorbells(): number {
    return path_counters(this.cpu, 0).doorbells;
  }
  /** Runs the device, and takes the completions of all queues, whosoever interrupt that is. */
  finish(): number[] {
    while (this.m.controller.step());
    for (let queue = 0; queue < QUEUES; queue++) nvme_poll_queue(this.cpu, this.nvmeq(queue));
    const n = this.cpu.mem.read(ENDS);
    this.cpu.mem.write(ENDS, 0);
    return Array.from({ length: n }, (_, i) => this.cpu.mem.read(ENDS + 4 * (i + 1)));
  }
  busy(): number[] {
    return [0, 1].map((queue) => blk_mq_tags_busy(this.cpu, hctx_tags(this.cpu, this.hctx(queue))));
  }
}

/** Stretches of one queue that have something to send: each is worth a doorbell. */
function stretches(wishes: readonly Wish[]): number {
  let count = 0;
  let queue = -1;
  let rung = true;
  for (const wish of wishes) {
    if (wish.queue !== queue) rung = false;
    queue = wish.queue;
    if (wish.fails || rung) continue;
    rung = true;
    count++;
  }
  return count;
}

/** Sends the list and holds everything that comes of it to the wishes. */
function send(rig: Rig, wishes: readonly Wish[], depth: number): void {
  const { cpu } = rig;
  const tails = [0, 1].map((queue) => nvmeq_sq_tail(cpu, rig.nvmeq(queue)));
  const rung = rig.doorbells();
  const left = nvme_queue_rqs(cpu, rig.list(wishes));
  const index = (pick: (wish: Wish) => boolean): number[] =>
    wishes.flatMap((wish, i) => (pick(wish) ? [i] : []));
  for (let queue = 0; queue < QUEUES; queue++) {
    const sent = index((wish) => wish.queue === queue && !wish.fails);
    expect(rig.entries(queue, tails[queue] as number, depth)).toEqual(sent);
  }
  expect(rig.doorbells() - rung).toBe(stretches(wishes));
  const failed: number[] = [];
  for (let rq = left; rq !== 0; ) {
    const next = rq_next(cpu, rq);
    failed.push(blk_rq_pos(cpu, rq));
    blk_mq_end_request(cpu, rq, BLK_STS_NOTSUPP);
    rq = next;
  }
  expect(failed).toEqual(index((wish) => wish.fails));
  const ends = rig.finish();
  expect(ends.length).toBe(wishes.length);
  expect(ends.filter((status) => status !== 0).length).toBe(failed.length);
  expect(rig.busy()).toEqual([0, 0]);
}

/** Entries of a ring: one more than it has tags. */
const DEPTH = 1024;

test("every second, every third, all, the first, the last one fails: the others go, in order, by one doorbell", () => {
  const rig = new Rig();
  const fails: readonly ((i: number, n: number) => boolean)[] = [
    () => false,
    (i) => i % 2 === 1,
    (i) => i % 2 === 0,
    (i) => i % 3 === 1,
    () => true,
    (i) => i === 0,
    (i, n) => i === n - 1,
    (i, n) => i !== 0 && i !== n - 1,
  ];
  for (const n of [1, 2, 3, 12]) {
    for (const f of fails) {
      send(
        rig,
        Array.from({ length: n }, (_, i) => ({ queue: 0, fails: f(i, n) })),
        DEPTH,
      );
    }
  }
});

test("any failures on any change of queues: each ring gets its own, in order", () => {
  const rig = new Rig();
  let sent = 0;
  for (let trial = 0; trial < TRIALS; trial++) {
    const n = 1 + (rig.cpu.random32() % MOST);
    const sticky = 1 + (trial % 4);
    let queue = 0;
    const wishes = Array.from({ length: n }, () => {
      if (rig.cpu.random32() % sticky === 0) queue = rig.cpu.random32() % QUEUES;
      return { queue, fails: rig.cpu.random32() % 3 === 0 };
    });
    send(rig, wishes, DEPTH);
    sent += n;
  }
  // Both rings have wrapped.
  expect(sent).toBeGreaterThan(4 * DEPTH);
  expect(dmesg(rig.cpu).every((text) => text.includes("unsupported request operation"))).toBe(true);
});
