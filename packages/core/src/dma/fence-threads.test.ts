import { expect, it } from "vitest";
import { run_machine } from "../testing/threads.ts";

const MODULE = new URL("../testing/fence-bodies.ts", import.meta.url);

it.each([false, true])(
  "every waiter is woken, each callback ran or was removed (checked memory: %s)",
  async (kasan) => {
    const cpus = ["signaler", "waiter", "waiter", "remover"];
    const { values, finished, log } = await run_machine({
      module: MODULE,
      cpus,
      args: [1000, cpus.length - 1],
      boot: "set_up",
      finish: "settle",
      config: { kthreads: 2, kasan },
      kworkers: 0,
    });
    expect(values).toEqual([1000, 0, 0, 0]);
    expect(log).toEqual([]);
    expect(finished).toEqual({ initialised: 1001, signalled: 1001, leaked: 0 });
  },
);
