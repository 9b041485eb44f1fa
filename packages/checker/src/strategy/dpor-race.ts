/**
 * Race reversal: a step raced with an earlier one; which threads could go first, at the earlier step's place, so that
 * the race comes out the other way round?
 *
 * Let v be the steps after the earlier one that do not happen after it but before the later one, and then the later
 * one. The initials of v are the threads whose first step in v has nothing before it in v. One of them has to be
 * among the alternatives explored there.
 *
 * Source-DPOR would take all steps that do not happen after the earlier one, and so be content with any thread that
 * happens to commute (Abdulla, Aronis, Jonsson, Sagonas, POPL 2014). That rests on steps touching the same places
 * wherever they are made. Ours need not: a wait joins the queue of sleepers only if it finds its value, and a step may
 * be many ops. So only what the later step needs counts, as in Flanagan and Godefroid, POPL 2005.
 */
import type { Trace } from "./dpor-trace.ts";

export class Reversal {
  private readonly trace: Trace;
  /** By thread: its first step in v. */
  private readonly firstIn: Int32Array = new Int32Array(32);
  /** Threads with steps in v. */
  private seen: number = 0;
  /** Steps that a resume would come after. */
  private readonly needed: number[] = [];

  constructor(trace: Trace) {
    this.trace = trace;
  }

  /** The initials, as a mask of threads, of the race of step `earlier` with the last step pushed. */
  ofLast(earlier: number): number {
    const { trace } = this;
    const last = trace.steps - 1;
    let initials = 0;
    this.seen = 0;
    for (let k = earlier + 1; k < last; k++)
      if (trace.ordered(k, last) && !trace.ordered(earlier, k)) initials |= this.initial(k);
    return initials | this.initial(last);
  }

  /**
   * The same for a step that `thread` could have made instead of `earlier`, and that reads `places`: it stands after
   * all steps, and nothing but those places and the thread's own steps order it.
   */
  ofResume(earlier: number, thread: number, places: Int32Array, count: number): number {
    const { trace, needed } = this;
    const own = trace.lastOf(thread);
    needed.length = 0;
    if (own > earlier) needed.push(own);
    for (let k = earlier + 1; k < trace.steps; k++)
      if (!trace.ordered(earlier, k) && this.writes(k, places, count)) needed.push(k);
    let initials = 0;
    this.seen = 0;
    for (let k = earlier + 1; k < trace.steps; k++)
      if (!trace.ordered(earlier, k) && this.isNeeded(k)) initials |= this.initial(k);
    return needed.length === 0 ? 1 << thread : initials;
  }

  private isNeeded(k: number): boolean {
    for (const other of this.needed) if (this.trace.ordered(k, other)) return true;
    return false;
  }

  /** The bit of the thread of step `k` if this is its first step in v and nothing in v happens before it. */
  private initial(k: number): number {
    const { trace, firstIn } = this;
    const thread = trace.thread[k] as number;
    if (((this.seen >>> thread) & 1) !== 0) return 0;
    let result = 1 << thread;
    for (let rest = this.seen; rest !== 0; rest &= rest - 1) {
      const other = 31 - Math.clz32(rest & -rest);
      if ((firstIn[other] as number) < (trace.clock[k * trace.threads + other] as number)) {
        result = 0;
        break;
      }
    }
    this.seen |= 1 << thread;
    firstIn[thread] = k;
    return result;
  }

  private writes(k: number, places: Int32Array, count: number): boolean {
    const { trace } = this;
    const to = trace.first[k + 1] as number;
    for (let e = trace.first[k] as number; e < to; e++) {
      if (trace.written[e] !== 1) continue;
      for (let i = 0; i < count; i++) if (places[i] === trace.place[e]) return true;
    }
    return false;
  }
}
