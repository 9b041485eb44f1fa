/** Curves: comparisons that are points of one line each, drawn or told in a table of their own. */
import { figureText } from "./figures.ts";
import type { Result } from "./measure.ts";
import { growthName, logLogSlope, tailSlope } from "./slope.ts";

export interface Point {
  readonly x: number;
  readonly y: number;
  /** Whose figure it is: ours, or a peer's. */
  readonly side: string;
}

export interface Curve {
  /** The bench, and the series if it has a name. */
  readonly title: string;
  readonly bench: string;
  readonly series: string;
  readonly xName: string;
  readonly unit: string;
  readonly points: readonly Point[];
}

/** In the order of their first points. */
export function curvesOf(results: readonly Result[]): Curve[] {
  const curves = new Map<string, { -readonly [K in keyof Curve]: Curve[K] }>();
  for (const { curve: place, bench, unit, ours, oursName, peers } of results) {
    if (place === null) continue;
    const { x, xName, series } = place;
    const title = series === undefined ? bench : `${bench}: ${series}`;
    const curve = curves.get(title) ?? {
      title,
      bench,
      series: series ?? oursName,
      xName,
      unit,
      points: [],
    };
    const others = peers.map(({ name, value }) => ({ x, y: value, side: name }));
    curve.points = [...curve.points, { x, y: ours, side: oursName }, ...others];
    curves.set(title, curve);
  }
  return [...curves.values()];
}

export interface CurveTable {
  readonly head: readonly string[];
  readonly body: readonly (readonly string[])[];
}

/** The curves of one bench over the same quantity, a column a line; below, how each grows. One table a quantity. */
export function curveTables(results: readonly Result[]): CurveTable[] {
  const curves = curvesOf(results);
  return [...new Set(curves.map(({ xName }) => xName))].map((xName) =>
    curveTable(
      xName,
      curves.filter((curve) => curve.xName === xName),
    ),
  );
}

function curveTable(xName: string, curves: readonly Curve[]): CurveTable {
  const columns = curves.flatMap(({ series, unit, points }) => {
    const sides = [...new Set(points.map(({ side }) => side))];
    return sides.map((side, i) => ({
      name: i === 0 ? series : `${series}: ${side}`,
      unit,
      points: points.filter((point) => point.side === side),
    }));
  });
  const xs = [...new Set(columns.flatMap(({ points }) => points.map(({ x }) => x)))].sort((a, b) => a - b);
  const cell = (x: number, { points, unit }: (typeof columns)[number]): string => {
    const point = points.find((point) => point.x === x);
    return point === undefined ? "" : figureText(point.y, unit);
  };
  return {
    head: [xName, ...columns.map(({ name }) => name)],
    body: [
      ...xs.map((x) => [x.toLocaleString("en-US"), ...columns.map((column) => cell(x, column))]),
      ["grows as", ...columns.map(({ points }) => growthText(points))],
    ],
  };
}

/** "x^0.98, linear", and what the last points say if that is another word; "" of too few points. */
export function growthText(points: readonly Point[]): string {
  const [all, tail] = [logLogSlope(points), tailSlope(points)];
  if (Number.isNaN(all)) return "";
  const text = (slope: number): string => `x^${slope.toFixed(2)}, ${growthName(slope)}`;
  return growthName(all) === growthName(tail) ? text(all) : `${text(all)}; at the end ${text(tail)}`;
}

/** The results that have something to say beyond the tables: of a curve, its last point alone. */
export function annotated(results: readonly Result[]): Result[] {
  const lasts = new Map(results.map((result) => [`${result.bench}\0${result.curve?.series ?? ""}`, result]));
  return results.filter(
    (result) =>
      result.curve === null || lasts.get(`${result.bench}\0${result.curve.series ?? ""}`) === result,
  );
}
