/**
 * Spinning threads in DPOR. A thread in a pause goes on only when a place it read holds another value than it read: its
 * next step, the resume, reads those places and is disabled while they are unchanged. Writes can enable a resume, and
 * disable it again. Two orders must not be missed:
 * a resume before a write that took the changed value away again, whether the thread resumed later or never.
 *
 * The first write after the thread's own read cannot be swapped with the resume; that race is the read's.
 *
 * Interface: `capture` before each step what its thread waits for; `scan` for writes that a resume could have preceded.
 */
import { PARKED, type Thread } from "../thread.ts";
import type { Trace } from "./dpor-trace.ts";

const PLACES = 16;

export class Spin {
  /** Places (words) and the values read there. */
  readonly places: Int32Array = new Int32Array(PLACES);
  readonly values: Int32Array = new Int32Array(PLACES);
  count: number = 0;
  /** More places than are remembered: what it waits for is not known. */
  overflow: boolean = false;

  /** What `thread` waits for; nothing if it does not spin, or, unless `lulled`, a lull has let it look again. */
  capture(thread: Thread, lulled: boolean): void {
    this.count = 0;
    this.overflow = false;
    if (thread.state !== PARKED || (thread.parkedAt < 0 && !lulled)) return;
    this.overflow = thread.spinOverflow;
    for (let i = 0; i < thread.spinCount; i++) {
      this.places[this.count] = (thread.spinPlace[i] as number) >> 2;
      this.values[this.count++] = thread.spinValue[i] as number;
    }
  }

  /**
   * Calls `found` with each step, by a write to a place, that could come after the resume of `thread`: not ordered
   * before the thread's last step, and the place held another value before it than the thread had read.
   */
  scan(trace: Trace, thread: number, found: (step: number) => boolean): void {
    const own = trace.lastOf(thread);
    for (let i = 0; i < this.count; i++) {
      let e = trace.headOf(this.places[i] as number);
      if (e !== 0) e = trace.lastWrite[e - 1] as number;
      while (e !== 0) {
        const step = trace.step[e - 1] as number;
        if (step < (trace.lull[trace.steps - 1] as number)) break;
        if (own >= 0 && trace.ordered(step, own)) break;
        const older = trace.before[e - 1] as number;
        const write = older === 0 ? 0 : (trace.lastWrite[older - 1] as number);
        if (write === 0) break;
        const changed = trace.value[write - 1] !== this.values[i];
        if (changed && trace.thread[step] !== thread && found(step)) break;
        e = write;
      }
    }
  }
}
