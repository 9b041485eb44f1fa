/**
 * Executions, steps and ops a second of the checker: kernel scenarios with detectors on and off, programs of at most 15
 * steps, and the gated back-end.
 *
 *   node bench/checker-speed.ts [--seconds 1] [part of a name ...]
 *
 * Prints a section of checker-results.md. Run it on a machine that does nothing else.
 */
import { parseArgs } from "node:util";
import { speedTable, speedText } from "@ringside/workers/check/speed-table";
import { section } from "./section.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: "string", default: "1" } },
});

const rows = await speedTable({
  seconds: Number(values.seconds),
  ...(positionals.length === 0 ? {} : { only: positionals }),
});
const meaning =
  "A random walk over correct scenarios, small programs (coroutines), and real threads that take turns; per second " +
  "of one thread. A switch point is a decision of the scheduler, an op one access.";
console.log(section("Speed", meaning, speedText(rows)));
