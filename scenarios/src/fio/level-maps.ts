/** How deep, in what batches, and how slow I/Os were, in fio's coarse steps (stat.c: io_u_map, io_u_lat_*). */
import { batch_index, decade_index, depth_index } from "./latency.ts";

const MILLION = 1e6;

function count(map: Float64Array, index: number): void {
  map[index] = (map[index] as number) + 1;
}

export class LevelMaps {
  readonly depth: Float64Array = new Float64Array(7);
  readonly submit: Float64Array = new Float64Array(7);
  readonly complete: Float64Array = new Float64Array(7);
  readonly lat_ns: Float64Array = new Float64Array(10);
  readonly lat_us: Float64Array = new Float64Array(10);
  readonly lat_ms: Float64Array = new Float64Array(12);
  submits: number = 0;
  completes: number = 0;

  forget(): void {
    for (const map of [this.depth, this.submit, this.complete]) map.fill(0);
    this.forget_latencies();
    this.submits = 0;
    this.completes = 0;
  }

  /** `nr` I/Os were submitted at once; with them so many are in flight. */
  count_depth(nr: number, in_flight: number): void {
    const index = depth_index(in_flight);
    this.depth[index] = (this.depth[index] as number) + nr;
  }

  count_submit(nr: number): void {
    count(this.submit, batch_index(nr));
    this.submits++;
  }

  count_complete(nr: number): void {
    count(this.complete, batch_index(nr));
    this.completes++;
  }

  forget_latencies(): void {
    for (const map of [this.lat_ns, this.lat_us, this.lat_ms]) map.fill(0);
  }

  /** A completion latency; whole nanoseconds. */
  count_latency(ns: number): void {
    if (ns < 1000) count(this.lat_ns, decade_index(ns));
    else if (ns < MILLION) count(this.lat_us, decade_index(Math.floor(ns / 1000)));
    else {
      const ms = Math.floor(ns / MILLION);
      count(this.lat_ms, ms >= 2000 ? 11 : ms >= 1000 ? 10 : decade_index(ms));
    }
  }
}
