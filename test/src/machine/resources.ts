/** What a process holds: threads, handles, memory. For tests that nothing stays behind. */
import { existsSync, readdirSync } from "node:fs";
import v8 from "node:v8";
import vm from "node:vm";

v8.setFlagsFromString("--expose-gc");
const collect = vm.runInNewContext("gc") as () => void;

const TASKS = "/proc/self/task";

export interface Resources {
  /** Threads of the process; 0 where the system does not tell. */
  readonly threads: number;
  /** Handles that keep the event loop alive, by kind. */
  readonly handles: Readonly<Record<string, number>>;
  /** Bytes. */
  readonly heap: number;
  readonly rss: number;
}

/** Measured once finalizers have run. */
export async function resources(): Promise<Resources> {
  for (let i = 0; i < 4; i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const handles: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) handles[kind] = (handles[kind] ?? 0) + 1;
  const { heapUsed, external, rss } = process.memoryUsage();
  const threads = existsSync(TASKS) ? readdirSync(TASKS).length : 0;
  return { threads, handles, heap: heapUsed + external, rss };
}

/** Bytes a step between two measurements. */
export function growth(from: Resources, to: Resources, steps: number): { heap: number; rss: number } {
  return { heap: (to.heap - from.heap) / steps, rss: (to.rss - from.rss) / steps };
}

/** Handles of the test runner come and go; one that is still there after so long (ms) is ours. */
const PASSING_MS = 5000;

/** Handles that there are now and were not before, by kind: empty when nothing is left behind. */
export async function left_behind(before: Resources): Promise<Readonly<Record<string, number>>> {
  const deadline = performance.now() + PASSING_MS;
  for (;;) {
    const { handles } = await resources();
    const more = Object.entries(handles).filter(([kind, count]) => count > (before.handles[kind] ?? 0));
    if (more.length === 0 || performance.now() > deadline) return Object.fromEntries(more);
  }
}
