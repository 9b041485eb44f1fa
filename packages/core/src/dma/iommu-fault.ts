/**
 * The fault log (drivers/iommu/intel/dmar.c, fault recording registers): what devices asked for and did not
 * get. A ring of the last FAULT_RECORDS; the first FAULTS_TOLD of a boot also go to the kernel log, each as a
 * violation: a device that faults used an address after its unmap, or one it was never given.
 */
import { kernel_static } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { violation } from "../debug/warn.ts";
import type { Cpu } from "../sched/cpu.ts";
import { dma_count_fault } from "./counters.ts";
import { dev_name, type DevicePtr } from "./device.ts";

export const FAULT_RECORDS = 64;
const FAULTS_TOLD = 64;

// Ring: NEXT counts faults; a record is written by the device that got its number.
const NEXT = 0;
const RECORDS = 128;
// Record. The address takes two words: a device may ask for anything.
const ADDRESS = 0;
const DEVICE = 8;
const WRITE = 12;
const RECORD_SIZE = 16;
const LOG = kernel_static("iommu_fault_log", RECORDS + FAULT_RECORDS * RECORD_SIZE);

struct_layout("iommu_fault_log", RECORDS + FAULT_RECORDS * RECORD_SIZE, [
  ["next", NEXT, 4],
  ["records", RECORDS, FAULT_RECORDS * RECORD_SIZE],
]);

export interface IommuFault {
  readonly iova: number;
  readonly device: string;
  readonly write: boolean;
}

/** Records a refused access. */
export function iommu_fault(cpu: Cpu, dev: DevicePtr, iova: number, write: boolean, reason: string): void {
  const number = cpu.mem.fetchAdd(LOG + NEXT, 1);
  const record = LOG + RECORDS + (number & (FAULT_RECORDS - 1)) * RECORD_SIZE;
  cpu.mem.write64(record + ADDRESS, iova);
  cpu.mem.write(record + DEVICE, dev);
  cpu.mem.write(record + WRITE, write ? 1 : 0);
  dma_count_fault(cpu);
  if (number >= FAULTS_TOLD) return;
  const access = `[DMA ${write ? "Write" : "Read"} NO_PASID]`;
  violation(
    cpu,
    "iommu-fault",
    `DMAR: ${access} ${dev_name(cpu, dev)} fault addr 0x${iova.toString(16)}: ${reason}`,
  );
}

/** The last faults, oldest first. For reports, while devices are quiet. */
export function iommu_fault_log(cpu: Cpu): IommuFault[] {
  const end = cpu.mem.loadAcquire(LOG + NEXT);
  const found: IommuFault[] = [];
  for (let number = Math.max(0, end - FAULT_RECORDS); number < end; number++) {
    const record = LOG + RECORDS + (number & (FAULT_RECORDS - 1)) * RECORD_SIZE;
    found.push({
      iova: cpu.mem.read64(record + ADDRESS),
      device: dev_name(cpu, cpu.mem.read(record + DEVICE) as DevicePtr),
      write: cpu.mem.read(record + WRITE) !== 0,
    });
  }
  return found;
}
