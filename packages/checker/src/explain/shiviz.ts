/**
 * ShiViz log: two lines an op, for https://bestchai.bitbucket.io/shiviz/ (Beschastnikh et al., CACM 2016). Paste it
 * with the parser expression
 *
 *     (?<host>\S*) (?<clock>{.*})\n(?<event>.*)
 *
 * which is SHIVIZ_PATTERN. A clock holds every thread known so far; the host's own entry rises by one with each op.
 */
import { clocksOf } from "./clocks.ts";
import { placeInSource, type Recording } from "./record.ts";

export const SHIVIZ_PATTERN = "(?<host>\\S*) (?<clock>{.*})\\n(?<event>.*)";

export function shivizLog(recording: Recording): string {
  const hosts = [...recording.threads, "checks"].map((name) => name.replaceAll(/\s+/g, "_"));
  const clocks = clocksOf(recording);
  const lines = recording.rows.flatMap((row, i) => {
    const clock = clocks[i] as Int32Array;
    const known = hosts.map((host, h) => [host, clock[h] as number] as const).filter(([, n]) => n > 0);
    const site = placeInSource(row);
    const where = site === undefined ? "" : ` at ${site.name} (${site.file}:${site.line})`;
    const host = hosts[row.thread < 0 ? hosts.length - 1 : row.thread] as string;
    return [`${host} ${JSON.stringify(Object.fromEntries(known))}`, `${row.text}${where}`];
  });
  return `${lines.join("\n")}\n`;
}
