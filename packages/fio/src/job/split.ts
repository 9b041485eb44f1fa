/**
 * Lists of `amount/percent` apart by colons: block sizes (bssplit) and zones (random_distribution=zoned). One
 * list for all directions, or lists for read, write and trim apart by commas; a second one alone is for write and
 * for trim. Entries without a percentage share what is missing to 100.
 */
import type { BlockShare, PerDdir } from "./job.ts";
import { readAmount } from "./units.ts";

export const BSSPLIT_MAX = 64;
export const ZONES_MAX = 256;
const NO_SIZE = "a zone that is alone needs a size";

/** An entry: percent < 0 when none was given. */
interface Entry {
  readonly amount: number;
  readonly second: string | undefined;
}

function entries(text: string, max: number): Entry[] | string {
  const list: Entry[] = [];
  for (const part of text.split(":")) {
    if (part === "") break;
    const [first = "", second] = part.split("/");
    const amount = readAmount(first);
    if (amount === undefined || amount.percent || amount.value < 0) {
      return "fio: split conversion failed";
    }
    list.push({ amount: amount.value, second });
    if (list.length > max) return `fio: hit max of ${max} split entries`;
  }
  return list;
}

/** The lists for read, write and trim. */
export function splitLists<T>(
  text: string,
  one: (list: string) => readonly T[] | string,
): PerDdir<readonly T[]> | string {
  const [read = "", write, trim] = text.split(",");
  const texts = [read, write ?? read, trim ?? write ?? read] as const;
  const lists = texts.map(one);
  const bad = lists.find((list) => typeof list === "string");
  if (typeof bad === "string") return bad;
  return lists as unknown as PerDdir<readonly T[]>;
}

/** Percentages with the missing ones (undefined) filled in. */
function filled(percents: readonly (number | undefined)[]): number[] {
  const given = percents.reduce<number>((sum, percent) => sum + (percent ?? 0), 0);
  const open = percents.filter((percent) => percent === undefined).length;
  const share = percents.length === 1 ? 100 : Math.max(0, Math.trunc((100 - given) / Math.max(open, 1)));
  return percents.map((percent) => percent ?? share);
}

/** `50`; undefined if absent or 0 (fio: a share of the rest); NaN if it is none. */
function percentOf(text: string | undefined): number | undefined {
  if (text === undefined || text === "" || text === "0") return undefined;
  return /^\d+$/.test(text) ? Math.min(Number(text), 100) : Number.NaN;
}

/** A list of bssplit, smallest share first as fio keeps it; a text is fio's complaint. */
export function readBssplit(text: string): BlockShare[] | string {
  const list = entries(text, BSSPLIT_MAX);
  if (typeof list === "string") return list;
  const percents = list.map((entry) => percentOf(entry.second));
  if (percents.some(Number.isNaN)) return "fio: split conversion failed";
  const sum = percents.reduce<number>((total, percent) => total + (percent ?? 0), 0);
  const open = percents.filter((percent) => percent === undefined).length;
  if (sum > 100 && open > 1) return "fio: bssplit percentages add to more than 100%";
  if (list.some((entry) => entry.amount < 1)) return "fio: split conversion failed";
  const shares = filled(percents);
  return list
    .map((entry, index) => ({ bytes: entry.amount, percent: shares[index] ?? 0 }))
    .sort((a, b) => a.percent - b.percent);
}

/** NaN if the text is no number of bytes. */
function bytesOf(text: string): number {
  const amount = readAmount(text);
  return amount === undefined || amount.percent || amount.value < 0 ? Number.NaN : amount.value;
}

/** A list of zones: `percent of the I/Os / size of the zone`; sizes are percentages, or bytes if `absolute`. */
export function readZones(text: string, absolute: boolean): { percent: number; size: number }[] | string {
  const list = entries(text, ZONES_MAX);
  if (typeof list === "string") return list;
  const access = list.reduce((sum, entry) => sum + entry.amount, 0);
  const sizes = absolute
    ? list.map((entry) => bytesOf(entry.second ?? "0"))
    : filled(list.map((entry) => percentOf(entry.second)));
  if (sizes.some(Number.isNaN)) return "fio: split conversion failed";
  // fio gives a zone that is alone no size at all: everything would be at the start
  if (list.length === 1 && (Number.parseInt(list[0]?.second ?? "0", 10) || 0) === 0) return NO_SIZE;
  const covered = absolute ? 0 : sizes.reduce((sum, size) => sum + size, 0);
  if (access > 100 || covered > 100) return "fio: zone_split percentages add to more than 100%";
  if (access < 100) {
    return `fio: access percentage don't add up to 100 for zoned random distribution (got=${access})`;
  }
  return list.map((entry, index) => ({ percent: entry.amount, size: sizes[index] ?? 0 }));
}
