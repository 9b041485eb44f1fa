/** Driver and controller on real threads: every byte is checked, over every way the machine is built. */
import { expect, test } from "vitest";
import type { KernelConfig } from "@ringside/core/mm/memory-map";
import { type MachineResult, run_machine } from "@ringside/core/testing/threads";
import type { DriverEnd } from "../testing/driver-bodies.ts";

const module = new URL("../testing/driver-bodies.ts", import.meta.url);

async function run(
  cpus: readonly string[],
  args: readonly unknown[],
  config: Partial<KernelConfig>,
): Promise<MachineResult> {
  return await run_machine({
    module,
    cpus,
    args,
    boot: "boot_nvme",
    finish: "tear_down",
    devices: ["controller"],
    config: { ram: 32 << 20, media: 8 << 20, ...config },
  });
}

function check(result: MachineResult): DriverEnd {
  const end = result.finished as DriverEnd;
  expect(result.log).toEqual([]);
  expect(end.leaked).toBe(0);
  expect(end.dma.maps).toBe(end.dma.unmaps);
  expect(end.dma.faults).toBe(0);
  return end;
}

for (const completion of ["irq", "poll"] as const) {
  for (const iommu of ["strict", "lazy", "passthrough"] as const) {
    test(`ordinary I/O reads back what it wrote (${completion}, ${iommu})`, async () => {
      const result = await run(["verified_io", "verified_io"], [150, false], { completion, iommu });
      expect(result.values).toEqual([0, 0]);
      check(result);
    });
  }
  test(`dma-buf I/O reads back what it wrote while the exporter invalidates (${completion})`, async () => {
    const cpus = ["verified_io", "verified_io", "invalidate"];
    const result = await run(cpus, [150, true], { completion, iommu: "strict" });
    expect(result.values.slice(0, 2)).toEqual([0, 0]);
    check(result);
  });
}

test("checked memory finds nothing wrong with either kind", async () => {
  const cpus = ["verified_io", "verified_io", "invalidate"];
  const result = await run(cpus, [40, true], { kasan: true, iommu: "strict" });
  expect(result.values.slice(0, 2)).toEqual([0, 0]);
  check(result);
  check(await run(["verified_io", "verified_io"], [40, false], { kasan: true, iommu: "strict" }));
});
