import { expect, it } from "vitest";
import type { IommuMode } from "../mm/memory-map.ts";
import { type MachineResult, run_machine } from "../testing/threads.ts";

const ROUNDS = 100;

/** `hosts` CPUs use a device that never forgets an address. */
function reuse(iommu: IommuMode, hosts: number): Promise<MachineResult> {
  return run_machine({
    module: new URL("./testing/iommu-bodies.ts", import.meta.url),
    cpus: Array.from({ length: hosts }, () => "host_reuses_page"),
    devices: ["rogue_device"],
    boot: "make_device",
    finish: "remove_device",
    args: [hosts, ROUNDS],
    config: { iommu },
  });
}

it.each([1, 2])(
  "strict: a device that forgets nothing does not reach a page after its unmap (%i CPUs)",
  async (n) => {
    const { values, finished } = await reuse("strict", n);
    expect(values).toEqual(Array.from({ length: n }, () => 0));
    expect(finished, "it tried").toBeGreaterThan(0);
  },
);

it("control: lazy, the same device does reach it", async () => {
  const { values } = await reuse("lazy", 1);
  expect(values[0]).toBeGreaterThan(0);
});

it("control: passthrough, nothing ever stops it", async () => {
  const { values } = await reuse("passthrough", 1);
  expect(values).toEqual([ROUNDS]);
});

it.each(["strict", "lazy"] as const)("%s: a device asleep is woken for a flush", async (iommu) => {
  const hosts = 2;
  const { values, log } = await run_machine({
    module: new URL("./testing/iommu-bodies.ts", import.meta.url),
    cpus: ["host_maps", "host_maps"],
    devices: ["sleepy_device"],
    boot: "make_device",
    finish: "remove_device",
    args: [hosts, 2000],
    config: { iommu },
  });
  expect(log).toEqual([]);
  // Far below the 20 ms that a missed wake-up costs.
  for (const ms of values) expect(ms).toBeLessThan(2);
});
