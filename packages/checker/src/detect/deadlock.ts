/**
 * Deadlock: nobody can run and somebody has not ended. Draws who waits for what and who could end it. A sleeper whose
 * word has changed, or whose notify came before it slept, lost its wake-up: that is told as such.
 *
 * The story needs a History among the monitors; without it there are places and values only.
 */
import type { Execution } from "../execution.ts";
import { OPS } from "../op.ts";
import { siteText } from "../runtime.ts";
import { ENDED, type Thread } from "../thread.ts";
import type { Finding, World } from "../world.ts";
import type { PastOp } from "./history.ts";
import { hex } from "./race-report.ts";
import { type Waiter, waitersOf } from "./waiters.ts";

export function deadlockReport(execution: Execution): Finding {
  const { world } = execution;
  const all = waitersOf(execution);
  const stuck = all.filter((waiter) => waiter.thread.spec.daemon !== true);
  const lost = stuck.find((waiter) => waiter.lost !== undefined);
  const first = lost ?? stuck[0];
  const cycle = cycleOf(all);
  const message = lost === undefined ? deadlockMessage(world, stuck, cycle) : lostMessage(world, lost);
  const lines = stuck.map((waiter) => waiterText(execution, waiter));
  if (lost === undefined && cycle.length > 0) lines.push(...cycleText(execution, cycle));
  if (lost !== undefined) lines.push(...lostText(world, lost));
  return {
    kind: lost === undefined ? "deadlock" : "lost-wakeup",
    message,
    thread: first?.thread.index ?? -1,
    site: first?.thread.mem.site ?? 0,
    report: [message, ...lines].join("\n"),
  };
}

function deadlockMessage(world: World, stuck: readonly Waiter[], cycle: readonly Waiter[]): string {
  const names = stuck.map((waiter) => waiter.thread.spec.name).join(", ");
  if (cycle.length === 0) return `deadlock: ${names} wait for ever`;
  const round = [...cycle, cycle[0] as Waiter];
  const words = round.map((waiter, i) => {
    const { name } = waiter.thread.spec;
    return i === round.length - 1 ? name : `${name} (${placeText(world, waiter.place)})`;
  });
  return `deadlock: ${words.join(" waits for ")}`;
}

function lostMessage(world: World, { thread, place }: Waiter): string {
  const where = `${placeText(world, place)} at ${siteText(thread.mem.site)}`;
  return `lost wake-up: ${thread.spec.name} sleeps for ever on ${where}`;
}

function placeText(world: World, place: number): string {
  const name = world.describe?.(place);
  return name === undefined || name === "" ? hex(place) : `${name} at ${hex(place)}`;
}

function opText(world: World, op: PastOp): string {
  const { name } = OPS[op.kind] as { name: string };
  return `${world.nameOf(op.thread)} at ${siteText(op.site)} (${name})`;
}

/** One line: name, op, site, place, value; who could wake it. */
function waiterText(execution: Execution, waiter: Waiter): string {
  const { world } = execution;
  const { thread, asleep, place, expected, value, lastChange } = waiter;
  const head = `${thread.spec.name} ${asleep ? "sleeps" : "spins"} at ${siteText(thread.mem.site)}`;
  if (place === 0) return head;
  const word = `${placeText(world, place)} = ${value}`;
  const differs = expected === value ? "" : `, though it slept because it was ${expected}`;
  const change =
    lastChange === undefined ? nobody(world, waiter) : `last changed by ${opText(world, lastChange)}`;
  const how = lastChange === undefined ? "" : `, ${stateText(execution, waiter, lastChange.thread)}`;
  return `${head} on ${word}${differs}: ${change}${how}`;
}

function nobody(world: World, { touchedBy }: Waiter): string {
  if (touchedBy.length === 0) return "nobody else has touched it";
  return `nobody is known to have changed it; touched by ${touchedBy.map((t) => world.nameOf(t)).join(", ")}`;
}

function stateText(execution: Execution, waiter: Waiter, owner: number): string {
  if (owner === waiter.thread.index) return "itself";
  const { state } = execution.threads[owner] as Thread;
  return state === ENDED ? "which has ended" : "which waits too";
}

/** Waiters that wait for one another, each for the one that follows; empty: there is no such cycle. */
function cycleOf(waiters: readonly Waiter[]): Waiter[] {
  const byThread = new Map(waiters.map((waiter) => [waiter.thread.index, waiter]));
  for (const start of waiters) {
    const path: Waiter[] = [];
    let at: Waiter | undefined = start;
    while (at !== undefined && !path.includes(at)) {
      path.push(at);
      at = at.lastChange === undefined ? undefined : byThread.get(at.lastChange.thread);
    }
    if (at !== undefined) return path.slice(path.indexOf(at));
  }
  return [];
}

/** The cycle in words, then as lockdep draws it: a column a thread. */
function cycleText(execution: Execution, cycle: readonly Waiter[]): string[] {
  const { world } = execution;
  const words = cycle.map(({ thread, place, lastChange }) => {
    const owner = lastChange === undefined ? "nobody" : world.nameOf(lastChange.thread);
    return `${thread.spec.name} waits for ${placeText(world, place)}, last changed by ${owner}`;
  });
  const width =
    Math.max(...cycle.flatMap((waiter) => columnOf(world, cycle, waiter).map((cell) => cell.length))) + 4;
  const columns = cycle.map((waiter) => columnOf(world, cycle, waiter));
  const rows = [0, 1, 2, 3].map((row) =>
    columns
      .map((cells) => (cells[row] as string).padEnd(width))
      .join("")
      .trimEnd(),
  );
  return [`cycle: ${words.join("; ")}`, "", ...rows.map((row) => `  ${row}`), "", "  *** DEADLOCK ***"];
}

function columnOf(world: World, cycle: readonly Waiter[], waiter: Waiter): string[] {
  const { thread, place } = waiter;
  const mine = cycle.find(({ lastChange }) => lastChange?.thread === thread.index)?.lastChange;
  const { name } = thread.spec;
  const has = mine === undefined ? "" : `has ${placeText(world, mine.p)}, ${siteText(mine.site)}`;
  return [
    name,
    "-".repeat(name.length),
    has,
    `wants ${placeText(world, place)}, ${siteText(thread.mem.site)}`,
  ];
}

function lostText(world: World, { thread, place, expected, lost }: Waiter): string[] {
  const me = thread.spec.name;
  if (lost === undefined) return [];
  const { change, stale, notify } = lost;
  if (stale !== undefined && change !== undefined && notify !== undefined) {
    return [
      `lost wake-up: ${me} read ${stale.result} from ${placeText(world, stale.p)} at ${siteText(stale.site)};`,
      `  then ${opText(world, change)} made it ${change.after},`,
      `  and ${opText(world, notify)} notified ${placeText(world, place)} when ${me} did not sleep there yet;`,
      `  then ${me} slept at ${siteText(thread.mem.site)}, on what it had read before.`,
    ];
  }
  const by = change === undefined ? "somebody" : opText(world, change);
  const to = change === undefined ? "another value" : change.after;
  return [
    `lost wake-up: ${me} slept at ${siteText(thread.mem.site)} while ${placeText(world, place)} was ${expected};`,
    `  then ${by} made it ${to}, and nobody has notified ${me} since.`,
  ];
}
