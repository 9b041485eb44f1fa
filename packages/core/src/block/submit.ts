/**
 * submit_bio (block/blk-core.c, block/blk-mq.c): cut the bio to the device's limits, get a request for each
 * part, then either hold it in the task's plug or issue it.
 *
 * The hardware queue is the one of this CPU. Getting a request may sleep: for a thawed queue, or for a tag.
 * A polled bio does not sleep for a tag, since nobody else would complete the requests that hold them: it
 * polls its queue until one is free.
 *
 * Interface: submit_bio; bi_end_io runs exactly once, perhaps before the return. The one exception is
 * BLK_STS_AGAIN, returned for a REQ_NOWAIT bio that would have slept: then nothing has happened and the bio
 * is still the caller's (Linux ends such a bio with that status instead).
 */
import { EAGAIN } from "../debug/errno.ts";
import { percpu_static, symbol_call } from "../debug/image.ts";
import { GFP_NOIO } from "../mm/slab.ts";
import { type Cpu, this_cpu_ptr } from "../sched/cpu.ts";
import { irq_poll } from "../sched/irq.ts";
import { cond_resched } from "../sched/schedule.ts";
import {
  bio_bdev,
  bio_chain,
  bio_endio,
  bio_opf,
  type BioPtr,
  bio_set_opf,
  bio_set_status,
  bio_split,
  REQ_NOMERGE,
  REQ_NOWAIT,
  REQ_POLLED,
} from "./bio.ts";
import { bio_split_rw_at } from "./bio-split.ts";
import { bdev_get_queue, type BlockDevicePtr } from "./disk.ts";
import { blk_mq_free_cached_rqs, blk_mq_issue_request } from "./issue.ts";
import {
  blk_add_rq_to_plug,
  blk_flush_plug,
  blk_plug_cache_tags,
  blk_plug_cached_tag,
  blk_plug_has_cached,
  blk_plug_wanted,
  type PlugPtr,
} from "./plug.ts";
import {
  bio_queue_enter,
  blk_queue_enter_live,
  blk_queue_exit,
  HCTX_TYPE_DEFAULT,
  HCTX_TYPE_POLL,
  queue_hctx,
  queue_mq_op,
  queue_nr_hctx,
  type RequestQueuePtr,
} from "./queue.ts";
import {
  BLK_MQ_OPS_POLL,
  blk_mq_bio_to_request,
  blk_mq_tag_to_rq,
  type HctxPtr,
  hctx_queue,
  hctx_tags,
  hctx_type,
} from "./request.ts";
import { blk_mq_rq_ctx_init } from "./rq-state.ts";
import { BLK_STS_AGAIN, BLK_STS_INVAL, BLK_STS_OFFLINE, BLK_STS_OK, BLK_STS_RESOURCE } from "./status.ts";
import { bit_count, blk_mq_get_tags, blk_mq_try_get_tags } from "./tags.ts";

// Hot: local copies, since a read of an imported constant costs several times as much.
const NOWAIT = REQ_NOWAIT;
const POLLED = REQ_POLLED;
const STS_OK = BLK_STS_OK;
const TYPE_DEFAULT = HCTX_TYPE_DEFAULT;
const TYPE_POLL = HCTX_TYPE_POLL;

/** Parts of one bio: 2 GiB in requests of a page at least. */
const MAX_PARTS = 524288;

/** Where blk_mq_get_tags says which word the bits are of; read at once, so nobody comes between. */
const TAG_BASE = percpu_static("blk_mq_tag_base", 4);

/** Sends the bio off. BLK_STS_OK, or BLK_STS_AGAIN with the bio still the caller's. */
export function submit_bio(cpu: Cpu, bio: BioPtr): number {
  return __submit_bio(cpu, bdev_get_queue(cpu, bio_bdev(cpu, bio) as BlockDevicePtr), bio);
}

/** The same for who knows the queue of the bio's device. */
export function __submit_bio(cpu: Cpu, q: RequestQueuePtr, bio: BioPtr): number {
  const opf = bio_opf(cpu, bio);
  const bytes = bio_split_rw_at(cpu, bio, q);
  if (bytes !== 0) return submit_in_parts(cpu, q, bio, opf, bytes);
  return blk_mq_submit_bio(cpu, q, bio, opf, (opf & NOWAIT) !== 0);
}

/** The bio needs several requests, the first of `first` bytes; or none will do, and `first` is an error. */
function submit_in_parts(cpu: Cpu, q: RequestQueuePtr, bio: BioPtr, opf: number, first: number): number {
  let bytes = first;
  for (let part = 0; part < MAX_PARTS && bytes !== 0; part++) {
    if (bytes < 0) return bio_fail(cpu, bio, BLK_STS_INVAL);
    // Parts may fail to be issued one by one, and their errors are one error: ask for a blocking retry.
    if ((opf & NOWAIT) !== 0) return BLK_STS_AGAIN;
    const split = bio_split(cpu, bio, bytes, GFP_NOIO);
    if (split === 0) return bio_fail(cpu, bio, BLK_STS_RESOURCE);
    bio_set_opf(cpu, split, opf | REQ_NOMERGE);
    bio_chain(cpu, split, bio);
    blk_mq_submit_bio(cpu, q, split, opf, false);
    bytes = bio_split_rw_at(cpu, bio, q);
  }
  return blk_mq_submit_bio(cpu, q, bio, opf, false);
}

function bio_fail(cpu: Cpu, bio: BioPtr, status: number): number {
  bio_set_status(cpu, bio, status);
  bio_endio(cpu, bio);
  return STS_OK;
}

/** The hardware queue of this CPU for such bios. */
export function blk_mq_map_queue(cpu: Cpu, q: RequestQueuePtr, opf: number): HctxPtr {
  if ((opf & POLLED) !== 0) {
    const nr_poll = queue_nr_hctx(cpu, q, TYPE_POLL);
    if (nr_poll !== 0) return queue_hctx(cpu, q, TYPE_POLL, cpu.id % nr_poll) as HctxPtr;
  }
  const nr = queue_nr_hctx(cpu, q, TYPE_DEFAULT);
  return queue_hctx(cpu, q, TYPE_DEFAULT, cpu.id < nr ? cpu.id : cpu.id % nr) as HctxPtr;
}

/** One bio that fits one request. */
function blk_mq_submit_bio(cpu: Cpu, q: RequestQueuePtr, bio: BioPtr, opf: number, nowait: boolean): number {
  const plug = cpu.plug as PlugPtr;
  const hctx = blk_mq_map_queue(cpu, q, opf);
  let tag = plug === 0 ? -1 : blk_plug_cached_tag(cpu, plug, hctx);
  if (tag < 0) tag = blk_mq_get_new_tag(cpu, q, hctx, plug, nowait);
  if (tag < 0) {
    if (tag === -EAGAIN) return BLK_STS_AGAIN;
    return bio_fail(cpu, bio, BLK_STS_OFFLINE);
  }
  const rq = blk_mq_tag_to_rq(cpu, hctx, tag);
  blk_mq_rq_ctx_init(cpu, rq);
  blk_mq_bio_to_request(cpu, rq, bio);
  if (plug !== 0) blk_add_rq_to_plug(cpu, plug, rq);
  else blk_mq_issue_request(cpu, rq);
  return STS_OK;
}

/** Enters the queue and takes a tag, and more for the plug. -EAGAIN when that would sleep, -ENODEV. */
function blk_mq_get_new_tag(
  cpu: Cpu,
  q: RequestQueuePtr,
  hctx: HctxPtr,
  plug: PlugPtr,
  nowait: boolean,
): number {
  let error = bio_queue_enter(cpu, q, true);
  if (error === -EAGAIN && !nowait) {
    // Whoever froze the queue waits for what we hold back.
    blk_flush_plug(cpu);
    error = bio_queue_enter(cpu, q, false);
  }
  if (error < 0) return error;
  const out = this_cpu_ptr(cpu, TAG_BASE);
  const bits = blk_mq_get_tag_bits(cpu, hctx, plug, nowait, out);
  const base = cpu.mem.read(out);
  if (bits === 0) {
    blk_queue_exit(cpu, q, 1);
    return -EAGAIN;
  }
  const rest = bits & (bits - 1);
  if (rest !== 0) keep_ahead(cpu, q, hctx, plug, base, rest);
  return base + 31 - Math.clz32(bits & -bits);
}

/** One tag of `hctx`; sleeps for it, or -EAGAIN if `nowait`. */
export function blk_mq_get_tag(cpu: Cpu, hctx: HctxPtr, nowait: boolean): number {
  const out = this_cpu_ptr(cpu, TAG_BASE);
  const bits = blk_mq_get_tag_bits(cpu, hctx, 0 as PlugPtr, nowait, out);
  return bits === 0 ? -EAGAIN : cpu.mem.read(out) + 31 - Math.clz32(bits);
}

function keep_ahead(
  cpu: Cpu,
  q: RequestQueuePtr,
  hctx: HctxPtr,
  plug: PlugPtr,
  base: number,
  bits: number,
): void {
  blk_queue_enter_live(cpu, q, bit_count(bits));
  // Sleeping flushes the plug, so there is room; a second queue in one plug may still find it taken.
  if (blk_plug_has_cached(cpu, plug)) blk_mq_free_cached_rqs(cpu, hctx, base, bits);
  else blk_plug_cache_tags(cpu, plug, hctx, base, bits);
}

/** Tags of one word: as many as the plug expects, at least one. 0 only when `nowait`. */
function blk_mq_get_tag_bits(cpu: Cpu, hctx: HctxPtr, plug: PlugPtr, nowait: boolean, out: number): number {
  const tags = hctx_tags(cpu, hctx);
  const wanted = plug === 0 ? 1 : blk_plug_wanted(cpu, plug);
  let bits = blk_mq_try_get_tags(cpu, tags, wanted, out);
  if (bits !== 0 || nowait) return bits;
  // What we hold back may be what keeps the tags.
  blk_flush_plug(cpu);
  if (hctx_type(cpu, hctx) !== TYPE_POLL) return blk_mq_get_tags(cpu, tags, 1, out);
  for (;;) {
    bits = blk_mq_try_get_tags(cpu, tags, 1, out);
    if (bits !== 0) return bits;
    if (blk_mq_poll(cpu, hctx) === 0) cpu.mem.pause();
    cond_resched(cpu);
  }
}

/** Looks for completions of a hardware queue; returns how many. Those with interrupts take them here. */
export function blk_mq_poll(cpu: Cpu, hctx: HctxPtr): number {
  if (hctx_type(cpu, hctx) !== TYPE_POLL) {
    irq_poll(cpu);
    return 0;
  }
  return symbol_call(cpu, queue_mq_op(cpu, hctx_queue(cpu, hctx), BLK_MQ_OPS_POLL), hctx);
}
