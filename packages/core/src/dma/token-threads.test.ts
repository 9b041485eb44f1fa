import { expect, test } from "vitest";
import type { KernelConfig } from "../mm/memory-map.ts";
import { type MachineResult, run_machine } from "../testing/threads.ts";
import type { TokenEnd } from "./testing/token-bodies.ts";

const USERS = 3;

async function run(
  config: Partial<KernelConfig>,
  exporter: string,
  args: readonly unknown[],
): Promise<MachineResult> {
  return await run_machine({
    module: new URL("./testing/token-bodies.ts", import.meta.url),
    cpus: [...Array.from({ length: USERS }, () => "use_token"), exporter],
    args,
    boot: "boot_token",
    finish: "finish_token",
    config,
  });
}

function texts(result: MachineResult): string[] {
  return result.log.map((record) => record.text);
}

test.for(["atomic", "owner"] as const)(
  "no rule breaks while maps come and go, shards: %s",
  async (percpu) => {
    const result = await run({ percpu, kasan: true }, "invalidate_token", [150, true]);
    expect(texts(result)).toEqual([]);
    const end = result.finished as TokenEnd;
    expect(end.counters.maps).toBe(end.counters.unmaps);
    expect(end.counters.maps).toBeGreaterThan(10);
    expect(end.fencesPending).toBe(0);
    expect(end.leaks).toEqual([]);
  },
);

test("v3-fixed never maps over a pending fence, though exporters do not wait", async () => {
  const result = await run({ variant: "v3-fixed" }, "invalidate_token", [150, false]);
  expect(texts(result)).toEqual([]);
});

test("the text as posted maps over a pending fence, and the oracle says so", async () => {
  const result = await run({ variant: "v3" }, "invalidate_token", [600, false]);
  expect(texts(result).some((text) => text.startsWith("map-over-fence"))).toBe(true);
});

test("without fence slots every invalidation warns once per site and still drains", async () => {
  const result = await run({}, "invalidate_without_slots", [20]);
  expect(texts(result)).toHaveLength(1);
  expect(texts(result).join()).toContain("io_dmabuf_drop_map");
  expect((result.finished as TokenEnd).fencesPending).toBe(0);
});
