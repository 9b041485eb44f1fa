/**
 * Enabling, disabling and shutting down the controller through its registers (drivers/nvme/host/core.c).
 * Each waits for CSTS to say so, sleeping, at most the time the controller states in CAP.TO.
 */
import { ENODEV } from "@ringside/core/debug/errno";
import { LOG_WARN, printk } from "@ringside/core/debug/dmesg";
import type { Cpu } from "@ringside/core/sched/cpu";
import { schedule_timeout } from "@ringside/core/sched/schedule";
import { set_current_state, TASK_UNINTERRUPTIBLE } from "@ringside/core/sched/task";
import { nvme_mmio_read32, nvme_mmio_write32, nvme_mmio_write64 } from "../spec/bar.ts";
import {
  NVME_AQA_ACQS_SHIFT,
  NVME_CAP_MQES_MASK,
  NVME_CAP_TO_SHIFT,
  NVME_CC_AMS_RR,
  NVME_CC_CSS_NVM,
  NVME_CC_ENABLE,
  NVME_CC_IOCQES,
  NVME_CC_IOSQES,
  NVME_CC_SHN_MASK,
  NVME_CC_SHN_NORMAL,
  NVME_CSTS_CFS,
  NVME_CSTS_RDY,
  NVME_CSTS_SHST_CMPLT,
  NVME_CSTS_SHST_MASK,
  NVME_REG_ACQ,
  NVME_REG_AQA,
  NVME_REG_ASQ,
  NVME_REG_CAP,
  NVME_REG_CC,
  NVME_REG_CSTS,
} from "../spec/registers.ts";
import { nvmeq_cq_dma, nvmeq_depth, nvmeq_sq_dma, type NvmeQueuePtr } from "./queue.ts";

/** Unit of CAP.TO, and how long a shutdown may take (shutdown_timeout), in ms. */
const TO_UNIT_MS = 500;
const SHUTDOWN_TIMEOUT_MS = 5000;

/** CAP.MQES: entries of the largest queue. */
export function nvme_max_queue_entries(cpu: Cpu): number {
  return (nvme_mmio_read32(cpu, NVME_REG_CAP) & NVME_CAP_MQES_MASK) + 1;
}

function ready_timeout(cpu: Cpu): number {
  return ((nvme_mmio_read32(cpu, NVME_REG_CAP) >>> NVME_CAP_TO_SHIFT) + 1) * TO_UNIT_MS;
}

/** Waits until the bits `mask` of CSTS are `value`. 0 or -ENODEV. */
function nvme_wait_csts(cpu: Cpu, mask: number, value: number, timeout: number, op: string): number {
  const deadline = cpu.now() + timeout;
  for (;;) {
    const csts = nvme_mmio_read32(cpu, NVME_REG_CSTS);
    if ((csts & mask) === value) return 0;
    if (cpu.now() >= deadline) {
      printk(cpu, LOG_WARN, `nvme: Device not ready; aborting ${op}, CSTS=0x${csts.toString(16)}`);
      return -ENODEV;
    }
    set_current_state(cpu, TASK_UNINTERRUPTIBLE);
    schedule_timeout(cpu, 1);
  }
}

/** Controller reset: afterwards it has no I/O queues and uses no memory. */
export function nvme_disable_ctrl(cpu: Cpu): number {
  const cc = nvme_mmio_read32(cpu, NVME_REG_CC) & ~(NVME_CC_SHN_MASK | NVME_CC_ENABLE);
  nvme_mmio_write32(cpu, NVME_REG_CC, cc);
  return nvme_wait_csts(cpu, NVME_CSTS_RDY, 0, ready_timeout(cpu), "reset");
}

/** Hands the admin queue over and enables. A fatal status counts as not ready. */
export function nvme_enable_ctrl(cpu: Cpu, adminq: NvmeQueuePtr): number {
  const size = nvmeq_depth(cpu, adminq) - 1;
  nvme_mmio_write32(cpu, NVME_REG_AQA, size | (size << NVME_AQA_ACQS_SHIFT));
  nvme_mmio_write64(cpu, NVME_REG_ASQ, nvmeq_sq_dma(cpu, adminq));
  nvme_mmio_write64(cpu, NVME_REG_ACQ, nvmeq_cq_dma(cpu, adminq));
  const cc = NVME_CC_CSS_NVM | NVME_CC_AMS_RR | NVME_CC_IOSQES | NVME_CC_IOCQES;
  nvme_mmio_write32(cpu, NVME_REG_CC, cc | NVME_CC_ENABLE);
  const mask = NVME_CSTS_RDY | NVME_CSTS_CFS;
  return nvme_wait_csts(cpu, mask, NVME_CSTS_RDY, ready_timeout(cpu), "initialisation");
}

/** A normal shutdown: the device writes back what it cached. */
export function nvme_shutdown_ctrl(cpu: Cpu): number {
  const cc = nvme_mmio_read32(cpu, NVME_REG_CC) & ~NVME_CC_SHN_MASK;
  nvme_mmio_write32(cpu, NVME_REG_CC, cc | NVME_CC_SHN_NORMAL);
  return nvme_wait_csts(cpu, NVME_CSTS_SHST_MASK, NVME_CSTS_SHST_CMPLT, SHUTDOWN_TIMEOUT_MS, "shutdown");
}
