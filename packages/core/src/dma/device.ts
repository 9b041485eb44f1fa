/**
 * struct device (include/linux/device.h), the part DMA needs: a name and an IOMMU domain.
 *
 * Interface: device_init when the driver probes, before any dma_map_*; device_del when everything is unmapped
 * and the device thread has stopped translating. The struct is the owner's memory.
 */
import type { Ptr } from "atomics-sync";
import { IS_ERR, PTR_ERR } from "../debug/errno.ts";
import { struct_layout } from "../debug/layout.ts";
import { site_id, site_text } from "../debug/site.ts";
import type { Cpu } from "../sched/cpu.ts";
import { iommu_domain_alloc, iommu_domain_free, type IommuDomainPtr } from "./iommu-domain.ts";

export type DevicePtr = Ptr<"device">;

// Constant between device_init and device_del:
const NAME = 0;
/** 0: passthrough, I/O addresses are memory addresses. */
const DOMAIN = 4;
export const DEVICE_SIZE = 8;

struct_layout("device", DEVICE_SIZE, [
  ["name", NAME, 4],
  ["iommu_domain", DOMAIN, 4],
]);

/** Names the device and gives it a domain. 0, -ENOMEM, or -ENOSPC (memory leaves no I/O addresses). */
export function device_init(cpu: Cpu, dev: DevicePtr, name: string): number {
  cpu.mem.write(dev + NAME, site_id(cpu, name));
  cpu.mem.write(dev + DOMAIN, 0);
  if (cpu.config.iommu === "passthrough") return 0;
  const domain = iommu_domain_alloc(cpu);
  if (IS_ERR(domain)) return PTR_ERR(domain);
  cpu.mem.write(dev + DOMAIN, domain);
  return 0;
}

export function device_del(cpu: Cpu, dev: DevicePtr): void {
  const domain = dev_iommu_domain(cpu, dev);
  if (domain !== 0) iommu_domain_free(cpu, domain);
  cpu.mem.write(dev + DOMAIN, 0);
}

export function dev_name(cpu: Cpu, dev: DevicePtr): string {
  return site_text(cpu, cpu.mem.read(dev + NAME));
}

/** The device's domain; 0 in passthrough. */
export function dev_iommu_domain(cpu: Cpu, dev: DevicePtr): IommuDomainPtr {
  return cpu.mem.read(dev + DOMAIN) as IommuDomainPtr;
}
