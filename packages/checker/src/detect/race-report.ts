/** What a race report says, in KCSAN's shape (kernel/kcsan/report.c, Linux 6.12), and which edge is missing. */
import { OP_ALLOC, OP_FREE, OPS, ORDER_PLAIN, READS, WRITES } from "../op.ts";
import { siteOf, siteText } from "../runtime.ts";
import type { Finding, World } from "../world.ts";

/** One side of a race. */
export interface Access {
  readonly thread: number;
  readonly kind: number;
  readonly site: number;
  readonly place: number;
  readonly bytes: number;
}

/** What one thread last saw of another: a load that read the other's store. */
export interface Flow {
  readonly place: number;
  readonly storeSite: number;
  readonly loadSite: number;
  /** Did the store publish what came before it? */
  readonly published: boolean;
}

export interface RaceFacts {
  readonly world: World;
  readonly now: Access;
  readonly earlier: Access;
  /** The word, or byte, before and after the last write to it. */
  readonly before: number;
  readonly after: number;
  /** What the later thread saw of the earlier one since its access. */
  readonly flow: Flow | undefined;
}

export function raceReport(facts: RaceFacts): Finding {
  const { world, now, earlier, before, after } = facts;
  const functions = [siteOf(now.site).name, siteOf(earlier.site).name].sort();
  const nowText = accessText(world, now);
  const earlierText = accessText(world, earlier);
  const missing = missingEdge(facts);
  const lines = [`BUG: KCSAN: data-race in ${functions.join(" / ")}`, "", nowText, "", earlierText, ""];
  if (before !== after) {
    const digits = 2 * Math.min(4, now.bytes, earlier.bytes);
    lines.push(`value changed: ${hex(before, digits)} -> ${hex(after, digits)}`, "");
  }
  lines.push(missing);
  return {
    kind: "data-race",
    message:
      `data race on ${hex(now.place)}: ${verb(now)} by ${world.nameOf(now.thread)} at ${siteText(now.site)}, ` +
      `${verb(earlier)} by ${world.nameOf(earlier.thread)} at ${siteText(earlier.site)}`,
    thread: now.thread,
    site: now.site,
    report: lines.join("\n"),
  };
}

/** "write (marked) to 0x00000100 of 4 bytes by t0 at f (file:3)" */
export function accessText(world: World, { thread, kind, site, place, bytes }: Access): string {
  const info = OPS[kind] as { order: number };
  const marked = info.order === ORDER_PLAIN ? "" : " (marked)";
  const what = `${accessVerb(kind)}${marked} to ${hex(place)} of ${bytes} bytes`;
  return `${what} by ${world.nameOf(thread)} at ${siteText(site)}`;
}

export function accessVerb(kind: number): string {
  if (kind === OP_FREE) return "free";
  if (kind === OP_ALLOC) return "allocation";
  const { access } = OPS[kind] as { access: number };
  return access === (READS | WRITES) ? "read-write" : access === WRITES ? "write" : "read";
}

function verb({ kind }: Access): string {
  return `${accessVerb(kind)} (${(OPS[kind] as { name: string }).name})`;
}

/** One sentence: what would have ordered `earlier` before `now`. */
export function missingEdge({ world, now, earlier, flow }: Pick<RaceFacts, keyof RaceFacts>): string {
  const t = world.nameOf(now.thread);
  const u = world.nameOf(earlier.thread);
  if (flow === undefined) {
    const how = "through no lock, release or wake-up";
    return `missing edge: since then ${u} has published nothing that ${t} has acquired, ${how}.`;
  }
  const { place, storeSite, loadSite } = flow;
  const seen = `${t} read from ${hex(place)} at ${siteText(loadSite)} what ${u} stored at ${siteText(storeSite)}`;
  return flow.published
    ? `missing edge: ${seen}, which is a release, but the load is no acquire and no fence follows it.`
    : `missing edge: ${seen}, but that store is no release and no fence stands before it.`;
}

export function hex(value: number, digits: number = 8): string {
  return `0x${(value >>> 0).toString(16).padStart(digits, "0")}`;
}
