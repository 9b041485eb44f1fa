import { MUTANTS } from "@ringside/mutants/index";
import type { StressOptions } from "@ringside/workers/stress";
import { describe, expect, test } from "vitest";
import { complaints, verified_run } from "./verified-run.ts";

type Settings = Partial<StressOptions>;

const KIB = 1024;
const MIB = 1024 * KIB;

async function nothing_breaks(settings: Settings): Promise<void> {
  const report = await verified_run(settings);
  expect(complaints(report)).toBe("");
  expect(report.ok).toBe(true);
  const { io, token } = report;
  const writes_only = settings.rw === "randwrite";
  if (settings.rw !== "randread") expect(io.writes).toBeGreaterThan(0);
  if (!writes_only) expect(io.reads).toBeGreaterThan(0);
  expect(io.verified, "sectors").toBe(io.reads * ((settings.bs ?? 4096) / 512));
  if (settings.buffer === "registered") return;
  expect(token.maps).toBeGreaterThan(0);
  expect(token.invalidations).toBeGreaterThan(0);
}

/** Seeds differ so that the cases do not all walk the same way; a failure names its settings and repeats. */
function seeded(settings: readonly Settings[]): (readonly [string, Settings])[] {
  return settings.map((each, i) => {
    const name = Object.entries(each).map(([option, value]) => `${option} ${value}`);
    return [name.join(", ") || "the defaults", { ...each, seed: i + 1 }];
  });
}

const MACHINES: Settings[] = [
  { iommu: "strict" },
  { iommu: "lazy" },
  { iommu: "passthrough" },
  { percpu: "owner" },
  { kasan: true, bs: 512 },
  { completion: "poll", buffer: "registered" },
  { cpus: 3 },
  { cpus: 4, iommu: "lazy", percpu: "owner" },
  { cpus: 8, depth: 8 },
  { cpus: 3, buffer: "registered", completion: "poll", percpu: "owner", iommu: "lazy" },
];

const TRANSFERS: Settings[] = [
  { bs: 512, depth: 256 },
  { bs: 8 * KIB, depth: 1 },
  { bs: 12 * KIB, rw: "randread" },
  { bs: 64 * KIB, rw: "randwrite" },
  { bs: MIB, depth: 4 },
  { bs: MIB, depth: 256, rw: "randread" },
  { bs: 4 * MIB, depth: 3 },
  { buffer: "registered" },
  { buffer: "registered", bs: 4 * MIB, depth: 3, iommu: "lazy" },
  { buffer: "registered", bs: 20 * KIB, depth: 256, completion: "poll" },
  { buffer: "registered", bs: 512, depth: 1, iommu: "passthrough" },
];

/** Without these, a mutant may be "caught" by what its settings break in the sane kernel too; those not above. */
const ABOVE = new Set([...MACHINES, ...TRANSFERS].map((each) => JSON.stringify(each)));
const OF_MUTANTS: Settings[] = [
  ...new Map(MUTANTS.map(({ stress = {} }) => [JSON.stringify(stress), stress as Settings])).entries(),
]
  .filter(([text]) => !ABOVE.has(text))
  .map(([, settings]) => settings);

describe("nothing breaks on a machine with", () => {
  test.for(seeded(MACHINES))("%s", ([, settings]) => nothing_breaks(settings));
});

describe("nothing breaks for transfers with", () => {
  test.for(seeded(TRANSFERS))("%s", ([, settings]) => nothing_breaks(settings));
});

describe("nothing breaks with a mutant's settings but without the mutant:", () => {
  test.for(seeded(OF_MUTANTS))("%s", ([, settings]) => nothing_breaks(settings));
});
