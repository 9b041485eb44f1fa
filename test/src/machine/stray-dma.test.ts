// First: the root of the kernel image.
import { Machine } from "@ringside/workers/machine";
import { LOG_VIOLATION } from "@ringside/core/debug/dmesg";
import { iommu_fault_log } from "@ringside/core/dma/iommu-fault";
import { NVME_SC_DATA_XFER_ERROR } from "@ringside/nvme-emu/spec/status";
import { expect, it } from "vitest";

const MS = 30_000;
/** Status code without More and Do Not Retry. */
const STATUS_MASK = 0x7ff;

it("a DMA outside the map fails with an IOMMU fault in the report, and the machine ends cleanly", async () => {
  const machine = await Machine.boot({ iommu: "strict" });
  const { mapped, unmapped, iova } = await machine.run(0, "stray-dma", {}, MS);
  expect(mapped, "while the page is mapped").toBe(0);
  expect(Number(unmapped) & STATUS_MASK).toBe(NVME_SC_DATA_XFER_ERROR);
  expect(iommu_fault_log(machine.cpu)).toEqual([{ iova, device: "nvme 0000:01:00.0", write: true }]);
  const violations = machine.log().filter((record) => record.level === LOG_VIOLATION);
  expect(violations.map((record) => record.text)).toEqual([
    expect.stringMatching(
      /^iommu-fault: DMAR: \[DMA Write NO_PASID\] nvme 0000:01:00.0 fault addr 0x.*not present$/,
    ),
  ]);
  expect(await machine.run(0, "nvme-smart", {}, MS), "the controller still answers").toHaveProperty("reads");
  expect(await machine.shutdown()).toEqual([]);
});
