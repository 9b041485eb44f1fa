/**
 * One clock for all threads of a machine. performance.now() starts anew in each thread and its timeOrigin is
 * wall-clock time; the monotonic process.hrtime is common, but each reading of it allocates. So each thread
 * learns once how far its performance.now() is from the machine's epoch.
 */

/** The monotonic time of now, ms: the epoch of a machine that boots now. */
export function clock_epoch(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** What to add to this thread's performance.now() to get ms since `epoch`. */
export function clock_origin(epoch: number): number {
  return clock_epoch() - performance.now() - epoch;
}
