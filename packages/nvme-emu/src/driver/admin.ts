/**
 * The admin commands the driver uses (drivers/nvme/host/core.c and pci.c): identify, features, queues, logs.
 *
 * Interface: each sleeps, and returns 0, a positive status field, or -errno. Data arrives in the device's
 * buffer page; the caller holds nothing else off, so probe, remove, nvme_get_log and nvme_identify are not
 * concurrent.
 */
import type { Cpu } from "@ringside/core/sched/cpu";
import {
  nvme_admin_create_cq,
  nvme_admin_create_sq,
  nvme_admin_delete_cq,
  nvme_admin_delete_sq,
  nvme_admin_get_log_page,
  nvme_admin_identify,
  nvme_admin_set_features,
  NVME_CQ_IRQ_ENABLED,
  NVME_CQ_IV_SHIFT,
  NVME_FEAT_NUM_QUEUES,
  NVME_ID_CNS_CTRL,
  NVME_ID_CNS_NS,
  NVME_LOG_NUMDL_SHIFT,
  NVME_NSID_ALL,
  NVME_QUEUE_PHYS_CONTIG,
  NVME_SQ_CQID_SHIFT,
} from "../spec/opcodes.ts";
import { nvme_admin_result, nvme_submit_admin } from "./admin-queue.ts";
import { dev_buffer, dev_buffer_dma, dev_set_controller, dev_set_namespace, type NvmeDevPtr } from "./dev.ts";
import { nvmeq_cq_dma, nvmeq_depth, nvmeq_qid, nvmeq_sq_dma, type NvmeQueuePtr } from "./queue.ts";

/** NVME_MAX_KB_SZ: largest request the PRP lists are made for. */
const MAX_HW_BYTES = 8 << 20;
const PAGE_SHIFT = 12;

// Identify Controller and Identify Namespace, the fields the driver needs.
const ID_CTRL_MDTS = 77;
const ID_CTRL_VWC = 525;
const ID_NS_NSZE = 0;
const ID_NS_FLBAS = 26;
const ID_NS_LBAF = 128;
const LBAF_LBADS = 2;

/** Learns the controller's limits. */
export function nvme_identify_ctrl(cpu: Cpu, dev: NvmeDevPtr): number {
  const dma = dev_buffer_dma(cpu, dev);
  const status = nvme_submit_admin(cpu, dev, nvme_admin_identify, 0, dma, NVME_ID_CNS_CTRL, 0);
  if (status !== 0) return status;
  const id = dev_buffer(cpu, dev);
  const mdts = cpu.mem.read8(id + ID_CTRL_MDTS);
  const max = mdts === 0 || mdts + PAGE_SHIFT > 23 ? MAX_HW_BYTES : 1 << (mdts + PAGE_SHIFT);
  dev_set_controller(cpu, dev, max, (cpu.mem.read8(id + ID_CTRL_VWC) & 1) !== 0);
  return 0;
}

/** Learns the namespace's size and block. */
export function nvme_identify_ns(cpu: Cpu, dev: NvmeDevPtr, nsid: number): number {
  const dma = dev_buffer_dma(cpu, dev);
  const status = nvme_submit_admin(cpu, dev, nvme_admin_identify, nsid, dma, NVME_ID_CNS_NS, 0);
  if (status !== 0) return status;
  const id = dev_buffer(cpu, dev);
  const format = cpu.mem.read8(id + ID_NS_FLBAS) & 0xf;
  const shift = cpu.mem.read8(id + ID_NS_LBAF + 4 * format + LBAF_LBADS);
  dev_set_namespace(cpu, dev, shift, cpu.mem.read64(id + ID_NS_NSZE));
  return 0;
}

/** Asks for `nr` I/O queue pairs; returns how many are granted, or -errno, or 0 when refused. */
export function nvme_set_queue_count(cpu: Cpu, dev: NvmeDevPtr, nr: number): number {
  const want = (nr - 1) | ((nr - 1) << 16);
  const status = nvme_submit_admin(cpu, dev, nvme_admin_set_features, 0, 0, NVME_FEAT_NUM_QUEUES, want);
  if (status !== 0) return status < 0 ? status : 0;
  const result = nvme_admin_result(cpu, dev);
  return Math.min(nr, (result & 0xffff) + 1, (result >>> 16) + 1);
}

/** `vector` < 0 makes a polled queue. */
export function adapter_alloc_cq(cpu: Cpu, dev: NvmeDevPtr, nvmeq: NvmeQueuePtr, vector: number): number {
  const irq = vector < 0 ? 0 : NVME_CQ_IRQ_ENABLED | (vector << NVME_CQ_IV_SHIFT);
  const flags = NVME_QUEUE_PHYS_CONTIG | irq;
  const size = (nvmeq_depth(cpu, nvmeq) - 1) << 16;
  const cdw10 = nvmeq_qid(cpu, nvmeq) | size;
  return nvme_submit_admin(cpu, dev, nvme_admin_create_cq, 0, nvmeq_cq_dma(cpu, nvmeq), cdw10, flags);
}

export function adapter_alloc_sq(cpu: Cpu, dev: NvmeDevPtr, nvmeq: NvmeQueuePtr): number {
  const qid = nvmeq_qid(cpu, nvmeq);
  const flags = NVME_QUEUE_PHYS_CONTIG | (qid << NVME_SQ_CQID_SHIFT);
  const cdw10 = qid | ((nvmeq_depth(cpu, nvmeq) - 1) << 16);
  return nvme_submit_admin(cpu, dev, nvme_admin_create_sq, 0, nvmeq_sq_dma(cpu, nvmeq), cdw10, flags);
}

export function adapter_delete_sq(cpu: Cpu, dev: NvmeDevPtr, qid: number): number {
  return nvme_submit_admin(cpu, dev, nvme_admin_delete_sq, 0, 0, qid, 0);
}

export function adapter_delete_cq(cpu: Cpu, dev: NvmeDevPtr, qid: number): number {
  return nvme_submit_admin(cpu, dev, nvme_admin_delete_cq, 0, 0, qid, 0);
}

/** Reads `bytes` (a multiple of 4, up to a page) of log `lid` into memory at `target`. */
export function nvme_get_log(cpu: Cpu, dev: NvmeDevPtr, lid: number, target: number, bytes: number): number {
  const cdw10 = lid | ((bytes / 4 - 1) << NVME_LOG_NUMDL_SHIFT);
  const dma = dev_buffer_dma(cpu, dev);
  const status = nvme_submit_admin(cpu, dev, nvme_admin_get_log_page, NVME_NSID_ALL | 0, dma, cdw10, 0);
  if (status === 0) cpu.mem.memcpy(target, dev_buffer(cpu, dev), bytes);
  return status;
}

/** Identify data, `cns` 0 or 1, into the page at `target`: for tools. */
export function nvme_identify(cpu: Cpu, dev: NvmeDevPtr, cns: number, nsid: number, target: number): number {
  const status = nvme_submit_admin(cpu, dev, nvme_admin_identify, nsid, dev_buffer_dma(cpu, dev), cns, 0);
  if (status === 0) cpu.mem.memcpy(target, dev_buffer(cpu, dev), 4096);
  return status;
}
