/**
 * Which interrupt goes where: queue `qid` of I/O to CPU `qid - 1`, the admin queue to CPU 0.
 */
import type { Cpu } from "@ringside/core/sched/cpu";
import { free_irq, request_irq } from "@ringside/core/sched/irq";
import { NVME_IRQ } from "./complete.ts";
import { nvmeq_qid, type NvmeQueuePtr } from "./queue.ts";

/** Interrupt numbers of a CPU: admin, I/O. */
export const ADMIN_IRQ = 0;
export const IO_IRQ = 1;
export const ADMIN_CPU = 0;

/** The CPU that takes the interrupts of I/O queue `qid`. */
export function nvme_queue_vector_cpu(qid: number): number {
  return qid - 1;
}

export function nvme_request_io_irq(cpu: Cpu, nvmeq: NvmeQueuePtr): void {
  request_irq(cpu, nvme_queue_vector_cpu(nvmeq_qid(cpu, nvmeq)), IO_IRQ, NVME_IRQ, nvmeq);
}

/** The handler may still run: wait for a grace period before its queue goes. */
export function nvme_free_io_irq(cpu: Cpu, qid: number): void {
  free_irq(cpu, nvme_queue_vector_cpu(qid), IO_IRQ);
}
