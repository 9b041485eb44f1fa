/**
 * The order of test files: those that take longest first, so that both workers end at about the same time. A fresh
 * clone has no durations of an earlier run to go by. A file that is missing here only makes the end a little uneven.
 */
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Files of 10 s and more, the slowest first. */
const SLOW: readonly string[] = [
  "test/src/machine/boot.test.ts",
  "test/conformance/src/mutants.test.ts",
  "workers/src/check/scenarios.test.ts",
  "test/src/stress/mutants.test.ts",
  "test/src/stress/matrix.test.ts",
  "workers/src/check/kernel-scenarios.test.ts",
  "test/conformance/src/conformance.test.ts",
  "test/src/cli/commands.test.ts",
  "test/src/cli/check.test.ts",
  "workers/src/rcutorture.test.ts",
  "packages/core/src/sched/workqueue-pools.test.ts",
  "packages/core/src/sched/workqueue-threads.test.ts",
  "packages/core/src/block/timeout-threads.test.ts",
  "packages/nvme-emu/src/driver/driver-threads.test.ts",
  "test/conformance/src/runner.test.ts",
  "packages/uring-emu/src/ring/threads.test.ts",
];

function rank({ moduleId }: TestSpecification): number {
  const known = SLOW.findIndex((file) => moduleId.endsWith(`/${file}`));
  return known < 0 ? SLOW.length : known;
}

export default class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}
