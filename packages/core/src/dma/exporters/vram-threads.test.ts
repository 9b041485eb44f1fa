import { expect, it } from "vitest";
import { type MachineResult, run_machine } from "../../testing/threads.ts";

const MOVES = 200;

interface Sums {
  written: number;
  moves: number;
}

/** The last of the CPUs moves the buffer; the others go on until it is done. */
function run(cpus: string[]): Promise<MachineResult> {
  return run_machine({
    module: new URL("../testing/vram-bodies.ts", import.meta.url),
    cpus,
    boot: "make_buffer",
    finish: "destroy_buffer",
    args: [MOVES, 1],
    config: { vram: 64 << 12 },
  });
}

function writes(values: readonly unknown[], writers: number): number {
  return values.slice(0, writers).reduce((sum: number, count) => sum + (count as number), 0);
}

it("no write of a CPU is lost, however the buffer moves meanwhile", async () => {
  const { values, finished, log } = await run(["writer", "writer", "mover"]);
  expect(log).toEqual([]);
  expect((finished as Sums).written).toBe(writes(values, 2));
  expect((finished as Sums).moves).toBe(MOVES);
});

it("control: writes after a vram_user section get lost", async () => {
  // Moves within VRAM only: a lost write spoils poison there, and no memory of the kernel.
  const { values, finished } = await run(["careless_writer", "careless_writer", "async_mover"]);
  expect((finished as Sums).written).toBeLessThan(writes(values, 2));
});

it("writers, importers and movers together: nothing is lost, nothing is stale", async () => {
  const { values, finished, log } = await run(["writer", "mapper", "mapper", "mover"]);
  expect(log).toEqual([]);
  expect((finished as Sums).written).toBe(writes(values, 1));
});

it("control: an importer that does not wait for the move fence is caught, and breaks nothing else", async () => {
  const { log } = await run(["rude_mapper", "rude_mapper", "async_mover"]);
  const texts = log.map((record) => record.text);
  expect(texts).toContainEqual(expect.stringMatching(/^map-during-move/));
  expect(texts.filter((text) => !text.startsWith("map-during-move"))).toEqual([]);
});
