/** What the threads of iommu-threads.test.ts do: CPUs that map and unmap, and devices that misbehave. */
import { kernel_static } from "../../debug/image.ts";
import { GFP_KERNEL } from "../../mm/slab.ts";
import { __get_free_pages, free_pages } from "../../mm/page-alloc.ts";
import type { Cpu } from "../../sched/cpu.ts";
import { futex_announce, futex_retract, futex_sleep, wake_sequence } from "../../sched/task.ts";
import { wait_until } from "../../testing/rendezvous.ts";
import { DEVICE_SIZE, device_del, device_init, type DevicePtr } from "../device.ts";
import { iommu_faults } from "../counters.ts";
import { Iotlb, iommu_device_poll, iommu_device_start, iommu_device_stop } from "../iommu-device.ts";
import { iommu_flush_pending, iommu_translate } from "../iommu-device.ts";
import { DMA_FROM_DEVICE, dma_map_page, dma_unmap_page } from "../mapping.ts";

const DEV = kernel_static("test_device", DEVICE_SIZE) as DevicePtr;
/** The device is there. */
const READY = kernel_static("test_ready", 4);
/** Rounds the device has made; it runs. */
const ROUNDS = kernel_static("test_rounds", 4);
/** The device uses its domain no more. */
const STOPPED = kernel_static("test_stopped", 4);
/** Hosts that have finished. */
const FINISHED = kernel_static("test_finished", 4);
/** I/O addresses the rogue device keeps using, one word per host, a line apart. */
const TARGETS = kernel_static("test_targets", 8 * 128);

/** How long the sleepy device sleeps when nobody wakes it. */
const NAP_MS = 20;
const BY_DEVICE = 0xd3a;
const BY_HOST = 0x600d;

/** Makes the device; the boot thread's first act. */
export function make_device(cpu: Cpu): void {
  if (device_init(cpu, DEV, "test0") < 0) throw new Error("no device");
  cpu.mem.storeRelease(READY, 1);
}

/** Last, when the device has stopped: nothing is left of it. Returns the faults so far. */
export function remove_device(cpu: Cpu): number {
  wait_until(cpu, STOPPED, 1);
  device_del(cpu, DEV);
  return iommu_faults(cpu);
}

/** A device that never forgets: it writes to every address it was ever given, until `hosts` hosts are done. */
export function rogue_device(cpu: Cpu, hosts: number): void {
  wait_until(cpu, READY, 1);
  const tlb = new Iotlb();
  iommu_device_start(cpu, DEV, tlb);
  while (cpu.mem.loadAcquire(FINISHED) < hosts) {
    iommu_device_poll(cpu, DEV, tlb);
    for (let host = 0; host < hosts; host++) {
      const iova = cpu.mem.loadAcquire(TARGETS + host * 128);
      if (iova === 0) continue;
      const addr = iommu_translate(cpu, DEV, tlb, iova, 4, true);
      if (addr !== 0) cpu.mem.storeRelease(addr, BY_DEVICE);
    }
    cpu.mem.fetchAdd(ROUNDS, 1);
  }
  iommu_device_stop(cpu, DEV, tlb);
  cpu.mem.storeRelease(STOPPED, 1);
}

/**
 * Maps a page, lets the device write to it, unmaps it, and takes the page for itself. Returns how often the
 * device wrote to it after the unmap.
 */
export function host_reuses_page(cpu: Cpu, _hosts: number, rounds: number): number {
  const slot = TARGETS + cpu.id * 128;
  const page = __get_free_pages(cpu, GFP_KERNEL, 0);
  wait_until(cpu, ROUNDS, 1);
  let late = 0;
  for (let i = 0; i < rounds; i++) {
    cpu.mem.storeRelease(page, 0);
    const iova = dma_map_page(cpu, DEV, page, 4096, DMA_FROM_DEVICE);
    cpu.mem.storeRelease(slot, iova);
    wait_until(cpu, page, BY_DEVICE);
    dma_unmap_page(cpu, DEV, iova, 4096, DMA_FROM_DEVICE);
    cpu.mem.storeRelease(page, BY_HOST);
    wait_until(cpu, ROUNDS, cpu.mem.loadAcquire(ROUNDS) + 3);
    if (cpu.mem.loadAcquire(page) !== BY_HOST) late++;
    cpu.mem.storeRelease(slot, 0);
    wait_until(cpu, ROUNDS, cpu.mem.loadAcquire(ROUNDS) + 3);
  }
  cpu.mem.fetchAdd(FINISHED, 1);
  free_pages(cpu, page, 0);
  return late;
}

/** A device that sleeps whenever nobody wants a flush. */
export function sleepy_device(cpu: Cpu, hosts: number): void {
  wait_until(cpu, READY, 1);
  const tlb = new Iotlb();
  iommu_device_start(cpu, DEV, tlb);
  cpu.mem.fetchAdd(ROUNDS, 1);
  while (cpu.mem.loadAcquire(FINISHED) < hosts) {
    if (iommu_device_poll(cpu, DEV, tlb)) continue;
    const sequence = wake_sequence(cpu);
    futex_announce(cpu);
    if (iommu_flush_pending(cpu, DEV, tlb)) futex_retract(cpu);
    else futex_sleep(cpu, sequence, NAP_MS);
  }
  iommu_device_stop(cpu, DEV, tlb);
  cpu.mem.storeRelease(STOPPED, 1);
}

/** Maps and unmaps as fast as it can. Returns the milliseconds of one round. */
export function host_maps(cpu: Cpu, _hosts: number, rounds: number): number {
  const page = __get_free_pages(cpu, GFP_KERNEL, 0);
  wait_until(cpu, ROUNDS, 1);
  const from = cpu.now();
  for (let i = 0; i < rounds; i++) {
    const iova = dma_map_page(cpu, DEV, page, 4096, DMA_FROM_DEVICE);
    if (iova < 0) throw new Error("map failed");
    dma_unmap_page(cpu, DEV, iova, 4096, DMA_FROM_DEVICE);
  }
  const ms = cpu.now() - from;
  cpu.mem.fetchAdd(FINISHED, 1);
  free_pages(cpu, page, 0);
  return ms / rounds;
}
