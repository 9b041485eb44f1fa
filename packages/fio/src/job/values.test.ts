/** Numbers that fio 3.33 makes of written values (`fio --parse-only --debug=parse` tells them), and ours. */
import { describe, expect, it } from "vitest";
import type { JobOptions } from "./job.ts";
import { hasFio, jobOf, realFio } from "./testing.ts";

const min = ({ bs }: JobOptions): number[] => bs.map((range) => range.min);

/** Line; the numbers that fio reads in it, left out ones missing; what the job has. */
const VALUES: readonly (readonly [string, readonly number[], (o: JobOptions) => unknown, unknown])[] = [
  ["bs=4k,,8k", [4096, 8192], min, [4096, 4096, 8192]],
  ["bs=,,8k", [8192], min, [4096, 4096, 8192]],
  ["bs=1k,8k:16k", [1024, 8192, 16384], min, [1024, 8192, 16384]],
  ["bs=1k:8k-16k", [1024, 8192, 16384], min, [1024, 8192, 16384]],
  ["bs=8KiB", [8000], min, [8000, 8000, 8000]],
  ["bs=010", [10], min, [10, 10, 10]],
  ["rate_iops=100,,200", [100, 200], (o) => o.rateIops, [100, 0, 200]],
  ["rate=,2m", [2 << 20], (o) => o.rate, [0, 2 << 20, 2 << 20]],
  ["runtime=+10s", [10_000_000], (o) => o.runtimeMs, 10_000],
  ["runtime=500MS", [500_000], (o) => o.runtimeMs, 500],
  ["thinktime=1h", [3_600_000_000], (o) => o.thinktimeUs, 3_600_000_000],
  ["direct=+1", [1], (o) => o.direct, true],
  ["size=2t", [2 ** 41], (o) => o.size, 2 ** 41],
];

describe("a value", () => {
  it.each(VALUES)("%s", (line, _, read, expected) => {
    expect(read(jobOf(line).options)).toEqual(expected);
  });

  it.skipIf(!hasFio())("is the number that real fio reads (skipped where fio 3.33 is not installed)", () => {
    const text = VALUES.map(([line], index) => `[job${index}]\n${line}\n`).join("");
    const { output } = realFio(["--parse-only", "--debug=parse"], text);
    const told = output.split(/Parsing section \[job\d+\]/).slice(1);
    const numbers = told.map((part) =>
      [...part.matchAll(/ret=0, out=(\d+)/g)].map((found) => Number(found[1])),
    );
    expect(numbers).toEqual(VALUES.map(([, expected]) => expected));
  });
});
