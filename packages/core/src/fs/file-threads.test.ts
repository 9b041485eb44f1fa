/** Files on real threads. */
import { expect, test } from "vitest";
import { run_machine } from "../testing/threads.ts";

const module = new URL("../testing/file-bodies.ts", import.meta.url);

for (const kasan of [false, true]) {
  test(`a file that is looked up while it is closed is whole, or not found (checked memory: ${kasan})`, async () => {
    const rounds = kasan ? 400 : 4000;
    const { values, finished, log } = await run_machine({
      module,
      cpus: ["open_and_close", "look_up", "look_up"],
      args: [rounds],
      boot: "set_up",
      finish: "tear_down",
      config: { kasan },
    });
    const [opened, odd] = values[0] as [number, number];
    expect(odd).toBe(0);
    expect((values[1] as number[])[1]).toBe(0);
    expect((values[2] as number[])[1]).toBe(0);
    expect((values[1] as [number, number])[0] + (values[2] as [number, number])[0]).toBeGreaterThan(0);
    expect(finished).toEqual({ releases: opened, leaked: 0 });
    expect(log).toEqual([]);
  });
}
