/**
 * Completion queues: posting entries, and never more of them than the host has room for.
 *
 * Invariant: an entry the host has not consumed (its head doorbell says so) is never overwritten. When a
 * queue is full, nothing that completes into it is fetched: completions are withheld, not lost.
 */
import { path_count, PATH_INDEX_RELOADS } from "@ringside/core/debug/path-counters";
import type { Cpu } from "@ringside/core/sched/cpu";
import { NVME_CQ_WITHHELD } from "../spec/bar.ts";
import { NVME_CSTS_CFS } from "../spec/registers.ts";
import { nvme_publish_csts } from "./csts.ts";
import { nvme_translate } from "./dma.ts";
import { nvme_cq_head } from "./doorbells.ts";
import type { NvmeCq, NvmeCtrl } from "./state.ts";

const WITHHELD = NVME_CQ_WITHHELD;
const CSTS_CFS = NVME_CSTS_CFS;
const INDEX_RELOADS = PATH_INDEX_RELOADS;
const CQE_SHIFT = 4;
const ENTRIES_PER_PAGE_SHIFT = 8;
const PAGE = 4096;
const DW1 = 4;
const DW2 = 8;
const DW3 = 12;
const PHASE_SHIFT = 16;
const STATUS_SHIFT = 17;

/** Entries that can be posted. Looks at the host's head only when fewer than `wanted` seem free. */
export function nvme_cq_room(cpu: Cpu, n: NvmeCtrl, cq: NvmeCq, wanted: number): number {
  let room = cq_free(cq);
  if (room >= wanted) return room;
  path_count(cpu, INDEX_RELOADS, 1);
  nvme_cq_head(cpu, n, cq);
  room = cq_free(cq);
  if (room > 0) return room;
  n.withheld = true;
  if (!n.withheld_published) {
    n.withheld_published = true;
    cpu.mem.storeRelease(WITHHELD, 1);
  }
  // Pairs with nvme_ring_cq_head: the host stores the head, then looks at WITHHELD; we did it the other way
  // round. Without this second look both could miss, and the queue would stay full with nobody to say so.
  nvme_cq_head(cpu, n, cq);
  return cq_free(cq);
}

/** One slot stays empty: a full ring would look like an empty one. */
function cq_free(cq: NvmeCq): number {
  const used = cq.tail - cq.head;
  return cq.entries - 1 - (used < 0 ? used + cq.entries : used);
}

/** No queue is withheld any more: the host may stop ringing on head updates. */
export function nvme_withheld_over(cpu: Cpu, n: NvmeCtrl): void {
  n.withheld_published = false;
  cpu.mem.storeRelease(WITHHELD, 0);
}

/** Address of the slot at the tail; 0 when the ring itself cannot be reached, which is fatal. */
function cq_slot(cpu: Cpu, n: NvmeCtrl, cq: NvmeCq): number {
  const page = cq.tail >> ENTRIES_PER_PAGE_SHIFT;
  if (page !== cq.window_page || cq.window_epoch !== n.epoch) {
    const left = cq.entries - (page << ENTRIES_PER_PAGE_SHIFT);
    const bytes = left << CQE_SHIFT;
    cq.window = nvme_translate(cpu, n, cq.base + page * PAGE, bytes < PAGE ? bytes : PAGE, true);
    cq.window_page = page;
    cq.window_epoch = n.epoch;
  }
  if (cq.window === 0) return 0;
  return cq.window + ((cq.tail & ((1 << ENTRIES_PER_PAGE_SHIFT) - 1)) << CQE_SHIFT);
}

/** Posts one completion. The caller made sure of room. */
export function nvme_post_cqe(
  cpu: Cpu,
  n: NvmeCtrl,
  cq: NvmeCq,
  sq_head: number,
  sqid: number,
  cid: number,
  status: number,
  result: number,
): void {
  const slot = cq_slot(cpu, n, cq);
  if (slot === 0) {
    cq.window_page = -1;
    n.running = false;
    nvme_publish_csts(cpu, n, n.csts | CSTS_CFS);
    return;
  }
  cpu.mem.write(slot, result);
  cpu.mem.write(slot + DW1, 0);
  cpu.mem.write(slot + DW2, sq_head | (sqid << 16));
  // Pairs with the loadAcquire of DW3 in the driver's nvme_cqe_pending: a host that sees the new phase sees
  // the other words, the data and the counters too; else it would complete a command from a stale entry.
  cpu.mem.storeRelease(slot + DW3, cid | (cq.phase << PHASE_SHIFT) | (status << STATUS_SHIFT));
  cq.fresh++;
  if (++cq.tail === cq.entries) {
    cq.tail = 0;
    cq.phase ^= 1;
  }
}
