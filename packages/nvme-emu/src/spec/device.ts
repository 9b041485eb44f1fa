/**
 * The PCI function's identity: the `struct device` for which the host maps memory and as which the
 * controller does DMA. One per machine.
 *
 * Interface: the driver calls device_init on it while probing; the controller only passes it to the IOMMU.
 */
import { kernel_static } from "@ringside/core/debug/image";
import { DEVICE_SIZE, type DevicePtr } from "@ringside/core/dma/device";

export const NVME_DEVICE: DevicePtr = kernel_static("nvme_device", DEVICE_SIZE) as DevicePtr;
/** PCI ids: vendor of the identify data. */
export const NVME_PCI_VENDOR = 0x1d1d;
