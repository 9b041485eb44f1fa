/**
 * How a cost grows with x: the slope of a straight line through (log x, log cost), by least squares. Cost = c * x^k
 * has slope k: 0 is constant, 1 linear, 2 quadratic. A constant part hides the growth behind it while x is small, so
 * the tail, the last few points, is fitted by itself.
 */

export interface Point {
  readonly x: number;
  /** The cost. */
  readonly y: number;
}

/** Points of the tail. */
const TAIL = 3;

/** NaN of fewer than two different x. Both must be above 0. */
export function logLogSlope(points: readonly Point[]): number {
  const logs = points.map(({ x, y }) => ({ x: Math.log(x), y: Math.log(y) }));
  const mean = (of: (point: { x: number; y: number }) => number): number =>
    logs.reduce((total, point) => total + of(point), 0) / logs.length;
  const meanX = mean(({ x }) => x);
  const meanY = mean(({ y }) => y);
  const covariance = mean(({ x, y }) => (x - meanX) * (y - meanY));
  const variance = mean(({ x }) => (x - meanX) ** 2);
  return variance === 0 ? Number.NaN : covariance / variance;
}

/** The slope where x is largest. */
export function tailSlope(points: readonly Point[]): number {
  return logLogSlope([...points].sort((a, b) => a.x - b.x).slice(-TAIL));
}

/** What a fitted exponent is called. Noise moves it by a tenth or two. */
export function growthName(
  exponent: number,
): "falling" | "constant" | "sublinear" | "linear" | "superlinear" {
  if (exponent < -0.15) return "falling";
  if (exponent <= 0.15) return "constant";
  if (exponent < 0.8) return "sublinear";
  return exponent <= 1.2 ? "linear" : "superlinear";
}
