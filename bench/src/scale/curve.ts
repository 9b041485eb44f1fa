/** A point of a curve: a comparison with no peer but the other points of its series. */
import type { Comparison, Subject } from "../bench.ts";

export interface Series {
  /** "register a buffer" */
  readonly series: string;
  readonly xName: string;
  readonly unit: string;
}

/** `notes` are told with the last point of a series. */
export function curvePoint(
  { series, xName, unit }: Series,
  x: number,
  ours: Subject,
  more: Pick<Comparison, "notes" | "once"> = {},
): Comparison {
  return {
    name: `${series}, ${xName} ${x}`,
    unit,
    better: "lower",
    ours,
    peers: [],
    curve: { series, xName, x },
    ...more,
  };
}
