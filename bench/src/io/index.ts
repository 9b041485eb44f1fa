/** Benches of the I/O path, of what stands around it, and of the checker. */
// First: the root of the kernel image.
import "@ringside/workers/machine";
import type { Bench } from "../bench.ts";
import { boot } from "./boot.ts";
import { checker } from "./checker.ts";
import { fairness } from "./fairness.ts";
import { invalidate } from "./invalidate.ts";
import { iommu } from "./iommu.ts";
import { nop } from "./nop.ts";
import { rw } from "./rw.ts";

export const benches: readonly Bench[] = [nop, rw, iommu, fairness, invalidate, boot, checker];
