/** Tags on real threads: nobody gets one that somebody has, and nobody waits for ever. */
import { expect, test } from "vitest";
import { run_machine } from "../testing/threads.ts";

const module = new URL("../testing/tags-bodies.ts", import.meta.url);

for (const [depth, rounds] of [
  [1, 600],
  [2, 2000],
  [5, 4000],
  [40, 6000],
] as const) {
  test(`a tag has one owner, and every waiter gets one (depth ${depth})`, async () => {
    const { values, finished, log } = await run_machine({
      module,
      cpus: ["fight", "fight", "fight", "fight"],
      args: [depth, rounds],
      boot: "set_up",
      finish: "tear_down",
      kworkers: 0,
    });
    expect(values).toEqual([0, 0, 0, 0]);
    expect(finished).toEqual([0, 0, 0]);
    expect(log).toEqual([]);
  });
}
