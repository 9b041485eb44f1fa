/** Sections of checker-results.md, as its scripts print them: what was run, where, and the table it gave. */
import { cpus, loadavg } from "node:os";
import { relative } from "node:path";

/** Threads that wanted to run in the last minute, when the script started. */
const [loadAtStart = 0] = loadavg();

const ROOT = new URL("../", import.meta.url).pathname;

/** "node bench/shrunk.ts --seeds 3" */
export function command(): string {
  const [, script = "", ...args] = process.argv;
  return ["node", relative(ROOT, script), ...args].join(" ");
}

/** A section with a heading, the command, what it means, and a table. */
export function section(title: string, meaning: string, table: string): string {
  const cpu = cpus();
  const machine = `Node ${process.version.slice(1)}, ${cpu.length} x ${cpu[0]?.model ?? "unknown"}`;
  const [minute = 0] = loadavg();
  return [
    `## ${title}: \`${command()}\``,
    "",
    `${meaning} ${machine}; load ${loadAtStart.toFixed(1)} at the start, ${minute.toFixed(1)} at the end.`,
    "",
    table,
    "",
  ].join("\n");
}
