/**
 * Flows: for each pair of threads, the last atomic store of the one that the other has read. Only for reports: it tells
 * which edge is missing when the two race in spite of it.
 */
import { siteOfInfo } from "./access-info.ts";
import { clockOf, threadOf } from "./clock.ts";
import type { Flow } from "./race-report.ts";
import type { Shadow } from "./shadow.ts";

const PLACE = 0;
/** Epoch and info of the store. */
const STORE = 1;
const STORE_INFO = 2;
/** What the location's clock said of the storing thread. */
const PUBLISHED = 3;
const LOAD_INFO = 4;
const STAMP = 5;
const INTS = 6;

export class Flows {
  private threads: number = 0;
  private stamp: number = 0;
  private table: Int32Array = new Int32Array(0);

  begin(threads: number): void {
    this.stamp = (this.stamp + 1) | 0;
    if (threads === this.threads) return;
    this.threads = threads;
    this.table = new Int32Array(threads * threads * INTS);
  }

  /** `thread` loads from `slot`, whose clock is at `clock` (0: it has none). */
  note(thread: number, p: number, shadow: Shadow, slot: number, clock: number): void {
    const store = shadow.lastEpoch(slot);
    const writer = threadOf(store);
    if (store === 0 || writer === thread) return;
    const at = (thread * this.threads + writer) * INTS;
    const { table } = this;
    table[at + PLACE] = p;
    table[at + STORE] = store;
    table[at + STORE_INFO] = shadow.lastInfo(slot);
    table[at + PUBLISHED] = clock === 0 ? 0 : (shadow.more[clock + writer] as number);
    table[at + LOAD_INFO] = shadow.info;
    table[at + STAMP] = this.stamp;
  }

  /** What `reader` has read of what `writer` stored since its clock was `clock`. */
  since(reader: number, writer: number, clock: number): Flow | undefined {
    const at = (reader * this.threads + writer) * INTS;
    const { table } = this;
    if (table[at + STAMP] !== this.stamp || clockOf(table[at + STORE] as number) < clock) return undefined;
    return {
      place: table[at + PLACE] as number,
      storeSite: siteOfInfo(table[at + STORE_INFO] as number),
      loadSite: siteOfInfo(table[at + LOAD_INFO] as number),
      published: (table[at + PUBLISHED] as number) >= clock,
    };
  }
}
