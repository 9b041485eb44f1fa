/**
 * The controller's loop (what firmware does, and hw/nvme's nvme_process_sq): look at CC and the doorbells,
 * fetch, execute, complete; round robin over the I/O queues, a burst from each.
 *
 * Interface: a thread runs nvme_controller_thread (thread.ts). A one-thread kernel makes an NvmeController,
 * and calls step() where the device should get its turn: one round, true if it did anything.
 */
import { iommu_device_poll } from "@ringside/core/dma/iommu-device";
import { path_count, PATH_BURSTS } from "@ringside/core/debug/path-counters";
import type { Cpu } from "@ringside/core/sched/cpu";
import { NVME_CSTS_CFS } from "../spec/registers.ts";
import { NVME_NO_COMPLETION, nvme_admin_command, nvme_report_events } from "./admin.ts";
import { nvme_cq_room, nvme_post_cqe, nvme_withheld_over } from "./completion.ts";
import { nvme_count, NVME_COUNT_ADMIN, NVME_COUNT_ERRORS } from "./counters.ts";
import { nvme_publish_csts } from "./csts.ts";
import { nvme_translate } from "./dma.ts";
import { nvme_audit_doorbells, nvme_sq_tail } from "./doorbells.ts";
import { nvme_check_cc, nvme_power_off } from "./enable.ts";
import { nvme_log_error } from "./events.ts";
import { nvme_io_command } from "./io.ts";
import { nvme_irq_batch, nvme_irq_deferred, nvme_irq_retry } from "./irq.ts";
import { NvmeCtrl, type NvmeSq } from "./state.ts";

/** Commands taken from one queue before the next has its turn, and the blocks moved that end it early. */
const BURST = 32;
const BURST_BLOCKS = 512;
/** Rounds between two looks at the doorbells that are not polled. */
const AUDIT_ROUNDS = 4096;

const BURSTS = PATH_BURSTS;
const NO_COMPLETION = NVME_NO_COMPLETION;
const SQE_SHIFT = 6;
const SQE_CID_SHIFT = 16;
const SQE_NSID = 4;
const SQE_CDW10 = 40;
const PAGE_SHIFT = 12;

export class NvmeController {
  readonly cpu: Cpu;
  readonly state: NvmeCtrl;

  constructor(cpu: Cpu, media_base: number, media_bytes: number, threaded: boolean = false) {
    this.cpu = cpu;
    this.state = new NvmeCtrl(media_base, media_bytes, threaded);
  }

  /** One round. True when there was something to do. `audit`: look at every doorbell. */
  step(audit: boolean = false): boolean {
    return nvme_step(this.cpu, this.state, audit);
  }

  power_off(): void {
    nvme_power_off(this.cpu, this.state);
  }
}

/** One round: registers, the admin queue, a burst from every I/O queue, then what is owed to the host. */
function nvme_step(cpu: Cpu, n: NvmeCtrl, audit: boolean): boolean {
  let busy = nvme_check_cc(cpu, n);
  if (n.admin === undefined) return busy;
  // No translated address is in use here. A flush that was carried out ends the remembered ones, too.
  if (iommu_device_poll(cpu, n.dev, n.tlb)) {
    n.epoch++;
    // Unmaps come in strings: staying awake for the next one spares the host a wake-up.
    busy = true;
  }
  if (!n.running) return busy;
  const was_withheld = n.withheld;
  n.withheld = false;
  if (nvme_process_sq(cpu, n, n.admin)) busy = true;
  if (nvme_process_active(cpu, n)) busy = true;
  if (was_withheld && !n.withheld) nvme_withheld_over(cpu, n);
  n.steps = (n.steps + 1) & (AUDIT_ROUNDS - 1);
  if (audit || n.steps === 0) {
    if (nvme_audit_doorbells(cpu, n)) busy = true;
  }
  if (n.events.length !== 0 && nvme_report_events(cpu, n)) busy = true;
  if (n.deferred && nvme_irq_deferred(cpu, n)) busy = true;
  if (n.irq_pending && nvme_irq_retry(cpu, n)) busy = true;
  return busy;
}

function nvme_process_active(cpu: Cpu, n: NvmeCtrl): boolean {
  const active = n.active;
  const count = active.length;
  if (count === 0) return false;
  let busy = false;
  let i = n.turn;
  for (let left = count; left > 0; left--) {
    if (nvme_process_sq(cpu, n, active[i] as NvmeSq)) busy = true;
    if (++i === count) i = 0;
  }
  // Whoever was first is last next time.
  n.turn = n.turn + 1 < count ? n.turn + 1 : 0;
  return busy;
}

/** A burst from one submission queue. */
function nvme_process_sq(cpu: Cpu, n: NvmeCtrl, sq: NvmeSq): boolean {
  // Pairs with the host's storeRelease of the tail: the entries up to it are complete.
  const word = cpu.mem.loadAcquire(sq.doorbell);
  if (word !== sq.seen) nvme_sq_tail(cpu, n, sq, word);
  if (sq.head === sq.tail || !n.running) return false;
  const waiting = sq.tail > sq.head ? sq.tail - sq.head : sq.entries - sq.head + sq.tail;
  // Admin commands one at a time: some post more completions than their own.
  const limit = sq.qid === 0 ? 1 : BURST;
  const budget = waiting < limit ? waiting : limit;
  const room = nvme_cq_room(cpu, n, sq.cq, budget);
  if (room === 0) return false;
  path_count(cpu, BURSTS, 1);
  nvme_burst(cpu, n, sq, room < budget ? room : budget);
  nvme_irq_batch(cpu, n, sq.cq);
  return true;
}

/** Fetches and executes up to `count` commands; the completion queue has room for them all. */
function nvme_burst(cpu: Cpu, n: NvmeCtrl, sq: NvmeSq, count: number): void {
  const last_block = n.blocks_read + n.blocks_written + BURST_BLOCKS;
  let page = -1;
  let window = 0;
  for (let i = 0; i < count && n.running; i++) {
    const offset = sq.head << SQE_SHIFT;
    if (offset >> PAGE_SHIFT !== page) {
      page = offset >> PAGE_SHIFT;
      window = sq_window(cpu, n, sq, page);
      if (window === 0) {
        // A queue that cannot be read: fatal, until the host resets us.
        n.running = false;
        nvme_publish_csts(cpu, n, n.csts | NVME_CSTS_CFS);
        return;
      }
    }
    if (++sq.head === sq.entries) sq.head = 0;
    nvme_execute(cpu, n, sq, window + (offset & ((1 << PAGE_SHIFT) - 1)));
    if (n.blocks_read + n.blocks_written >= last_block) return;
  }
}

function sq_window(cpu: Cpu, n: NvmeCtrl, sq: NvmeSq, page: number): number {
  const start = page << PAGE_SHIFT;
  const bytes = Math.min((sq.entries << SQE_SHIFT) - start, 1 << PAGE_SHIFT);
  return nvme_translate(cpu, n, sq.base + start, bytes, false);
}

/** Executes one command and completes it, unless it is held. */
function nvme_execute(cpu: Cpu, n: NvmeCtrl, sq: NvmeSq, sqe: number): void {
  const cid = cpu.mem.read(sqe) >>> SQE_CID_SHIFT;
  let status: number;
  n.result = 0;
  if (sq.qid !== 0) status = nvme_io_command(cpu, n, sqe);
  else {
    status = nvme_admin_command(cpu, n, sqe);
    nvme_count(cpu, NVME_COUNT_ADMIN, ++n.admin_commands);
    if (status === NO_COMPLETION) return;
  }
  if (status !== 0) {
    nvme_count(cpu, NVME_COUNT_ERRORS, ++n.failed);
    const lba = sq.qid === 0 ? 0 : cpu.mem.read(sqe + SQE_CDW10) >>> 0;
    nvme_log_error(n, sq.qid, cid, status, lba, cpu.mem.read(sqe + SQE_NSID) >>> 0);
  }
  nvme_post_cqe(cpu, n, sq.cq, sq.head, sq.qid, cid, status, n.result);
}
