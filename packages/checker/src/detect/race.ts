/**
 * Happens-before: the monitor that judges an execution by the orders its code declares, though it was executed
 * sequentially consistently. It finds data races, and uses that nothing orders before a free.
 *
 *   plain                 races with every unordered access, one of them a write
 *   ONCE                  races with plain accesses only; makes no edge, but see fences
 *   acquire, release      a load learns what the store it reads from published; read-modify-writes go on with it
 *   read-modify-write     both, and a full fence; one that fails its comparison is an acquire load
 *   fence                 smp_mb: publishes for later ONCE stores, acquires for earlier ONCE loads
 *   wait, notify          a wait is an acquire load and a fence; a notify is published to those it wakes
 *   free                  a write to all of the object: an access it does not follow is a use-after-free to come
 *
 * One monitor, because both detectors need the same clocks. Between executions nothing is cleared but the clocks.
 */
import type { BadAccess } from "atomics-sync/checked-memory";
import type { ControlledMemory } from "../controlled-memory.ts";
import type { Monitor } from "../monitor.ts";
import {
  OP_ALLOC,
  OP_COMPARE_EXCHANGE,
  OP_CRC32C,
  OP_FENCE,
  OP_FREE,
  OP_LOAD_ACQUIRE,
  OP_MEMCPY,
  OP_MEMSET,
  OP_READ,
  OP_READ_ONCE,
  OP_STORE_RELEASE,
  OP_WAIT,
  OP_WRITE,
  OP_WRITE_ONCE,
  OPS,
  type OpInfo,
  ORDER_FULL,
  READS,
  WRITES,
} from "../op.ts";
import { type Finding, isFree, type World } from "../world.ts";
import { infoOf, kindOfInfo, MUTED, siteOfInfo } from "./access-info.ts";
import { Clocks, clockOf, threadOf } from "./clock.ts";
import { Flows } from "./flow.ts";
import { Lifetime } from "./lifetime.ts";
import { Mutes, type MuteOptions } from "./mute.ts";
import { type Access, missingEdge, raceReport, type RaceFacts } from "./race-report.ts";
import { type ConflictSink, MARKED_READ, MARKED_WRITE, PLAIN_READ, PLAIN_WRITE, Shadow } from "./shadow.ts";

export interface HappensBeforeOptions extends MuteOptions {
  /** Report data races; default true. */
  readonly races?: boolean;
  /** Report accesses of freed memory, also those that only another schedule would make; default true. */
  readonly lifetime?: boolean;
  /** Report what threads allocated and nobody freed; default false. */
  readonly leaks?: boolean;
  /** A compareExchange that fails is an acquire load (JavaScript; the default), or orders nothing (the kernel). */
  readonly failedExchange?: "acquire" | "once";
  /** Gets each race once per pair of sites, and executions go on; without it the first race ends its execution. */
  readonly collect?: (finding: Finding) => void;
}

const READ_WRITE = READS | WRITES;
/** Bytes of the largest object whose allocation counts as a write to each cell. */
const MAX_RENEWED = 16384;

/** A fill right before a free is part of the free: kept until the next op tells. */
interface HeldRace {
  readonly facts: RaceFacts;
  readonly finding: Finding;
}

export class HappensBefore implements Monitor, ConflictSink {
  readonly name: string = "happens-before";
  private readonly options: HappensBeforeOptions;
  /** Data races are reported. */
  readonly races: boolean;
  private readonly lives: boolean;
  private readonly clocks: Clocks = new Clocks();
  private readonly shadow: Shadow;
  private readonly flows: Flows = new Flows();
  private readonly lifetime: Lifetime = new Lifetime();
  private readonly mutes: Mutes;
  private readonly collected: Set<string> = new Set();
  private world: World | undefined = undefined;
  private op: ControlledMemory | undefined = undefined;
  private held: HeldRace | undefined = undefined;

  constructor(options: HappensBeforeOptions = {}) {
    this.options = options;
    this.races = options.races ?? true;
    this.lives = options.lifetime ?? true;
    this.mutes = new Mutes(options);
    this.shadow = new Shadow(this.clocks, this);
  }

  begin(threads: number): void {
    this.clocks.begin(threads);
    this.shadow.begin(threads);
    this.flows.begin(threads);
    this.lifetime.begin();
    this.held = undefined;
  }

  private attach(world: World): void {
    this.world = world;
    this.shadow.attach(world);
    this.lifetime.forget();
  }

  executed(mem: ControlledMemory): void {
    if (mem.world !== this.world) this.attach(mem.world);
    if (this.held !== undefined) this.settle(mem);
    const { thread, kind, p, site } = mem;
    const muted = this.mutes.isDataRace(site);
    this.op = mem;
    this.shadow.thread = thread;
    this.shadow.info = infoOf(site, kind, muted);
    switch (kind) {
      case OP_READ:
        this.shadow.access(muted ? MARKED_READ : PLAIN_READ, p, 4);
        return;
      case OP_WRITE:
        this.shadow.access(muted ? MARKED_WRITE : PLAIN_WRITE, p, 4);
        return;
      case OP_READ_ONCE:
        this.load(thread, p, false);
        return;
      case OP_WRITE_ONCE:
        this.store(thread, p, false);
        return;
      case OP_LOAD_ACQUIRE:
        this.load(thread, p, true);
        return;
      case OP_STORE_RELEASE:
        this.store(thread, p, true);
        return;
      default:
        this.other(mem, muted);
    }
  }

  private other(mem: ControlledMemory, muted: boolean): void {
    const { thread, kind, p } = mem;
    const { access, order, bytes } = OPS[kind] as OpInfo;
    if (order === ORDER_FULL) {
      if (access === READ_WRITE) {
        const failed = kind === OP_COMPARE_EXCHANGE && mem.result !== (mem.b | 0);
        if (failed) this.load(thread, p, this.options.failedExchange !== "once");
        else this.modify(thread, p);
      } else if (kind === OP_WAIT || kind === OP_FENCE) {
        this.clocks.fenceAcquire(thread);
        if (kind === OP_WAIT) this.load(thread, p, true);
        this.clocks.fenceRelease(thread);
      }
    } else if (kind === OP_FREE) this.free(mem);
    else if (kind === OP_ALLOC) this.alloc(mem);
    else if (bytes !== 0)
      this.shadow.access((access === READS ? PLAIN_READ : PLAIN_WRITE) + (muted ? 1 : 0), p, bytes);
    else this.bulk(mem, muted);
  }

  private bulk({ kind, p, a, b }: ControlledMemory, muted: boolean): void {
    const marked = muted ? 1 : 0;
    if (kind === OP_CRC32C) this.shadow.access(PLAIN_READ + marked, p, b);
    if (kind === OP_MEMCPY) this.shadow.access(PLAIN_READ + marked, a, b);
    if (kind === OP_MEMCPY || kind === OP_MEMSET) this.shadow.access(PLAIN_WRITE + marked, p, b);
  }

  private load(thread: number, p: number, acquires: boolean): void {
    const { shadow, clocks } = this;
    const slot = shadow.freshSlot(p);
    const clock = shadow.hasClock(slot) ? shadow.moreOf(slot) : 0;
    this.flows.note(thread, p, shadow, slot, clock);
    if (clock !== 0) {
      if (acquires) clocks.acquire(thread, shadow.more, clock);
      else clocks.find(thread, shadow.more, clock);
    }
    shadow.accessAt(MARKED_READ, slot, p);
  }

  private store(thread: number, p: number, releases: boolean): void {
    const { shadow, clocks } = this;
    const slot = shadow.freshSlot(p);
    shadow.accessAt(MARKED_WRITE, slot, p);
    if (releases) {
      const clock = shadow.moreOf(slot);
      clocks.release(thread, shadow.more, clock);
      shadow.setClock(slot, true);
    } else {
      const fenced = clocks.hasFenced(thread);
      if (fenced) {
        const clock = shadow.moreOf(slot);
        clocks.releaseFenced(thread, shadow.more, clock);
      }
      shadow.setClock(slot, fenced);
      // So that it can be told what stood before the store and what after.
      clocks.tick(thread);
    }
  }

  private modify(thread: number, p: number): void {
    const { shadow, clocks } = this;
    const slot = shadow.freshSlot(p);
    const clock = shadow.moreOf(slot);
    const live = shadow.hasClock(slot);
    clocks.fenceAcquire(thread);
    this.flows.note(thread, p, shadow, slot, live ? clock : 0);
    if (live) clocks.acquire(thread, shadow.more, clock);
    shadow.accessAt(MARKED_WRITE, slot, p);
    clocks.releaseFence(thread, shadow.more, clock);
    shadow.setClock(slot, true);
  }

  private free(mem: ControlledMemory): void {
    if (!this.lives) return;
    if (!isFree(mem)) {
      this.lifetime.fenceOff(mem);
      return;
    }
    const object = this.lifetime.free(mem);
    if ("message" in object) {
      mem.world.find(object);
      return;
    }
    this.shadow.retire(mem.p, mem.b);
    if (object.clock.length !== this.clocks.threads) object.clock = new Int32Array(this.clocks.threads);
    this.clocks.release(mem.thread, object.clock, 0);
  }

  private alloc(mem: ControlledMemory): void {
    if (!this.lives) return;
    const object = this.lifetime.alloc(mem);
    if (object === undefined) return;
    if (this.lifetime.wasFreed(object)) this.clocks.acquire(mem.thread, object.clock, 0);
    this.shadow.renew(mem.p, Math.min(mem.b, MAX_RENEWED));
  }

  conflict(place: number, slot: number, _cls: number, epoch: number, info: number): void {
    const mem = this.op as ControlledMemory;
    const { world } = mem;
    const mine = this.shadow.info;
    const kind = kindOfInfo(info);
    // Of freed memory the byte shadow tells.
    if (kind === OP_FREE || (world.finding !== undefined && this.options.collect === undefined)) return;
    const freeing = kindOfInfo(mine) === OP_FREE;
    if (!freeing && ((mine | info) & MUTED) !== 0) return;
    const facts = this.factsOf(mem, place, slot, epoch, info);
    if (freeing) {
      if (kind !== OP_ALLOC)
        world.find(this.lifetime.predicted(world, facts.earlier, facts.now, missingEdge(facts)));
    } else if (kind === OP_ALLOC && this.lifetime.isSecond(place)) {
      world.find(this.lifetime.stale(world, facts.now, missingEdge(facts)));
    } else if (this.races && !this.mutes.isBenign(facts.now.site, facts.earlier.site)) {
      if (this.lives && mem.kind === OP_MEMSET) this.held ??= { facts, finding: raceReport(facts) };
      else this.report(world, facts, raceReport(facts));
    }
  }

  private factsOf(
    mem: ControlledMemory,
    place: number,
    slot: number,
    epoch: number,
    info: number,
  ): RaceFacts {
    const thread = threadOf(epoch);
    const kind = kindOfInfo(info);
    const { shadow } = this;
    const isByte = shadow.isByte(slot);
    const bytesOf = (k: number): number =>
      (OPS[k] as OpInfo).bytes === 0 ? (isByte ? 1 : 4) : (OPS[k] as OpInfo).bytes;
    const value = (word: number): number => (isByte ? (word >>> (8 * (place & 3))) & 0xff : word);
    return {
      world: mem.world,
      now: { thread: mem.thread, kind: mem.kind, site: mem.site, place, bytes: bytesOf(mem.kind) },
      earlier: { thread, kind, site: siteOfInfo(info), place, bytes: bytesOf(kind) },
      before: value(shadow.before(slot)),
      after: value(shadow.value(slot)),
      flow: this.flows.since(mem.thread, thread, clockOf(epoch)),
    };
  }

  private report(world: World, { now, earlier }: RaceFacts, finding: Finding): void {
    const { collect } = this.options;
    if (collect === undefined) {
      world.find(finding);
      return;
    }
    const pair = [now.site, earlier.site].sort((a, b) => a - b).join(" ");
    if (this.collected.has(pair)) return;
    this.collected.add(pair);
    collect(finding);
  }

  /** Was the fill that raced the first half of a free? `mem`: the op after it. */
  private settle(mem: ControlledMemory | undefined): void {
    const { facts, finding } = this.held as HeldRace;
    this.held = undefined;
    const { world, now, earlier } = facts;
    const freed =
      mem !== undefined &&
      mem.thread === now.thread &&
      isFree(mem) &&
      mem.p <= now.place &&
      now.place < mem.p + mem.b;
    if (!freed) this.report(world, facts, finding);
    else {
      const free: Access = { ...now, kind: OP_FREE, site: mem.site };
      world.find(this.lifetime.predicted(world, earlier, free, missingEdge(facts)));
    }
  }

  woken(sleeper: number, waker: number): void {
    if (waker >= 0) this.clocks.edge(waker, sleeper);
  }

  joined(before: number, after: number): void {
    this.clocks.edge(before, after);
  }

  badAccess(mem: ControlledMemory, report: BadAccess): boolean {
    if (this.lives) mem.world.find(this.lifetime.badAccess(mem, report));
    return this.lives;
  }

  end(): void {
    if (this.held !== undefined) this.settle(undefined);
    const { world } = this;
    if (world === undefined || this.options.leaks !== true) return;
    const leak = this.lifetime.leak(world);
    if (leak !== undefined) world.find(leak);
  }
}
