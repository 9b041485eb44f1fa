/**
 * The rules of happens-before, written once more, as plainly and slowly as can be: every access is kept with the vector
 * clock of its thread, and compared by the byte with every later one. What the fast detector is tested against.
 */
import type { ControlledMemory } from "../../controlled-memory.ts";
import type { Monitor } from "../../monitor.ts";
import {
  OP_COMPARE_EXCHANGE,
  OP_FENCE,
  OP_LOAD_ACQUIRE,
  OP_MEMCPY,
  OP_MEMSET,
  OP_STORE_RELEASE,
  OP_WAIT,
  OPS,
  type OpInfo,
  ORDER_FULL,
  ORDER_PLAIN,
  READS,
  WRITES,
} from "../../op.ts";

type Clock = number[];

interface Event {
  readonly thread: number;
  /** Number of its thread's events so far. */
  readonly number: number;
  readonly from: number;
  readonly to: number;
  readonly writes: boolean;
  readonly marked: boolean;
}

export class Oracle implements Monitor {
  readonly name: string = "oracle";
  /** world.steps at the first race; 0: none. */
  racedAt: number = 0;
  private events: Event[] = [];
  /** What each thread knows of: events of each thread. */
  private knows: Clock[] = [];
  private fenced: (Clock | undefined)[] = [];
  private found: Clock[] = [];
  private count: number[] = [];
  private locations: Map<number, Clock> = new Map();

  begin(threads: number): void {
    const zero = (): Clock => Array.from({ length: threads }, () => 0);
    this.racedAt = 0;
    this.events = [];
    this.knows = Array.from({ length: threads }, zero);
    this.found = Array.from({ length: threads }, zero);
    this.fenced = Array.from({ length: threads }, () => undefined);
    this.count = zero();
    this.locations = new Map();
  }

  executed(mem: ControlledMemory): void {
    const { thread: t, kind, p } = mem;
    // Each op is an event of its own; a thread knows of its own.
    const number = (this.count[t] as number) + 1;
    this.count[t] = number;
    (this.knows[t] as Clock)[t] = number;
    const { access, order, bytes } = OPS[kind] as OpInfo;
    const failed = kind === OP_COMPARE_EXCHANGE && mem.result !== (mem.b | 0);
    const full =
      order === ORDER_FULL &&
      !failed &&
      (access === (READS | WRITES) || kind === OP_FENCE || kind === OP_WAIT);
    if (full) this.learn(t, this.found[t] as Clock);
    const reads = (access & READS) !== 0 && bytes !== 0;
    const writes = (access & WRITES) !== 0 && !failed && bytes !== 0;
    const clock = this.locations.get(p);
    if (reads && clock !== undefined) {
      if (order === ORDER_FULL || kind === OP_LOAD_ACQUIRE) this.learn(t, clock);
      else if (order !== ORDER_PLAIN) this.found[t] = union(this.found[t] as Clock, clock);
    }
    if (kind === OP_MEMSET || kind === OP_MEMCPY) {
      if (kind === OP_MEMCPY) this.access(mem, mem.a, mem.b, false, false);
      this.access(mem, p, mem.b, true, false);
    } else if (bytes !== 0 && access !== 0) this.access(mem, p, bytes, writes, order !== ORDER_PLAIN);
    if (writes) this.publish(t, mem, full || kind === OP_STORE_RELEASE, order === ORDER_PLAIN);
    if (full) this.fenced[t] = [...(this.knows[t] as Clock)];
  }

  private publish(t: number, { p, kind, b }: ControlledMemory, releases: boolean, plain: boolean): void {
    const words = kind === OP_MEMSET || kind === OP_MEMCPY ? b : (OPS[kind] as OpInfo).bytes;
    for (let word = p & ~3; word < p + words; word += 4) this.locations.delete(word);
    const clock = plain ? undefined : releases ? [...(this.knows[t] as Clock)] : this.fenced[t];
    if (clock !== undefined) this.locations.set(p, clock);
  }

  private learn(t: number, clock: Clock): void {
    this.knows[t] = union(this.knows[t] as Clock, clock);
  }

  private access(mem: ControlledMemory, from: number, bytes: number, writes: boolean, marked: boolean): void {
    const { thread } = mem;
    const event: Event = {
      thread,
      number: this.count[thread] as number,
      from,
      to: from + bytes,
      writes,
      marked,
    };
    const knows = this.knows[thread] as Clock;
    const races = this.events.some(
      (other) =>
        other.from < event.to &&
        event.from < other.to &&
        (other.writes || writes) &&
        !(other.marked && marked) &&
        (knows[other.thread] as number) < other.number,
    );
    if (races && this.racedAt === 0) this.racedAt = mem.world.steps;
    this.events.push(event);
  }

  woken(sleeper: number, waker: number): void {
    if (waker >= 0) this.learn(sleeper, this.knows[waker] as Clock);
  }
}

function union(a: Clock, b: Clock): Clock {
  return a.map((value, i) => Math.max(value, b[i] as number));
}
