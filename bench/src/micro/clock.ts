/** Time of hot loops: they run a slice between two looks at the clock, so that the clock costs nothing. */

/** Nanoseconds per turn of `slice`, which makes `turns` turns, over about `ms`. */
export function nsPerTurn(ms: number, turns: number, slice: () => void): number {
  const start = performance.now();
  const deadline = start + ms;
  let slices = 0;
  let now = start;
  do {
    slice();
    slices++;
    now = performance.now();
  } while (now < deadline);
  return ((now - start) * 1e6) / (slices * turns);
}
