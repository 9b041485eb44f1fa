/**
 * Admin commands, one at a time, waited for (nvme_submit_sync_cmd). Unlike Linux the admin queue is no block
 * queue: a mutex, the ring, and one completion.
 *
 * The waiter does not rely on the interrupt alone: its CPU may have left the kernel. So it also polls, every
 * millisecond.
 *
 * Interface: nvme_submit_admin returns the status field, or -errno; then nvme_admin_result.
 */
import { ETIMEDOUT } from "@ringside/core/debug/errno";
import { LOG_WARN, printk } from "@ringside/core/debug/dmesg";
import { struct_layout } from "@ringside/core/debug/layout";
import { symbol_call, type SymbolId } from "@ringside/core/debug/image";
import { mutex_init, mutex_lock, MUTEX_SIZE, mutex_unlock } from "@ringside/core/lock/mutex";
import {
  COMPLETION_SIZE,
  complete,
  init_completion,
  reinit_completion,
  try_wait_for_completion,
  wait_for_completion_timeout,
} from "@ringside/core/sched/completion";
import type { Cpu } from "@ringside/core/sched/cpu";
import { nvme_ring_device } from "../spec/bar.ts";
import { CQE_RESULT, NVME_SQE_SIZE, SQE_CDW10, SQE_CDW11, SQE_NSID, SQE_PRP1 } from "../spec/entries.ts";
import { nvme_sq_advance, nvme_sq_slot, nvme_write_sq_db, type NvmeQueuePtr } from "./queue.ts";

// struct nvme_admin: the queue's user side.
const LOCK = 0;
// Guarded by LOCK:
const NVMEQ = MUTEX_SIZE;
const NEXT_CID: number = NVMEQ + 4;
const POLL: number = NVMEQ + 8;
// Written by whoever reaps, before it completes DONE; read by the holder of LOCK after it waited:
const WAITED_CID: number = NVMEQ + 12;
const STATUS: number = NVMEQ + 16;
const RESULT: number = NVMEQ + 20;
const DONE: number = NVMEQ + 24;
export const NVME_ADMIN_SIZE: number = DONE + COMPLETION_SIZE;

struct_layout("nvme_admin", NVME_ADMIN_SIZE, [
  ["lock", LOCK, MUTEX_SIZE],
  ["nvmeq", NVMEQ, 4],
  ["next_cid", NEXT_CID, 4],
  ["poll", POLL, 4],
  ["waited_cid", WAITED_CID, 4],
  ["status", STATUS, 4],
  ["result", RESULT, 4],
  ["done", DONE, COMPLETION_SIZE],
]);

/** NVME_ADMIN_TIMEOUT, ms. */
const ADMIN_TIMEOUT = 60_000;
const POLL_MS = 1;
const CQE_DW3 = 12;
const STATUS_SHIFT = 17;

/** `poll(cpu, nvmeq)` reaps the queue. The struct is the start of the nvme_dev that nvmeq names. */
export function nvme_admin_init(cpu: Cpu, admin: number, nvmeq: NvmeQueuePtr, poll: SymbolId): void {
  mutex_init(cpu, admin + LOCK);
  cpu.mem.write(admin + NVMEQ, nvmeq);
  cpu.mem.write(admin + NEXT_CID, 0);
  cpu.mem.write(admin + POLL, poll);
  init_completion(cpu, admin + DONE);
}

/**
 * Runs one command with up to a page of data at DMA address `prp1`. Sleeps. The status field (0 is success),
 * or -ETIMEDOUT.
 */
export function nvme_submit_admin(
  cpu: Cpu,
  admin: number,
  opcode: number,
  nsid: number,
  prp1: number,
  cdw10: number,
  cdw11: number,
): number {
  mutex_lock(cpu, admin + LOCK);
  const nvmeq = cpu.mem.read(admin + NVMEQ) as NvmeQueuePtr;
  const cid = cpu.mem.read(admin + NEXT_CID);
  cpu.mem.write(admin + NEXT_CID, (cid + 1) & 0xffff);
  cpu.mem.write(admin + WAITED_CID, cid);
  reinit_completion(cpu, admin + DONE);
  const sqe = nvme_sq_slot(cpu, nvmeq);
  cpu.mem.memset(sqe, 0, NVME_SQE_SIZE);
  cpu.mem.write(sqe, opcode | (cid << 16));
  cpu.mem.write(sqe + SQE_NSID, nsid);
  cpu.mem.write64(sqe + SQE_PRP1, prp1);
  cpu.mem.write(sqe + SQE_CDW10, cdw10);
  cpu.mem.write(sqe + SQE_CDW11, cdw11);
  nvme_sq_advance(cpu, nvmeq);
  nvme_write_sq_db(cpu, nvmeq, true);
  nvme_ring_device(cpu);
  const status = wait_admin(cpu, admin, nvmeq);
  mutex_unlock(cpu, admin + LOCK);
  return status;
}

function wait_admin(cpu: Cpu, admin: number, nvmeq: NvmeQueuePtr): number {
  const deadline = cpu.now() + ADMIN_TIMEOUT;
  for (;;) {
    symbol_call(cpu, cpu.mem.read(admin + POLL), nvmeq);
    if (try_wait_for_completion(cpu, admin + DONE)) break;
    if (wait_for_completion_timeout(cpu, admin + DONE, POLL_MS) > 0) break;
    if (cpu.now() < deadline) continue;
    // The command may still complete: its id is no longer waited for.
    cpu.mem.writeOnce(admin + WAITED_CID, -1);
    return -ETIMEDOUT;
  }
  return cpu.mem.read(admin + STATUS);
}

/** Dword 0 of the last command's completion; the caller serialises, as probe and remove do. */
export function nvme_admin_result(cpu: Cpu, admin: number): number {
  return cpu.mem.read(admin + RESULT);
}

/** A completion of the admin queue. The queue's lock is held. */
export function nvme_admin_handle_cqe(cpu: Cpu, admin: number, cqe: number): void {
  const dw3 = cpu.mem.read(cqe + CQE_DW3);
  const cid = dw3 & 0xffff;
  if (cid !== cpu.mem.readOnce(admin + WAITED_CID)) {
    printk(cpu, LOG_WARN, `nvme: invalid id ${cid} completed on queue 0`);
    return;
  }
  cpu.mem.write(admin + STATUS, dw3 >>> STATUS_SHIFT);
  cpu.mem.write(admin + RESULT, cpu.mem.read(cqe + CQE_RESULT));
  complete(cpu, admin + DONE);
}
