/**
 * nvme_probe and nvme_remove (drivers/nvme/host/pci.c): from a bare controller to a disk, and back to nothing.
 *
 * Queues: one with interrupts for each CPU that runs tasks, delivered to that CPU; with config.completion
 * "poll", as many polled ones besides, for IOCB_HIPRI. Kernel threads share them (cpu.id modulo their number).
 *
 * Interface: nvme_probe on a CPU that may sleep, while the controller's thread runs; nvme_remove when no token
 * of a dma-buf is left (flush system_wq before). Files may still be open; their I/O fails from then on.
 */
import { ENODEV, ENOMEM, IS_ERR } from "@ringside/core/debug/errno";
import { kernel_rodata, kernel_symbol } from "@ringside/core/debug/image";
import { blk_mq_init_queue, blk_mq_put_failed_queue } from "@ringside/core/block/blk-mq";
import { alloc_disk, del_gendisk, device_add_disk, put_disk } from "@ringside/core/block/disk";
import { BLK_FEAT_WRITE_CACHE } from "@ringside/core/block/limits";
import {
  HCTX_TYPE_DEFAULT,
  HCTX_TYPE_POLL,
  queue_hctx,
  type RequestQueuePtr,
} from "@ringside/core/block/queue";
import { type HctxPtr, hctx_set_driver_data } from "@ringside/core/block/request";
import { device_del, device_init } from "@ringside/core/dma/device";
import { dma_alloc_coherent, dma_free_coherent, type Iova } from "@ringside/core/dma/mapping";
import { GFP_KERNEL, kfree, kzalloc } from "@ringside/core/mm/slab";
import { synchronize_rcu } from "@ringside/core/rcu/rcu";
import { type Cpu, stack_pop, stack_push } from "@ringside/core/sched/cpu";
import { free_irq, request_irq } from "@ringside/core/sched/irq";
import { cancel_work_sync } from "@ringside/core/sched/workqueue";
import { nvme_msix_program } from "../spec/bar.ts";
import { NVME_DEVICE } from "../spec/device.ts";
import {
  adapter_alloc_cq,
  adapter_alloc_sq,
  adapter_delete_cq,
  adapter_delete_sq,
  nvme_identify_ctrl,
  nvme_identify_ns,
  nvme_set_queue_count,
} from "./admin.ts";
import { nvme_admin_init } from "./admin-queue.ts";
import { NVME_ADMIN_IRQ, nvme_pci_complete_rq, nvme_poll } from "./complete.ts";
import { nvme_disable_ctrl, nvme_enable_ctrl, nvme_max_queue_entries, nvme_shutdown_ctrl } from "./ctrl.ts";
import {
  dev_abort_work,
  dev_buffer,
  dev_buffer_dma,
  dev_disk,
  dev_has_write_cache,
  dev_lba_shift,
  dev_max_hw_bytes,
  dev_nr_irq_queues,
  dev_nr_lbas,
  dev_nr_poll_queues,
  dev_online_queues,
  dev_q_depth,
  dev_queue,
  dev_queues,
  dev_set_buffer,
  dev_set_disk,
  dev_set_online_queues,
  dev_set_q_depth,
  dev_set_queue_counts,
  dev_set_queues,
  NVME_DEV_SIZE,
  nvme_dev,
  type NvmeDevPtr,
  nvme_set_dev,
} from "./dev.ts";
import { nvme_create_dmabuf_token } from "./dmabuf-token.ts";
import {
  ADMIN_CPU,
  ADMIN_IRQ,
  nvme_free_io_irq,
  nvme_request_io_irq,
  nvme_queue_vector_cpu,
  IO_IRQ,
} from "./irq.ts";
import { NVME_IOD_SIZE } from "./iod.ts";
import { nvme_alloc_queue, nvme_free_queue, NVME_QUEUE_SIZE, nvme_queue_attach } from "./queue.ts";
import { nvme_commit_rqs, nvme_queue_rq, nvme_queue_rqs } from "./submit.ts";
import { nvme_init_abort, NVME_IO_TIMEOUT, nvme_timeout } from "./timeout.ts";

/** Entries of the admin queue (NVME_AQ_DEPTH) and of an I/O queue (io_queue_depth). */
const NVME_AQ_DEPTH = 32;
const NVME_IO_QUEUE_DEPTH = 1024;
const NSID = 1;
const SECTOR_SHIFT = 9;
const NVME_MQ_OPS = kernel_rodata("nvme_mq_ops", [
  kernel_symbol(nvme_queue_rq),
  kernel_symbol(nvme_commit_rqs),
  kernel_symbol(nvme_pci_complete_rq),
  kernel_symbol(nvme_poll),
  kernel_symbol(nvme_timeout),
  kernel_symbol(nvme_create_dmabuf_token),
  kernel_symbol(nvme_queue_rqs),
]);

/** Brings the controller up and adds its disk (nvme_disk). 0 or -errno; then nothing is left behind. */
export function nvme_probe(cpu: Cpu): number {
  const dev = kzalloc(cpu, NVME_DEV_SIZE, GFP_KERNEL) as NvmeDevPtr;
  if (dev === 0) return -ENOMEM;
  let error = device_init(cpu, NVME_DEVICE, "nvme 0000:01:00.0");
  if (error < 0) {
    kfree(cpu, dev);
    return error;
  }
  error = nvme_setup(cpu, dev);
  if (error === 0) nvme_set_dev(cpu, dev);
  else nvme_dev_release(cpu, dev);
  return error;
}

function nvme_setup(cpu: Cpu, dev: NvmeDevPtr): number {
  nvme_init_abort(cpu, dev);
  let error = nvme_alloc_memory(cpu, dev);
  if (error === 0) error = nvme_configure_admin_queue(cpu, dev);
  if (error === 0) error = to_errno(nvme_identify_ctrl(cpu, dev));
  if (error === 0) error = to_errno(nvme_identify_ns(cpu, dev, NSID));
  if (error === 0) error = nvme_setup_io_queues(cpu, dev);
  return error === 0 ? nvme_alloc_ns(cpu, dev) : error;
}

/** A refused admin command means that the device cannot be used. */
function to_errno(status: number): number {
  return status > 0 ? -ENODEV : status;
}

function nvme_alloc_memory(cpu: Cpu, dev: NvmeDevPtr): number {
  const nr_poll = cpu.config.completion === "poll" ? cpu.config.cpus : 0;
  dev_set_queue_counts(cpu, dev, cpu.config.cpus, nr_poll);
  const queues = kzalloc(cpu, (1 + cpu.config.cpus + nr_poll) * NVME_QUEUE_SIZE, GFP_KERNEL);
  if (queues === 0) return -ENOMEM;
  dev_set_queues(cpu, dev, queues);
  const handle = stack_push(cpu, 4);
  const buffer = dma_alloc_coherent(cpu, NVME_DEVICE, 4096, handle, GFP_KERNEL);
  dev_set_buffer(cpu, dev, buffer, cpu.mem.read(handle));
  stack_pop(cpu, handle);
  return buffer === 0 ? -ENOMEM : 0;
}

/** nvme_pci_configure_admin_queue: reset, admin rings, enable. */
function nvme_configure_admin_queue(cpu: Cpu, dev: NvmeDevPtr): number {
  let error = nvme_disable_ctrl(cpu);
  if (error < 0) return error;
  const adminq = dev_queue(cpu, dev, 0);
  error = nvme_alloc_queue(cpu, adminq, dev, 0, NVME_AQ_DEPTH);
  if (error < 0) return error;
  nvme_admin_init(cpu, dev, adminq, NVME_ADMIN_IRQ);
  request_irq(cpu, ADMIN_CPU, ADMIN_IRQ, NVME_ADMIN_IRQ, adminq);
  nvme_msix_program(cpu, 0, ADMIN_CPU, ADMIN_IRQ);
  return nvme_enable_ctrl(cpu, adminq);
}

/** nvme_setup_io_queues: as many as we want and the device grants; with fewer, polled ones go first. */
function nvme_setup_io_queues(cpu: Cpu, dev: NvmeDevPtr): number {
  const want_irq = dev_nr_irq_queues(cpu, dev);
  const want = want_irq + dev_nr_poll_queues(cpu, dev);
  const granted = nvme_set_queue_count(cpu, dev, want);
  if (granted <= 0) return granted === 0 ? -ENODEV : granted;
  const nr_irq = Math.min(want_irq, granted);
  dev_set_queue_counts(cpu, dev, nr_irq, Math.min(granted - nr_irq, want - want_irq));
  const depth = Math.min(NVME_IO_QUEUE_DEPTH, nvme_max_queue_entries(cpu));
  dev_set_q_depth(cpu, dev, depth);
  for (let qid = 1; qid <= nr_irq + dev_nr_poll_queues(cpu, dev); qid++) {
    const error = nvme_create_queue(cpu, dev, qid, depth, qid > nr_irq);
    if (error < 0) return error;
  }
  return 0;
}

function nvme_create_queue(cpu: Cpu, dev: NvmeDevPtr, qid: number, depth: number, polled: boolean): number {
  const nvmeq = dev_queue(cpu, dev, qid);
  let error = nvme_alloc_queue(cpu, nvmeq, dev, qid, depth);
  if (error === 0) error = to_errno(adapter_alloc_cq(cpu, dev, nvmeq, polled ? -1 : qid));
  if (error !== 0) return error;
  error = to_errno(adapter_alloc_sq(cpu, dev, nvmeq));
  if (error !== 0) {
    adapter_delete_cq(cpu, dev, qid);
    return error;
  }
  dev_set_online_queues(cpu, dev, qid);
  if (!polled) {
    nvme_request_io_irq(cpu, nvmeq);
    nvme_msix_program(cpu, qid, nvme_queue_vector_cpu(qid), IO_IRQ);
  }
  return 0;
}

/** nvme_alloc_ns: the block queue over the I/O queues, and the disk. */
function nvme_alloc_ns(cpu: Cpu, dev: NvmeDevPtr): number {
  const lba_shift = dev_lba_shift(cpu, dev);
  const max = dev_max_hw_bytes(cpu, dev);
  const q = blk_mq_init_queue(cpu, {
    ops: NVME_MQ_OPS,
    nr_hw_queues: dev_nr_irq_queues(cpu, dev),
    nr_poll_queues: dev_nr_poll_queues(cpu, dev),
    // A ring is full with one entry free.
    queue_depth: dev_q_depth(cpu, dev) - 1,
    cmd_size: NVME_IOD_SIZE,
    driver_data: dev,
    timeout: NVME_IO_TIMEOUT,
    limits: {
      max_hw_bytes: max,
      logical_block_size: 1 << lba_shift,
      dma_alignment: 3,
      virt_boundary_mask: 4095,
      max_segments: max / 4096 + 1,
      features: dev_has_write_cache(cpu, dev) ? BLK_FEAT_WRITE_CACHE : 0,
    },
  });
  if (IS_ERR(q)) return q;
  nvme_attach_queues(cpu, dev, q, HCTX_TYPE_DEFAULT, dev_nr_irq_queues(cpu, dev), 1);
  nvme_attach_queues(
    cpu,
    dev,
    q,
    HCTX_TYPE_POLL,
    dev_nr_poll_queues(cpu, dev),
    1 + dev_nr_irq_queues(cpu, dev),
  );
  const disk = alloc_disk(cpu, q, "nvme0n1", dev);
  if (disk === 0) {
    blk_mq_put_failed_queue(cpu, q);
    return -ENOMEM;
  }
  dev_set_disk(cpu, dev, disk);
  device_add_disk(cpu, disk, dev_nr_lbas(cpu, dev) * 2 ** (lba_shift - SECTOR_SHIFT));
  return 0;
}

function nvme_attach_queues(
  cpu: Cpu,
  dev: NvmeDevPtr,
  q: RequestQueuePtr,
  type: number,
  nr: number,
  first_qid: number,
): void {
  for (let i = 0; i < nr; i++) {
    const hctx = queue_hctx(cpu, q, type, i) as HctxPtr;
    const nvmeq = dev_queue(cpu, dev, first_qid + i);
    hctx_set_driver_data(cpu, hctx, nvmeq);
    nvme_queue_attach(cpu, nvmeq, hctx, NSID, dev_lba_shift(cpu, dev) - SECTOR_SHIFT);
  }
}

/** Ends all I/O, deletes the queues, shuts the controller down and frees everything. */
export function nvme_remove(cpu: Cpu): void {
  const dev = nvme_dev(cpu);
  if (dev === 0) return;
  nvme_set_dev(cpu, 0);
  del_gendisk(cpu, dev_disk(cpu, dev));
  cancel_work_sync(cpu, dev_abort_work(dev));
  nvme_disable_io_queues(cpu, dev);
  nvme_shutdown_ctrl(cpu);
  nvme_dev_release(cpu, dev);
}

/** Deletes the I/O queues on the device: submission first, or the completion queue is in use. */
function nvme_disable_io_queues(cpu: Cpu, dev: NvmeDevPtr): void {
  for (let qid = dev_online_queues(cpu, dev); qid > 0; qid--) {
    if (adapter_delete_sq(cpu, dev, qid) === 0) adapter_delete_cq(cpu, dev, qid);
  }
  dev_set_online_queues(cpu, dev, 0);
}

/** Undoes nvme_setup, however far it came. */
function nvme_dev_release(cpu: Cpu, dev: NvmeDevPtr): void {
  nvme_disable_ctrl(cpu);
  free_irq(cpu, ADMIN_CPU, ADMIN_IRQ);
  for (let qid = 1; qid <= cpu.config.cpus; qid++) nvme_free_io_irq(cpu, qid);
  // synchronize_irq: a handler that began before may still look at its queue, perhaps for a late interrupt.
  // Handlers are RCU read sections.
  synchronize_rcu(cpu);
  const queues = dev_queues(cpu, dev);
  if (queues !== 0) {
    const nr = 1 + cpu.config.cpus * (cpu.config.completion === "poll" ? 2 : 1);
    for (let qid = 0; qid < nr; qid++) nvme_free_queue(cpu, dev_queue(cpu, dev, qid));
    kfree(cpu, queues);
  }
  if (dev_buffer(cpu, dev) !== 0) {
    dma_free_coherent(cpu, NVME_DEVICE, 4096, dev_buffer(cpu, dev), dev_buffer_dma(cpu, dev) as Iova);
  }
  if (dev_disk(cpu, dev) !== 0) put_disk(cpu, dev_disk(cpu, dev));
  device_del(cpu, NVME_DEVICE);
  kfree(cpu, dev);
}
