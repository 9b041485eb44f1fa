/**
 * The results as one SVG. First a chart a bench with a bar for each peer of each comparison: how many times better
 * we are, on a log axis, so that twice as good and half as good are equally long, in opposite directions. Then a
 * chart for the curves of a scale bench that have one unit, against the quantity they depend on, both on log axes.
 *
 * Groups of bars have the class "ratios", bars "ratio"; a chart of curves has "curves".
 */
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { type Curve, curvesOf } from "./curves.ts";
import { figureText, ratioText } from "./figures.ts";
import type { PeerFigure, Result } from "./measure.ts";

const WIDTH = 1080;
/** Of a letter of a label, in pixels. */
const LETTER = 6;
const BAR_HEIGHT = 20;
const CURVE_HEIGHT = 260;
/** Of the name of a line. */
const NAME_HEIGHT = 13;
const TITLE_HEIGHT = 26;
const SVG_NAMESPACE = "http://www.w3.org/2000/svg";

interface Bar {
  readonly label: string;
  readonly bench: string;
  /** How many times better ours is; below 1, worse. */
  readonly times: number;
  readonly text: string;
}

/** The whole drawing; throws RangeError when there is nothing to draw. */
export function plotSvg(results: readonly Result[]): string {
  const bars = results.filter(({ curve }) => curve === null).flatMap(barsOf);
  const curves = curvesOf(results);
  if (bars.length + curves.length === 0)
    throw new RangeError("nothing to draw: no figure has a peer or a curve");
  const { document } = parseHTML("<html><body></body></html>");
  const parts: Part[] = [];
  for (const bench of new Set(bars.map((bar) => bar.bench))) {
    parts.push(ratiosPart(bench, bars, document));
  }
  for (const together of chartsOf(curves)) parts.push(curvesPart(together, document));
  return stack(parts);
}

function barsOf(result: Result): Bar[] {
  const sides = [...result.peers, ...(result.limit === null ? [] : [result.limit])];
  return sides.map((side) => bar(result, side));
}

function bar({ bench, name, better, unit, ours }: Result, side: PeerFigure): Bar {
  const times = better === "higher" ? side.ratio : 1 / side.ratio;
  const [ourText, itsText] = [figureText(ours, unit), figureText(side.value, unit)];
  const text = `${ratioText(times)} (${ourText.replace(` ${unit}`, "")} : ${itsText})`;
  return { label: `${name} : ${side.name}`, bench, times, text };
}

type Paper = ReturnType<typeof parseHTML>["document"];

interface Part {
  readonly name: string;
  readonly title: string;
  readonly height: number;
  /** An svg element as text. */
  readonly svg: string;
}

const STYLE = { background: "white", fontFamily: "sans-serif" };

/** Those of `bench` among `all`, whose axis they share. */
function ratiosPart(bench: string, all: readonly Bar[], document: Paper): Part {
  const bars = all.filter((bar) => bar.bench === bench);
  const height = bars.length * BAR_HEIGHT + 60;
  const powers = all.map(({ times }) => Math.log10(times));
  const least = Math.floor(Math.min(...powers, 0));
  const most = Math.ceil(Math.max(...powers, 0));
  const ticks = Array.from({ length: most - least + 1 }, (_, i) => 10 ** (least + i));
  const svg = Plot.plot({
    document,
    width: WIDTH,
    height,
    marginLeft: Math.max(...all.map(({ label }) => label.length)) * LETTER + 10,
    // The figures stand to the right of the bars.
    marginRight: 200,
    style: STYLE,
    x: {
      type: "log",
      domain: [10 ** least, 10 ** most],
      grid: true,
      label: "times better",
      ticks,
      tickFormat: (times: number) => Number(times.toPrecision(1)).toLocaleString("en-US"),
    },
    y: { domain: bars.map(({ label }) => label), label: null },
    marks: [
      Plot.barX(bars, { x1: 1, x2: "times", y: "label", fill: better, className: "ratio" }),
      Plot.text(bars, {
        x: ({ times }: Bar) => Math.max(times, 1),
        y: "label",
        text: "text",
        textAnchor: "start",
        dx: 4,
        fontSize: 9,
      }),
      Plot.ruleX([1]),
    ],
  });
  return { name: "ratios", title: bench, height, svg: svg.outerHTML };
}

function better({ times }: Bar): string {
  return times >= 1 ? "steelblue" : "darkorange";
}

/** Those that can share their axes. */
function chartsOf(curves: readonly Curve[]): Curve[][] {
  const charts = Map.groupBy(curves, ({ bench, xName, unit }) => [bench, xName, unit].join("\0"));
  return [...charts.values()];
}

function curvesPart(curves: readonly Curve[], document: Paper): Part {
  const { bench, title, xName, unit } = curves[0] as Curve;
  const points = curves.flatMap(({ series, points, title }) =>
    points.map(({ x, y, side }) => ({ x, y, line: points[0]?.side === side ? series : `${title}: ${side}` })),
  );
  const lines = [...new Set(points.map(({ line }) => line))];
  const xs = points.map((point) => point.x);
  const [least, most] = [Math.min(...xs), Math.max(...xs)];
  const x = logAxis(xs);
  const y = logAxis(points.map((point) => point.y));
  const svg = Plot.plot({
    document,
    width: WIDTH,
    height: CURVE_HEIGHT,
    marginLeft: 80,
    marginRight: Math.max(...lines.map((line) => line.length)) * LETTER + 20,
    style: STYLE,
    color: { domain: lines, scheme: "Observable10" },
    x: {
      ...x,
      domain: [least, most],
      ticks: x.ticks.filter((at) => at >= least && at <= most),
      label: xName,
    },
    y: { ...y, label: unit },
    marks: [
      Plot.lineY(points, { x: "x", y: "y", stroke: "line" }),
      Plot.dot(points, { x: "x", y: "y", stroke: "line", r: 2.5 }),
      Plot.text(apart(points, y.domain), {
        x: "x",
        y: "at",
        text: "line",
        fill: "line",
        textAnchor: "start",
        dx: 8,
      }),
    ],
  });
  const whole = `${curves.length > 1 ? bench : title}, ${unit}`;
  return { name: "curves", title: whole, height: CURVE_HEIGHT, svg: svg.outerHTML };
}

interface LogAxis {
  readonly type: "log";
  readonly base: number;
  readonly grid: true;
  readonly domain: [number, number];
  readonly ticks: number[];
  readonly tickFormat: (value: number) => string;
}

/** Powers of ten around the values, or of two where they span less; each has a tick. */
function logAxis(values: readonly number[]): LogAxis {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const base = most / least >= 100 ? 10 : 2;
  const power = (value: number): number => Math.log(value) / Math.log(base);
  const first = Math.floor(power(least) + 1e-9);
  const last = Math.max(first + 1, Math.ceil(power(most) - 1e-9));
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => base ** (first + i));
  const domain: [number, number] = [base ** first, base ** last];
  return { type: "log", base, grid: true, domain, ticks, tickFormat: tickText };
}

/** "4096", "10 K", "1 M" */
function tickText(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3)).toLocaleString("en-US")} M`;
  if (value >= 1e4) return `${Number((value / 1e3).toPrecision(3)).toLocaleString("en-US")} K`;
  return Number(value.toPrecision(4)).toLocaleString("en-US", { useGrouping: false });
}

interface LinePoint {
  readonly x: number;
  readonly y: number;
  readonly line: string;
}

/** The ends of the lines, with places for their names that are not on top of each other. */
function apart(
  points: readonly LinePoint[],
  [from, to]: readonly [number, number],
): (LinePoint & { at: number })[] {
  const room = (Math.log(to / from) * NAME_HEIGHT) / (CURVE_HEIGHT - 50);
  const ends = [...new Map(points.map((point) => [point.line, point])).values()].sort((a, b) => a.y - b.y);
  let free = -Infinity;
  return ends.map((end) => {
    const at = Math.max(Math.log(end.y), free);
    free = at + room;
    return { ...end, at: Math.exp(at) };
  });
}

/** One under the other, each with its title. */
function stack(parts: readonly Part[]): string {
  let top = 0;
  const groups: string[] = [];
  for (const { name, title, height, svg } of parts) {
    groups.push(
      `<g class="${name}" transform="translate(0,${top})">`,
      `<text x="10" y="17" font-family="sans-serif" font-size="14" font-weight="bold">${escape(title)}</text>`,
      `<g transform="translate(0,${TITLE_HEIGHT})">${svg}</g></g>`,
    );
    top += height + TITLE_HEIGHT;
  }
  const size = `width="${WIDTH}" height="${top}" viewBox="0 0 ${WIDTH} ${top}"`;
  const paper = `<rect width="${WIDTH}" height="${top}" fill="white"/>`;
  return `<svg xmlns="${SVG_NAMESPACE}" ${size}>${paper}\n${groups.join("\n")}\n</svg>\n`;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
