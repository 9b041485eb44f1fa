/**
 * Interrupts: one per completion queue and batch, through the MSI-X table, held while the vector is masked
 * (INTMS, or the table's mask bit) and while coalescing (feature 08h) says so.
 *
 * Invariant: an interrupt follows its entries: they were published with storeRelease before irq_raise.
 */
import { irq_raise } from "@ringside/core/sched/irq";
import { type Cpu, nr_cpu_ids } from "@ringside/core/sched/cpu";
import {
  MSIX_CTRL_MASKED,
  MSIX_ENTRY_ADDR_LO,
  MSIX_ENTRY_CTRL,
  MSIX_ENTRY_DATA,
  NVME_BAR0,
  nvme_msix_entry,
  NVME_MSIX_PBA,
  NVME_MSIX_VECTORS,
} from "../spec/bar.ts";
import { NVME_FEAT_IRQ_COALESCE } from "../spec/opcodes.ts";
import { NVME_REG_INTMS } from "../spec/registers.ts";
import { nvme_count, NVME_COUNT_INTERRUPTS } from "./counters.ts";
import type { NvmeCq, NvmeCtrl } from "./state.ts";

// Hot: local copies, since a read of an imported constant costs several times as much.
const CTRL = MSIX_ENTRY_CTRL;
const MASKED = MSIX_CTRL_MASKED;
const ADDR_LO = MSIX_ENTRY_ADDR_LO;
const DATA = MSIX_ENTRY_DATA;

const INTMS: number = NVME_BAR0 + NVME_REG_INTMS;
const PBA: number = NVME_BAR0 + NVME_MSIX_PBA;
const COALESCE = NVME_FEAT_IRQ_COALESCE;

/** What the data of a message may name: the device vectors of a CPU. */
const MSIX_IRQS = 8;

function irq_masked(cpu: Cpu, vector: number): boolean {
  if (vector < 32 && (cpu.mem.loadAcquire(INTMS) & (1 << vector)) !== 0) return true;
  return (cpu.mem.loadAcquire(nvme_msix_entry(vector) + CTRL) & MASKED) !== 0;
}

/**
 * Sends the message of `vector`, or remembers that it is owed. A message to a CPU or vector that does not exist is
 * lost, as a write to nowhere is on a bus.
 */
function nvme_irq_deliver(cpu: Cpu, n: NvmeCtrl, vector: number): void {
  const word = PBA + (vector >> 5) * 4;
  if (irq_masked(cpu, vector)) {
    cpu.mem.fetchOr(word, 1 << vector);
    n.irq_pending = true;
    return;
  }
  const entry = nvme_msix_entry(vector);
  n.interrupts++;
  nvme_count(cpu, NVME_COUNT_INTERRUPTS, n.interrupts);
  const target = cpu.mem.read(entry + ADDR_LO);
  const irq = cpu.mem.read(entry + DATA);
  if (target >>> 0 < nr_cpu_ids(cpu) && irq >>> 0 < MSIX_IRQS) irq_raise(cpu, target, irq);
}

/** Sends what was held and is not masked any more. True when something was sent. */
export function nvme_irq_retry(cpu: Cpu, n: NvmeCtrl): boolean {
  let sent = false;
  n.irq_pending = false;
  for (let vector = 0; vector < NVME_MSIX_VECTORS; vector++) {
    const word = PBA + (vector >> 5) * 4;
    if ((cpu.mem.loadAcquire(word) & (1 << vector)) === 0) continue;
    if (irq_masked(cpu, vector)) n.irq_pending = true;
    else {
      cpu.mem.fetchAnd(word, ~(1 << vector));
      nvme_irq_deliver(cpu, n, vector);
      sent = true;
    }
  }
  return sent;
}

export function nvme_irq_reset(cpu: Cpu, n: NvmeCtrl): void {
  cpu.mem.storeRelease(INTMS, 0);
  for (let word = 0; word < NVME_MSIX_VECTORS; word += 32) cpu.mem.storeRelease(PBA + (word >> 5) * 4, 0);
  n.irq_pending = false;
  n.deferred = false;
}

/** Coalescing, [B] 5.1.25.1.6: wait for more than THR entries or TIME * 100 us; never the admin queue. */
function irq_early(cpu: Cpu, n: NvmeCtrl, cq: NvmeCq): boolean {
  const coalesce = n.features[COALESCE] as number;
  if (coalesce === 0 || cq.qid === 0 || n.coalescing_disabled[cq.vector] === true) return false;
  const time = ((coalesce >> 8) & 0xff) / 10;
  if (time === 0 || cq.fresh > (coalesce & 0xff)) return false;
  if (cq.fresh_since === 0) cq.fresh_since = cpu.now();
  return cpu.now() - cq.fresh_since < time;
}

/** After a batch: announces the entries posted to `cq`. */
export function nvme_irq_batch(cpu: Cpu, n: NvmeCtrl, cq: NvmeCq): void {
  if (cq.fresh === 0) return;
  if (cq.irq_enabled) {
    if (irq_early(cpu, n, cq)) {
      n.deferred = true;
      return;
    }
    nvme_irq_deliver(cpu, n, cq.vector);
  }
  cq.fresh = 0;
  cq.fresh_since = 0;
}

/** Looks again at the queues whose interrupt was deferred. True when one was sent. */
export function nvme_irq_deferred(cpu: Cpu, n: NvmeCtrl): boolean {
  const before = n.interrupts;
  n.deferred = false;
  for (const cq of n.cqs) if (cq !== undefined) nvme_irq_batch(cpu, n, cq);
  return n.interrupts !== before;
}
