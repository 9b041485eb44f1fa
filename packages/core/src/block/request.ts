/**
 * struct request and struct blk_mq_hw_ctx (include/linux/blk-mq.h): a bio on its way to the device, and the
 * hardware queue it goes to.
 *
 * The requests of a hardware queue are allocated once, one per tag; tag and queue of a request never change.
 * The driver's data (its "pdu") lies behind each. Who holds the tag owns the request. Its state, its references
 * and who may change them: rq-state.ts.
 */
import type { Ptr } from "atomics-sync";
import type { SymbolId } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import type { Cpu } from "../sched/cpu.ts";
import { WORK_STRUCT_SIZE } from "../sched/workqueue.ts";
import { bio_is_dmabuf_map, bio_opf, type BioPtr, bio_sector, bio_size, REQ_OP_MASK } from "./bio.ts";
import type { RequestQueuePtr } from "./queue.ts";
import type { TagsPtr } from "./tags.ts";

// Hot: local copies, since a read of an imported constant costs several times as much.
const OP_MASK = REQ_OP_MASK;

export type RequestPtr = Ptr<"request">;
export type HctxPtr = Ptr<"blk_mq_hw_ctx">;

/** struct blk_mq_ops: constant words, each a symbol or 0. */
/** (cpu, hctx, rq, last): BLK_STS_*. */
export const BLK_MQ_OPS_QUEUE_RQ = 0;
/** (cpu, hctx): makes the device see what queue_rq left pending. */
export const BLK_MQ_OPS_COMMIT_RQS = 4;
/** (cpu, rq): the request is COMPLETE; end it. */
export const BLK_MQ_OPS_COMPLETE = 8;
/** (cpu, hctx): completions found. */
export const BLK_MQ_OPS_POLL = 12;
/** (cpu, rq): not completed in time. BLK_EH_DONE, or BLK_EH_RESET_TIMER. May sleep; the request stays ours. */
export const BLK_MQ_OPS_TIMEOUT = 16;
/** (cpu, q, token): 0 or -errno. */
export const BLK_MQ_OPS_CREATE_DMABUF_TOKEN = 20;
/** (cpu, list): takes requests off a list linked by rq_next; returns those it could not queue. */
export const BLK_MQ_OPS_QUEUE_RQS = 24;
export const BLK_MQ_OPS_WORDS = 7;

// struct request. Constant after blk_mq_init_queue:
const RQ_Q = 0;
const RQ_HCTX = 4;
const RQ_TAG = 8;
// Owned by the holder of the tag:
const RQ_CMD_FLAGS = 12;
const RQ_BIO = 16;
const RQ_NEXT = 20;
const RQ_SECTOR = 24;
const RQ_DATA_LEN = 28;
/** Only without a bio: whom to tell, (cpu, rq, status): RQ_END_IO_NONE or RQ_END_IO_FREE, and its data. */
const RQ_END_IO = 32;
const RQ_END_IO_DATA = 36;
// As rq-state.ts says:
export const RQ_STATE = 40;
export const RQ_FLAGS = 44;
export const RQ_DEADLINE = 48;
export const RQ_REF = 52;
const PDU = 56;
export const REQUEST_SIZE: number = PDU;

struct_layout("request", REQUEST_SIZE, [
  ["q", RQ_Q, 4],
  ["mq_hctx", RQ_HCTX, 4],
  ["tag", RQ_TAG, 4],
  ["cmd_flags", RQ_CMD_FLAGS, 4],
  ["bio", RQ_BIO, 4],
  ["rq_next", RQ_NEXT, 4],
  ["__sector", RQ_SECTOR, 4],
  ["__data_len", RQ_DATA_LEN, 4],
  ["end_io", RQ_END_IO, 4],
  ["end_io_data", RQ_END_IO_DATA, 4],
  ["state", RQ_STATE, 4],
  ["rq_flags", RQ_FLAGS, 4],
  ["deadline", RQ_DEADLINE, 4],
  ["ref", RQ_REF, 4],
]);

// struct blk_mq_hw_ctx. Constant after blk_mq_init_queue:
const HCTX_Q = 0;
const HCTX_DRIVER_DATA = 4;
const HCTX_TAGS = 8;
/** Address of the request of tag 0, bytes from one to the next, bytes in all. */
const HCTX_RQS = 12;
const HCTX_RQ_STRIDE = 16;
const HCTX_RQS_BYTES = 20;
const HCTX_QUEUE_NUM = 24;
const HCTX_TYPE = 28;
// A line of its own, guarded by HCTX_LOCK: requests the driver had no resources for, oldest first.
export const HCTX_LOCK = 128;
export const HCTX_DISPATCH = 132;
export const HCTX_DISPATCH_TAIL = 136;
/** Milliseconds until the list is tried again. */
export const HCTX_RUN_DELAY = 140;
export const HCTX_RUN_WORK = 144;
export const HCTX_SIZE: number = HCTX_RUN_WORK + WORK_STRUCT_SIZE;

struct_layout("blk_mq_hw_ctx", HCTX_SIZE, [
  ["queue", HCTX_Q, 4],
  ["driver_data", HCTX_DRIVER_DATA, 4],
  ["tags", HCTX_TAGS, 4],
  ["rqs", HCTX_RQS, 4],
  ["rq_stride", HCTX_RQ_STRIDE, 4],
  ["rqs_bytes", HCTX_RQS_BYTES, 4],
  ["queue_num", HCTX_QUEUE_NUM, 4],
  ["type", HCTX_TYPE, 4],
  ["lock", HCTX_LOCK, 4],
  ["dispatch", HCTX_DISPATCH, 4],
  ["dispatch_tail", HCTX_DISPATCH_TAIL, 4],
  ["run_delay", HCTX_RUN_DELAY, 4],
  ["run_work", HCTX_RUN_WORK, WORK_STRUCT_SIZE],
]);

export function hctx_init(
  cpu: Cpu,
  hctx: HctxPtr,
  q: RequestQueuePtr,
  tags: TagsPtr,
  queue_num: number,
  type: number,
): void {
  cpu.mem.write(hctx + HCTX_Q, q);
  cpu.mem.write(hctx + HCTX_TAGS, tags);
  cpu.mem.write(hctx + HCTX_QUEUE_NUM, queue_num);
  cpu.mem.write(hctx + HCTX_TYPE, type);
}

/** Lays `nr` requests out at `rqs`, `stride` bytes apart. */
export function hctx_init_requests(cpu: Cpu, hctx: HctxPtr, rqs: number, stride: number, nr: number): void {
  cpu.mem.memset(rqs, 0, stride * nr);
  cpu.mem.write(hctx + HCTX_RQS, rqs);
  cpu.mem.write(hctx + HCTX_RQ_STRIDE, stride);
  cpu.mem.write(hctx + HCTX_RQS_BYTES, stride * nr);
  for (let tag = 0; tag < nr; tag++) {
    const rq = rqs + tag * stride;
    cpu.mem.write(rq + RQ_Q, cpu.mem.read(hctx + HCTX_Q));
    cpu.mem.write(rq + RQ_HCTX, hctx);
    cpu.mem.write(rq + RQ_TAG, tag);
  }
}

export function hctx_queue(cpu: Cpu, hctx: HctxPtr): RequestQueuePtr {
  return cpu.mem.read(hctx + HCTX_Q) as RequestQueuePtr;
}
export function hctx_tags(cpu: Cpu, hctx: HctxPtr): TagsPtr {
  return cpu.mem.read(hctx + HCTX_TAGS) as TagsPtr;
}
export function hctx_rqs(cpu: Cpu, hctx: HctxPtr): number {
  return cpu.mem.read(hctx + HCTX_RQS);
}
export function hctx_rqs_bytes(cpu: Cpu, hctx: HctxPtr): number {
  return cpu.mem.read(hctx + HCTX_RQS_BYTES);
}
export function hctx_type(cpu: Cpu, hctx: HctxPtr): number {
  return cpu.mem.read(hctx + HCTX_TYPE);
}
/** The driver's queue behind this one. */
export function hctx_driver_data(cpu: Cpu, hctx: HctxPtr): number {
  return cpu.mem.read(hctx + HCTX_DRIVER_DATA);
}
export function hctx_set_driver_data(cpu: Cpu, hctx: HctxPtr, data: number): void {
  cpu.mem.write(hctx + HCTX_DRIVER_DATA, data);
}

/** blk_mq_tag_to_rq: the request of `tag`, in use or not. */
export function blk_mq_tag_to_rq(cpu: Cpu, hctx: HctxPtr, tag: number): RequestPtr {
  return (cpu.mem.read(hctx + HCTX_RQS) + tag * cpu.mem.read(hctx + HCTX_RQ_STRIDE)) as RequestPtr;
}

/** The driver's data of a request. */
export function blk_mq_rq_to_pdu(rq: RequestPtr): number {
  return rq + PDU;
}

/** The request carries `bio` and nothing else: requests are not merged. */
export function blk_mq_bio_to_request(cpu: Cpu, rq: RequestPtr, bio: BioPtr): void {
  const mem = cpu.mem;
  mem.write(rq + RQ_CMD_FLAGS, bio_opf(cpu, bio));
  mem.write(rq + RQ_BIO, bio);
  mem.write(rq + RQ_NEXT, 0);
  mem.write(rq + RQ_SECTOR, bio_sector(cpu, bio));
  mem.write(rq + RQ_DATA_LEN, bio_size(cpu, bio));
}

/** The request carries no bio: whoever asked for it says what happens at its end. */
export function blk_rq_init(cpu: Cpu, rq: RequestPtr, opf: number): void {
  const mem = cpu.mem;
  mem.write(rq + RQ_CMD_FLAGS, opf);
  mem.write(rq + RQ_BIO, 0);
  mem.write(rq + RQ_NEXT, 0);
  mem.write(rq + RQ_SECTOR, 0);
  mem.write(rq + RQ_DATA_LEN, 0);
  mem.write(rq + RQ_END_IO, 0);
  mem.write(rq + RQ_END_IO_DATA, 0);
}

export function rq_queue(cpu: Cpu, rq: RequestPtr): RequestQueuePtr {
  return cpu.mem.read(rq + RQ_Q) as RequestQueuePtr;
}
export function rq_hctx(cpu: Cpu, rq: RequestPtr): HctxPtr {
  return cpu.mem.read(rq + RQ_HCTX) as HctxPtr;
}
export function rq_tag(cpu: Cpu, rq: RequestPtr): number {
  return cpu.mem.read(rq + RQ_TAG);
}
export function req_op(cpu: Cpu, rq: RequestPtr): number {
  return cpu.mem.read(rq + RQ_CMD_FLAGS) & OP_MASK;
}
export function rq_cmd_flags(cpu: Cpu, rq: RequestPtr): number {
  return cpu.mem.read(rq + RQ_CMD_FLAGS);
}
export function rq_bio(cpu: Cpu, rq: RequestPtr): BioPtr {
  return cpu.mem.read(rq + RQ_BIO) as BioPtr;
}
/** nvme_rq_is_dmabuf_attached and its like: the data is behind an io_dmabuf_map. */
export function rq_is_dmabuf_map(cpu: Cpu, rq: RequestPtr): boolean {
  return bio_is_dmabuf_map(cpu, rq_bio(cpu, rq));
}
export function blk_rq_pos(cpu: Cpu, rq: RequestPtr): number {
  return cpu.mem.read(rq + RQ_SECTOR);
}
/** Bytes of data; 0 for a flush. */
export function blk_rq_bytes(cpu: Cpu, rq: RequestPtr): number {
  return cpu.mem.read(rq + RQ_DATA_LEN);
}
export function rq_next(cpu: Cpu, rq: RequestPtr): RequestPtr {
  return cpu.mem.read(rq + RQ_NEXT) as RequestPtr;
}
export function rq_set_next(cpu: Cpu, rq: RequestPtr, next: number): void {
  cpu.mem.write(rq + RQ_NEXT, next);
}

/** `rq->end_io = fn; rq->end_io_data = data`, of a request without a bio. */
export function rq_set_end_io(cpu: Cpu, rq: RequestPtr, fn: SymbolId, data: number): void {
  cpu.mem.write(rq + RQ_END_IO, fn);
  cpu.mem.write(rq + RQ_END_IO_DATA, data);
}
export function rq_end_io(cpu: Cpu, rq: RequestPtr): SymbolId {
  return cpu.mem.read(rq + RQ_END_IO);
}
export function rq_end_io_data(cpu: Cpu, rq: RequestPtr): number {
  return cpu.mem.read(rq + RQ_END_IO_DATA);
}
