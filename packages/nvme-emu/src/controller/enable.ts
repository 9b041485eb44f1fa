/**
 * Controller configuration: enable, reset and shutdown, as CC asks and CSTS answers ([B] 3.1.4.5, 3.1.4.6,
 * 3.5, 3.6).
 *
 * Invariant: outside of RDY the device touches no host memory, so its IOTLB is started when it is enabled and
 * stopped before RDY clears. The host waits for RDY to follow EN before it changes EN again.
 */
import { kernel_initcall } from "@ringside/core/debug/image";
import { Iotlb, iommu_device_start, iommu_device_stop } from "@ringside/core/dma/iommu-device";
import type { Cpu } from "@ringside/core/sched/cpu";
import {
  NVME_BAR0,
  NVME_DSTRD,
  NVME_MAX_QUEUE_ENTRIES,
  NVME_MAX_QUEUES,
  nvme_cq_doorbell,
  nvme_sq_doorbell,
} from "../spec/bar.ts";
import {
  NVME_AQA_ACQS_SHIFT,
  NVME_AQA_ASQS_MASK,
  NVME_CAP_CQR,
  NVME_CAP_CSS_NVM,
  NVME_CAP_HI_CSS_SHIFT,
  NVME_CAP_HI_DSTRD_SHIFT,
  NVME_CAP_TO_SHIFT,
  NVME_CC_AMS_MASK,
  NVME_CC_CSS_MASK,
  NVME_CC_ENABLE,
  NVME_CC_IOCQES,
  NVME_CC_IOCQES_MASK,
  NVME_CC_IOSQES,
  NVME_CC_IOSQES_MASK,
  NVME_CC_MPS_MASK,
  NVME_CC_SHN_MASK,
  NVME_CSTS_CFS,
  NVME_CSTS_RDY,
  NVME_CSTS_SHST_CMPLT,
  NVME_CSTS_SHST_MASK,
  NVME_REG_ACQ,
  NVME_REG_AQA,
  NVME_REG_ASQ,
  NVME_REG_CAP,
  NVME_REG_CC,
  NVME_REG_VS,
  NVME_VS_1_4_0,
} from "../spec/registers.ts";
import { nvme_withheld_over } from "./completion.ts";
import { nvme_publish_csts } from "./csts.ts";
import { nvme_features_reset } from "./features.ts";
import { nvme_irq_reset } from "./irq.ts";
import { NvmeCq, type NvmeCtrl, NvmeSq } from "./state.ts";

const CC: number = NVME_BAR0 + NVME_REG_CC;
const ENABLE = NVME_CC_ENABLE;
const PAGE_MASK = 4095;
/** CAP.TO: five seconds, in units of 500 ms. */
const READY_TIMEOUT = 10;

/** Power on: the registers that never change. Before any driver probes. */
function nvme_power_on(cpu: Cpu): void {
  const cap = NVME_BAR0 + NVME_REG_CAP;
  const low = (NVME_MAX_QUEUE_ENTRIES - 1) | NVME_CAP_CQR | (READY_TIMEOUT << NVME_CAP_TO_SHIFT);
  cpu.mem.write(cap, low);
  const high = (NVME_DSTRD << NVME_CAP_HI_DSTRD_SHIFT) | (NVME_CAP_CSS_NVM << NVME_CAP_HI_CSS_SHIFT);
  cpu.mem.write(cap + 4, high);
  cpu.mem.storeRelease(NVME_BAR0 + NVME_REG_VS, NVME_VS_1_4_0);
}

kernel_initcall(nvme_power_on);

/** Looks at CC and acts on what changed. True when something did. */
export function nvme_check_cc(cpu: Cpu, n: NvmeCtrl): boolean {
  // Pairs with the host's storeRelease of CC: AQA, ASQ and ACQ were written before it.
  const cc = cpu.mem.loadAcquire(CC);
  if (cc === n.cc) return false;
  const before = n.cc;
  n.cc = cc;
  if ((before & ENABLE) !== 0 && (cc & ENABLE) === 0) nvme_reset(cpu, n);
  else if ((before & ENABLE) === 0 && (cc & ENABLE) !== 0) nvme_enable(cpu, n, cc);
  if (((before ^ cc) & NVME_CC_SHN_MASK) !== 0) nvme_shutdown(cpu, n, cc);
  return true;
}

function nvme_enable(cpu: Cpu, n: NvmeCtrl, cc: number): void {
  const aqa = cpu.mem.read(NVME_BAR0 + NVME_REG_AQA);
  const asq = cpu.mem.read64(NVME_BAR0 + NVME_REG_ASQ);
  const acq = cpu.mem.read64(NVME_BAR0 + NVME_REG_ACQ);
  const sq_entries = (aqa & NVME_AQA_ASQS_MASK) + 1;
  const cq_entries = ((aqa >>> NVME_AQA_ACQS_SHIFT) & NVME_AQA_ASQS_MASK) + 1;
  if (!cc_valid(cc) || !admin_queue_valid(asq, sq_entries) || !admin_queue_valid(acq, cq_entries)) {
    nvme_publish_csts(cpu, n, NVME_CSTS_CFS);
    return;
  }
  nvme_features_reset(n);
  clear_doorbells(cpu);
  const cq = new NvmeCq(0, acq, cq_entries, 0, true);
  const sq = new NvmeSq(0, asq, sq_entries, cq);
  cq.users = 1;
  n.cqs[0] = cq;
  n.sqs[0] = sq;
  n.admin = sq;
  n.tlb = new Iotlb();
  n.epoch++;
  if (n.threaded) iommu_device_start(cpu, n.dev, n.tlb);
  n.running = true;
  nvme_publish_csts(cpu, n, NVME_CSTS_RDY);
}

function cc_valid(cc: number): boolean {
  if ((cc & (NVME_CC_MPS_MASK | NVME_CC_CSS_MASK | NVME_CC_AMS_MASK)) !== 0) return false;
  return (cc & NVME_CC_IOSQES_MASK) === NVME_CC_IOSQES && (cc & NVME_CC_IOCQES_MASK) === NVME_CC_IOCQES;
}

function admin_queue_valid(base: number, entries: number): boolean {
  return base !== 0 && (base & PAGE_MASK) === 0 && entries >= 2;
}

/** Controller reset: queues, features and held requests go without completions; AQA, ASQ and ACQ stay. */
function nvme_reset(cpu: Cpu, n: NvmeCtrl): void {
  const started = n.admin !== undefined;
  n.running = false;
  n.sqs.fill(undefined);
  n.cqs.fill(undefined);
  n.admin = undefined;
  n.active = [];
  n.turn = 0;
  n.aer_cids = [];
  n.events = [];
  n.events_masked = 0;
  n.withheld = false;
  nvme_withheld_over(cpu, n);
  nvme_irq_reset(cpu, n);
  clear_doorbells(cpu);
  // After a refused enable CSTS.RDY was never set: the host does not wait, and the domain may be gone.
  if (n.threaded && started) iommu_device_stop(cpu, n.dev, n.tlb);
  nvme_publish_csts(cpu, n, 0);
}

/** The thread ends: as a reset, so that nothing waits for the device any more. */
export function nvme_power_off(cpu: Cpu, n: NvmeCtrl): void {
  if (n.admin !== undefined) nvme_reset(cpu, n);
}

/** Shutdown: nothing is cached, so it is complete at once. Queues stand still until the next reset. */
function nvme_shutdown(cpu: Cpu, n: NvmeCtrl, cc: number): void {
  const others = n.csts & ~NVME_CSTS_SHST_MASK;
  if ((cc & NVME_CC_SHN_MASK) === 0) {
    nvme_publish_csts(cpu, n, others);
    return;
  }
  n.running = false;
  nvme_publish_csts(cpu, n, others | NVME_CSTS_SHST_CMPLT);
}

function clear_doorbells(cpu: Cpu): void {
  for (let qid = 0; qid < NVME_MAX_QUEUES; qid++) {
    cpu.mem.storeRelease(nvme_sq_doorbell(qid), 0);
    cpu.mem.storeRelease(nvme_cq_doorbell(qid), 0);
  }
}
