/**
 * History: the last ops of an execution, kept in a ring, for reports that have to tell how it came to this: who changed
 * that word last, what a thread had looked at before it slept. Finds nothing itself; costs a few stores an op.
 */
import type { ControlledMemory } from "../controlled-memory.ts";
import type { Monitor } from "../monitor.ts";
import { OPS, READS, WRITES } from "../op.ts";
import type { World } from "../world.ts";

/** Ops remembered; a power of two. */
const KEPT = 16384;
const INTS = 8;

/** One op that was executed. */
export interface PastOp {
  readonly thread: number;
  readonly kind: number;
  readonly p: number;
  readonly site: number;
  /** As ControlledMemory has it: value read, written, or replaced. */
  readonly result: number;
  /** The word at `p` after it. */
  readonly after: number;
}

export class History implements Monitor {
  readonly name: string = "history";
  /** Ops so far: they are numbered from 0. */
  count: number = 0;
  private readonly ring: Int32Array = new Int32Array(KEPT * INTS);
  private world: World | undefined = undefined;
  private words: Int32Array = new Int32Array(0);

  begin(): void {
    this.count = 0;
  }

  executed(mem: ControlledMemory): void {
    if (mem.world !== this.world) {
      this.world = mem.world;
      this.words = new Int32Array(mem.world.wasm.buffer);
    }
    const at = (this.count++ & (KEPT - 1)) * INTS;
    const { ring } = this;
    ring[at] = mem.thread;
    ring[at + 1] = mem.kind;
    ring[at + 2] = mem.p;
    ring[at + 3] = mem.site;
    ring[at + 4] = mem.result;
    ring[at + 5] = this.words[mem.p >>> 2] as number;
  }

  /** The number of the first op that is still known. */
  get first(): number {
    return Math.max(0, this.count - KEPT);
  }

  /** Op number n, first <= n < count. */
  op(n: number): PastOp {
    const at = (n & (KEPT - 1)) * INTS;
    const [thread = 0, kind = 0, p = 0, site = 0, result = 0, after = 0] = this.ring.subarray(at, at + 6);
    return { thread, kind, p, site, result, after };
  }

  /** The number of the last op before `before` that `test` accepts; -1: none is known. */
  lastBefore(before: number, test: (op: PastOp) => boolean): number {
    for (let n = before - 1; n >= this.first; n--) if (test(this.op(n))) return n;
    return -1;
  }
}

/** The history among the monitors of `world`. */
export function historyOf(world: World): History | undefined {
  return world.monitors.find((monitor): monitor is History => monitor instanceof History);
}

/** Did the op leave another value at its place? Of a plain store it cannot be told: taken for yes. */
export function isChange(op: PastOp): boolean {
  const { access, bytes } = OPS[op.kind] as { access: number; bytes: number };
  if (bytes === 0 || (access & WRITES) === 0) return false;
  return access === WRITES || op.after !== op.result;
}

export function isRead(op: PastOp): boolean {
  const { access, bytes } = OPS[op.kind] as { access: number; bytes: number };
  return bytes !== 0 && (access & READS) !== 0;
}
