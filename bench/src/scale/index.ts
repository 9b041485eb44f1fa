/**
 * How costs grow: a bench is a curve or two, a comparison is a point. Each file says what is expected to grow, how, and
 * why; the exponents in the notes of the last points say whether it does.
 */
// First: the root of the kernel image.
import "@ringside/workers/machine";
import type { Bench } from "../bench.ts";
import { scaleBufferSize } from "./buffer-size.ts";
import { scaleBuffers } from "./buffers.ts";
import { scaleCpus } from "./cpus.ts";
import { scaleDepth } from "./depth.ts";
import { scaleInvalidations } from "./invalidations.ts";

export const benches: readonly Bench[] = [
  scaleCpus,
  scaleBuffers,
  scaleBufferSize,
  scaleDepth,
  scaleInvalidations,
];
