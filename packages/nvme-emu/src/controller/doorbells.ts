/**
 * Doorbells: what the host may write and what is ignored. The device compares the word with the one it saw
 * last, so an invalid value is noticed once; the queue keeps the last sensible value.
 *
 * [P] 3.1.2 and [B] 5.1.2: a value outside the queue, a tail that would overrun the head, a head past the
 * entries posted, or a doorbell of no queue is an error event; the write has no other effect.
 */
import type { Cpu } from "@ringside/core/sched/cpu";
import { NVME_MAX_QUEUES, nvme_cq_doorbell, nvme_sq_doorbell } from "../spec/bar.ts";
import { NVME_AER_ERROR_INVALID_DB_REG, NVME_AER_ERROR_INVALID_DB_VALUE } from "../spec/opcodes.ts";
import { nvme_count, NVME_COUNT_BAD_DOORBELLS } from "./counters.ts";
import { nvme_error_event } from "./events.ts";
import type { NvmeCq, NvmeCtrl, NvmeSq } from "./state.ts";

function bad_doorbell(cpu: Cpu, n: NvmeCtrl, info: number): void {
  n.bad_doorbells++;
  nvme_count(cpu, NVME_COUNT_BAD_DOORBELLS, n.bad_doorbells);
  nvme_error_event(n, info);
}

/** The tail doorbell of `sq` holds another word than last time. */
export function nvme_sq_tail(cpu: Cpu, n: NvmeCtrl, sq: NvmeSq, tail: number): void {
  sq.seen = tail;
  if (
    tail < 0 ||
    tail >= sq.entries ||
    ring_used(sq.head, tail, sq.entries) < ring_used(sq.head, sq.tail, sq.entries)
  ) {
    bad_doorbell(cpu, n, NVME_AER_ERROR_INVALID_DB_VALUE);
    return;
  }
  sq.tail = tail;
}

function ring_used(head: number, tail: number, entries: number): number {
  const used = tail - head;
  return used < 0 ? used + entries : used;
}

/** Looks at the head doorbell of `cq`. */
export function nvme_cq_head(cpu: Cpu, n: NvmeCtrl, cq: NvmeCq): void {
  // Pairs with the host's storeRelease of the head: it has read the entries before it, so we may reuse them.
  const head = cpu.mem.loadAcquire(cq.doorbell);
  if (head === cq.seen) return;
  cq.seen = head;
  if (
    head < 0 ||
    head >= cq.entries ||
    ring_used(cq.head, head, cq.entries) > ring_used(cq.head, cq.tail, cq.entries)
  ) {
    bad_doorbell(cpu, n, NVME_AER_ERROR_INVALID_DB_VALUE);
    return;
  }
  cq.head = head;
}

/** Looks at every doorbell, also those of no queue. For rounds that have time. True when one was wrong. */
export function nvme_audit_doorbells(cpu: Cpu, n: NvmeCtrl): boolean {
  const before = n.bad_doorbells;
  for (let qid = 0; qid < NVME_MAX_QUEUES; qid++) {
    const cq = n.cqs[qid];
    if (n.sqs[qid] === undefined) audit_unused(cpu, n, nvme_sq_doorbell(qid));
    if (cq === undefined) audit_unused(cpu, n, nvme_cq_doorbell(qid));
    else if (cpu.mem.readOnce(cq.doorbell) !== cq.seen) nvme_cq_head(cpu, n, cq);
  }
  return n.bad_doorbells !== before;
}

function audit_unused(cpu: Cpu, n: NvmeCtrl, doorbell: number): void {
  if (cpu.mem.readOnce(doorbell) === 0) return;
  cpu.mem.storeRelease(doorbell, 0);
  bad_doorbell(cpu, n, NVME_AER_ERROR_INVALID_DB_REG);
}
