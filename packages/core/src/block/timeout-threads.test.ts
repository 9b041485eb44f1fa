/** Time-out against completion on real threads, with time-outs of a few ms: thousands of close calls. */
import { expect, test } from "vitest";
import type { TimeoutEnd } from "../testing/timeout-bodies.ts";
import { run_machine } from "../testing/threads.ts";

const module = new URL("../testing/timeout-bodies.ts", import.meta.url);
const base = { module, boot: "set_up", finish: "tear_down" };

for (const depth of [1, 3, 16]) {
  test(`each request ends exactly once, and is nobody else's before its handler is done (depth ${depth})`, async () => {
    const { values, finished, log } = await run_machine({
      ...base,
      cpus: ["send", "send", "serve"],
      args: [2, depth, depth === 1 ? 240 : 800],
    });
    const end = finished as TimeoutEnd;
    expect(log).toEqual([]);
    expect(end).toMatchObject({ bad: 0, lost: 0, stolen: 0, leaked: 0 });
    expect(end.expired).toBeGreaterThan(0);
    expect(Math.max(...(values.slice(0, 2) as number[]))).toBeGreaterThan(0);
  });
}

test("when the device says nothing every request times out", async () => {
  const { values, finished, log } = await run_machine({
    ...base,
    cpus: ["send", "send", "stall"],
    args: [2, 8, 160],
  });
  expect(log).toEqual([]);
  expect(values.slice(0, 2)).toEqual([0, 0]);
  expect(finished).toMatchObject({ expired: 320, late: 0, bad: 0, lost: 0, stolen: 0, leaked: 0 });
});

test("control: a driver that completes without claiming ends requests twice", async () => {
  const { finished, log } = await run_machine({
    ...base,
    finish: "report",
    cpus: ["send", "send", "serve_wrongly"],
    args: [2, 16, 2000],
  });
  expect((finished as TimeoutEnd).bad + log.length).toBeGreaterThan(0);
});
