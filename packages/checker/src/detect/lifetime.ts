/**
 * Lifetime: the objects that came and went in an execution, as far as ops told: alloc and free sites for reports in
 * KASAN's shape (mm/kasan/report.c, Linux 6.12).
 *
 * An allocator says unpoison for a new object and poison with a free code for a freed one. It also unpoisons what is in
 * use (to fill it before a free): that is no allocation. Redzones are not frees.
 */
import {
  type BadAccess,
  KASAN_FREE_PAGE,
  KASAN_NULL_PAGE,
  KASAN_OUTSIDE,
  KASAN_SLAB_FREE,
} from "atomics-sync/checked-memory";
import type { ControlledMemory } from "../controlled-memory.ts";
import { siteOf, siteText } from "../runtime.ts";
import type { FailureKind, Finding, World } from "../world.ts";
import { type Access, accessText, accessVerb, hex } from "./race-report.ts";

const LIVE = 1;
const FREED = 2;
/** Given to something else, or fenced off. */
const GONE = 3;
/** Thread of objects that were there at the start. */
const SETUP = -1;

/** The object that starts at an address; used again for whatever starts there later. */
export interface Allocation {
  readonly p: number;
  bytes: number;
  stamp: number;
  state: number;
  /** Times it was allocated in this execution. */
  generation: number;
  allocThread: number;
  allocSite: number;
  freeThread: number;
  freeSite: number;
  /** What the thread knew that freed it: whoever gets the memory next learns it through the allocator. */
  clock: Int32Array;
}

export class Lifetime {
  private readonly objects: Map<number, Allocation> = new Map();
  private stamp: number = 0;

  begin(): void {
    this.stamp = (this.stamp + 1) | 0;
  }

  /** Another memory. */
  forget(): void {
    this.objects.clear();
  }

  /** OP_ALLOC. The object, if one came to be. */
  alloc(mem: ControlledMemory): Allocation | undefined {
    const { p, b: bytes, world } = mem;
    const object = this.at(p);
    const known = object.stamp === this.stamp;
    const inUse = known ? object.state === LIVE : isAccessible(world, p);
    if (inUse) return undefined;
    if (!known) this.renew(object, bytes);
    object.bytes = bytes;
    object.state = LIVE;
    object.generation++;
    object.allocThread = mem.thread;
    object.allocSite = mem.site;
    return object;
  }

  /** OP_FREE with the code of a free: the object, or a finding if it was free already. */
  free(mem: ControlledMemory): Finding | Allocation {
    const { p, b: bytes, world } = mem;
    const object = this.at(p);
    if (object.stamp !== this.stamp) this.renew(object, bytes);
    else if (object.state === FREED) return this.doubleFree(world, mem, object);
    object.state = FREED;
    object.freeThread = mem.thread;
    object.freeSite = mem.site;
    return object;
  }

  /** OP_FREE with the code of a redzone: what started there is no object any more. */
  fenceOff(mem: ControlledMemory): void {
    const object = this.objects.get(mem.p);
    if (object !== undefined && object.stamp === this.stamp) object.state = GONE;
  }

  private at(p: number): Allocation {
    let object = this.objects.get(p);
    if (object === undefined) {
      object = { p, bytes: 0, stamp: 0, state: 0, generation: 0, clock: NO_CLOCK, ...NOBODY };
      this.objects.set(p, object);
    }
    return object;
  }

  private renew(object: Allocation, bytes: number): void {
    object.stamp = this.stamp;
    object.bytes = bytes;
    object.generation = 0;
    Object.assign(object, NOBODY);
  }

  /** The smallest known object around `place`; with slack, the one that ends just before it. */
  around(place: number, slack: number = 0): Allocation | undefined {
    let best: Allocation | undefined;
    for (const object of this.objects.values()) {
      if (object.stamp !== this.stamp || object.state === GONE) continue;
      if (place < object.p || place >= object.p + object.bytes + slack) continue;
      if (best === undefined || object.bytes < best.bytes) best = object;
    }
    return best;
  }

  /** Had somebody else this memory before, in this execution? */
  wasFreed(object: Allocation): boolean {
    return object.freeThread !== SETUP;
  }
  isSecond(place: number): boolean {
    const object = this.around(place);
    return object !== undefined && this.wasFreed(object);
  }

  /** Objects allocated in this execution and not freed. */
  alive(): Allocation[] {
    return [...this.objects.values()].filter(
      (object) => object.stamp === this.stamp && object.state === LIVE,
    );
  }

  /** An access that the shadow forbids. */
  badAccess(mem: ControlledMemory, report: BadAccess): Finding {
    const { p, bytes, write, code, firstBad } = report;
    const free = code === KASAN_SLAB_FREE || code === KASAN_FREE_PAGE;
    const object = code === KASAN_OUTSIDE ? undefined : this.around(firstBad, free ? 0 : 64);
    const name = bugType(code);
    const by = `by ${mem.world.nameOf(mem.thread)} at ${siteText(mem.site)}`;
    const lines = [
      `BUG: KASAN: ${name} in ${siteOf(mem.site).name}`,
      `${write ? "Write" : "Read"} of size ${bytes} at addr ${hex(p)} ${by}`,
      ...this.story(mem.world, object, p),
    ];
    const kind: FailureKind = free ? "use-after-free" : "out-of-bounds";
    const message = `${name}: ${write ? "write" : "read"} of ${bytes} bytes at ${hex(p)} ${by}`;
    return { kind, message, thread: mem.thread, site: mem.site, report: lines.join("\n") };
  }

  /** `use` came before the free this time, but nothing says that it always does. */
  predicted(world: World, use: Access, free: Access, missing: string): Finding {
    const what = `${accessVerb(use.kind)} by ${world.nameOf(use.thread)} at ${siteText(use.site)}`;
    const object = this.around(use.place);
    const lines = [
      `BUG: KASAN: slab-use-after-free in ${siteOf(use.site).name} (predicted)`,
      accessText(world, use),
      "This schedule made it before the free; another one makes it after.",
      missing,
      ...this.story(world, object, use.place, free),
    ];
    return {
      kind: "use-after-free",
      message:
        `predicted use-after-free of ${hex(use.place)}: nothing orders the ${what} ` +
        `before the free by ${world.nameOf(free.thread)} at ${siteText(free.site)}`,
      thread: use.thread,
      site: use.site,
      report: lines.join("\n"),
    };
  }

  /** `use` met memory that was freed and given out again, without having learned of either. */
  stale(world: World, use: Access, missing: string): Finding {
    const by = `${world.nameOf(use.thread)} at ${siteText(use.site)}`;
    const lines = [
      `BUG: KASAN: slab-use-after-free in ${siteOf(use.site).name} (memory is in use again)`,
      accessText(world, use),
      missing,
      ...this.story(world, this.around(use.place), use.place, undefined, true),
    ];
    return {
      kind: "use-after-free",
      message: `use-after-free of ${hex(use.place)} by ${by}: it was freed and allocated again, the pointer is stale`,
      thread: use.thread,
      site: use.site,
      report: lines.join("\n"),
    };
  }

  private doubleFree(world: World, mem: ControlledMemory, object: Allocation): Finding {
    const by = `${world.nameOf(mem.thread)} at ${siteText(mem.site)}`;
    const first = `${world.nameOf(object.freeThread)} at ${siteText(object.freeSite)}`;
    const lines = [
      `BUG: KASAN: double-free in ${siteOf(mem.site).name}`,
      `Free of addr ${hex(mem.p)} by ${by}`,
      ...this.story(world, object, mem.p),
    ];
    return {
      kind: "double-free",
      message: `double free of ${hex(mem.p)} by ${by}, freed before by ${first}`,
      thread: mem.thread,
      site: mem.site,
      report: lines.join("\n"),
    };
  }

  leak(world: World): Finding | undefined {
    const alive = this.alive();
    const first = alive[0];
    if (first === undefined) return undefined;
    const lines = alive.flatMap((object) => [
      `unreferenced object ${hex(object.p)} (size ${object.bytes}):`,
      `  allocated by ${world.nameOf(object.allocThread)} at ${siteText(object.allocSite)}`,
    ]);
    const more = alive.length === 1 ? "" : ` and ${alive.length - 1} more`;
    const where = `allocated by ${world.nameOf(first.allocThread)} at ${siteText(first.allocSite)}`;
    return {
      kind: "leak",
      message: `leak: ${first.bytes} bytes at ${hex(first.p)} ${where}${more}, never freed`,
      thread: first.allocThread,
      site: first.allocSite,
      report: lines.join("\n"),
    };
  }

  private story(
    world: World,
    object: Allocation | undefined,
    place: number,
    free?: Access,
    isStale = false,
  ): string[] {
    const lines: string[] = [];
    if (object === undefined) lines.push("Allocated by: setup, or not seen");
    else lines.push(`Allocated by: ${who(world, object.allocThread, object.allocSite)}`);
    if (free !== undefined) lines.push(`Freed by: ${who(world, free.thread, free.site)}`);
    else if (object !== undefined && (object.state === FREED || isStale))
      lines.push(`Freed by: ${who(world, object.freeThread, object.freeSite)}`);
    if (object !== undefined) {
      const where = `${place - object.p} bytes from the start of ${object.bytes} bytes at ${hex(object.p)}`;
      lines.push(`${where}${objectName(world, object.p)}`);
    }
    return lines;
  }
}

const NO_CLOCK = new Int32Array(0);
const NOBODY = { allocThread: SETUP, allocSite: 0, freeThread: SETUP, freeSite: 0 };

function who(world: World, thread: number, site: number): string {
  return thread === SETUP ? "setup" : `${world.nameOf(thread)} at ${siteText(site)}`;
}

function objectName(world: World, p: number): string {
  const name = world.describe?.(p);
  return name === undefined || name === "" ? "" : ` (${name})`;
}

/** Was `p` accessible at the start of the execution? */
function isAccessible(world: World, p: number): boolean {
  return world.startShadow(p) < 0x80;
}

function bugType(code: number): string {
  if (code === KASAN_SLAB_FREE) return "slab-use-after-free";
  if (code === KASAN_FREE_PAGE) return "use-after-free";
  if (code === KASAN_NULL_PAGE) return "null-ptr-deref";
  return code === KASAN_OUTSIDE ? "wild-memory-access" : "slab-out-of-bounds";
}
