/**
 * The benchmark programs: SCTBench's CS and CHESS queues, stringbuffer, boundedBuffer, SafeStack and ConVul's kernel
 * bugs, told again over Memory. Load through registerControlled with granularity "all": every access is a step, and
 * so are lock, unlock, wait and notify. Published figures are in published.ts, which needs no loader.
 *
 * Unlike the originals, all threads are there from the start: main creates nobody. That spares steps, and the random
 * walk, which elsewhere lets the first threads end before the last is created, fares better for it.
 */
import type { Benchmark } from "./benchmark.ts";
import { CONDITIONS } from "./conditions.ts";
import { CONVUL_LIFETIME } from "./convul-lifetime.ts";
import { CONVUL_NULL } from "./convul-null.ts";
import { CS_BUFFERS } from "./cs-buffers.ts";
import { CS_FLAGS } from "./cs-flags.ts";
import { CS_LOCKS } from "./cs-locks.ts";
import { SAFESTACK } from "./safestack.ts";
import { STRINGBUFFER } from "./stringbuffer.ts";
import { WORK_STEAL_QUEUES } from "./work-steal-queue.ts";

export type { Benchmark, Suite } from "./benchmark.ts";

/** Programs with their bugs, and repaired forms (`fixed`). */
export const BENCHMARKS: readonly Benchmark[] = [
  ...CS_LOCKS,
  ...CS_FLAGS,
  ...CS_BUFFERS,
  ...CONDITIONS,
  ...WORK_STEAL_QUEUES,
  ...STRINGBUFFER,
  ...CONVUL_NULL,
  ...CONVUL_LIFETIME,
  ...SAFESTACK,
];
