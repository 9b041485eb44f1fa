/** The block layer on real threads: submitters, a completer, a freezer. */
import { expect, test } from "vitest";
import type { BlockEnd } from "../testing/block-bodies.ts";
import { run_machine } from "../testing/threads.ts";

const module = new URL("../testing/block-bodies.ts", import.meta.url);

for (const percpu of ["atomic", "owner"] as const) {
  test(`more submitters than tags: every read completes once, elsewhere (${percpu})`, async () => {
    const { values, finished, log } = await run_machine({
      module,
      cpus: ["read_many", "read_many", "read_many", "complete_all"],
      args: [3, 7, 1000],
      boot: "set_up",
      finish: "tear_down",
      config: { percpu },
    });
    expect(values.slice(0, 3)).toEqual([1000, 1000, 1000]);
    expect(finished as BlockEnd).toEqual({ completed: 3000, bad: 0, leaked: 0 });
    expect(log).toEqual([]);
  });

  test(`a frozen queue is empty, and nothing is lost over freezes (${percpu})`, async () => {
    const { values, finished, log } = await run_machine({
      module,
      cpus: ["read_many", "read_many", "complete_all", "freeze_often"],
      args: [2, 16, 1500, 40],
      boot: "set_up",
      finish: "tear_down",
      config: { percpu },
    });
    expect(values[3]).toBe(0);
    expect(finished as BlockEnd).toEqual({ completed: 3000, bad: 0, leaked: 0 });
    expect(log).toEqual([]);
  });
}
