import { parseHTML } from "linkedom";
import { describe, expect, test } from "vitest";
import type { Bench } from "./bench.ts";
import type { Environment } from "./environment.ts";
import { observeEnvironment } from "./environment.ts";
import { annotated, curveTables } from "./curves.ts";
import { figureText } from "./figures.ts";
import type { PeerFigure, Result } from "./measure.ts";
import { plotSvg } from "./plot.ts";
import { markdown, missedTarget, replaceSection, rows, targetsLine } from "./report.ts";

function peer(name: string, value: number, ratio: number): PeerFigure {
  return { name, value, min: value * 0.9, max: value * 1.2, ratio };
}

const RESULT: Result = {
  name: "ring, depth 32",
  unit: "messages/s",
  ours: 12.5e6,
  peers: [peer("post | message", 250e3, 50), peer("C ring", 100e6, 0.125)],
  limit: peer("memory", 200e6, 0.0625),
  bench: "spsc",
  better: "higher",
  oursName: "our ring",
  min: 12e6,
  max: 13e6,
  runs: 5,
  missing: [{ name: "io_uring", missing: "liburing-dev is not installed" }],
  targets: [
    { of: "post | message", atLeast: 50, ratio: 50, met: true },
    { of: "C ring", atLeast: 0.2, ratio: 0.125, met: false },
  ],
  noisy: ["post | message"],
  notes: { "doorbells per I/O": 0.0625 },
  curve: null,
  published: { name: "a paper", ratio: 8.8 },
};

function point(x: number, series: string): Result {
  const curve = { xName: "CPUs", x, series };
  return {
    ...RESULT,
    name: `kill, ${x} CPUs`,
    bench: "scale",
    unit: "ns",
    ours: x * 100,
    better: "lower",
    curve,
  };
}

const ENVIRONMENT: Environment = {
  ...observeEnvironment("ringside bench spsc", "cc 12 -O2")(),
  loadAtStart: 0.5,
  loadAtEnd: 1.25,
};

describe("a figure", () => {
  test.for([
    [17.36, "ns", "17.4 ns"],
    [12345, "ns", "12.3 us"],
    [2.5e9, "us", "2500 s"],
    [3_210_000, "IOPS", "3.21 M IOPS"],
    [999, "IOPS", "999 IOPS"],
    [999.7, "IOPS", "1000 IOPS"],
    [0.25, "ns", "0.250 ns"],
    [1024, "bytes", "1,024 bytes"],
  ] as const)("%d %s is told as %s", ([value, unit, text]) => {
    expect(figureText(value, unit)).toBe(text);
  });
});

test("a table has our side, every peer, the limit, who is missing and why, and what is published", () => {
  expect(rows(RESULT).map(({ side, ratio, target }) => [side, ratio, target])).toEqual([
    ["our ring", "", ""],
    ["post | message", "50 x", "at least 50: met"],
    ["C ring", "0.13 x", "at least 0.2: not met"],
    ["memory (limit)", "0.063 x", ""],
    ["io_uring", "", ""],
    ["a paper", "8.8 x", ""],
  ]);
  expect(rows(RESULT)[4]?.range).toBe("liburing-dev is not installed");
  expect(rows(RESULT)[1]?.range).toBe("225 K messages/s to 300 K messages/s (30 % apart)");
});

test("the targets are counted and the missed ones named", () => {
  expect(missedTarget([RESULT])).toBe(true);
  expect(targetsLine([RESULT])).toBe("2 targets, 1 met; not met: spsc ring, depth 32 to C ring");
  expect(missedTarget([{ ...RESULT, targets: [{ of: "gone", atLeast: 1, ratio: null, met: null }] }])).toBe(
    false,
  );
});

const BENCH: Bench = {
  name: "spsc",
  what: "a ring",
  reading: "More is better.",
  comparisons: () => Promise.resolve([]),
};

describe("results.md", () => {
  const section = markdown({ environment: ENVIRONMENT, results: [RESULT] }, [BENCH]);
  test("says the command, the machine, how to read it, and every side in a row of six cells", () => {
    expect(section).toContain("## Side by side: `ringside bench spsc`");
    expect(section).toContain("### spsc\n\na ring. More is better.\n\n| comparison");
    expect(section).toContain("peers in C by cc 12 -O2");
    expect(section).toContain("load 0.5 at the start, 1.3 at the end");
    const table = section
      .slice(section.indexOf("###"))
      .split("\n")
      .filter((line) => line.startsWith("|"));
    expect(table).toHaveLength(2 + 6);
    for (const line of table) expect(line.replaceAll("\\|", "").match(/\|/g)).toHaveLength(7);
  });
  test("begins with the targets: what was wanted, what came", () => {
    expect(section).toContain("| spsc: ring, depth 32 | post \\| message | at least 50 | 50 x | met |");
    expect(section).toContain("| spsc: ring, depth 32 | C ring | at least 0.2 | 0.13 x | not met |");
  });
  test("keeps what others wrote around the section, which is replaced", () => {
    const first = replaceSection("# Results\n\nBoot: 3 ms\n", "one\n");
    expect(first).toMatch(/^# Results\n\nBoot: 3 ms\n\n<!-- .* -->\none\n<!-- .* -->\n$/);
    const second = replaceSection(`${first}\n## After\n`, "two\n");
    expect(second).toBe(`${first.replace("one", "two")}\n## After\n`);
  });
});

describe("a curve", () => {
  const points = [4, 1, 2].map((x) => ({
    ...point(x, "kill"),
    peers: [],
    targets: [],
    notes: { growth: x },
  }));
  test("is one table: a row a point, rising, a column a series, and how it grows", () => {
    const memory = { ...point(2, "memory"), unit: "bytes", ours: 640, peers: [] };
    expect(curveTables([RESULT, ...points, memory])).toEqual([
      {
        head: ["CPUs", "kill", "memory"],
        body: [
          ["1", "100 ns", ""],
          ["2", "200 ns", "640 bytes"],
          ["4", "400 ns", ""],
          ["grows as", "x^1.00, linear", ""],
        ],
      },
    ]);
  });
  test("has the notes of its last point only", () => {
    expect(annotated([RESULT, ...points]).map(({ name }) => name)).toEqual([
      "ring, depth 32",
      "kill, 2 CPUs",
    ]);
  });
  test("has no row among the comparisons of results.md", () => {
    const section = markdown({ environment: ENVIRONMENT, results: points }, []);
    expect(section).toContain("| CPUs | kill |\n|---|---|\n| 1 | 100 ns |\n");
    expect(section).not.toContain("comparison");
  });
});

describe("the plot", () => {
  const svg = plotSvg([RESULT, { ...RESULT, name: "a < b" }, ...[1, 2, 4].map((x) => point(x, "kill"))]);
  const { document } = parseHTML(svg);
  test("is one SVG with a bar for each peer and limit", () => {
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" width="\d+" height="\d+"/);
    expect(svg.match(/<svg/g)).toHaveLength(svg.match(/<\/svg>/g)?.length as number);
    const widths = [...document.querySelectorAll("g.ratios g.ratio rect")].map((bar) =>
      bar.getAttribute("width"),
    );
    expect(widths).toHaveLength(2 * 3);
    for (const width of widths) expect(Number(width)).toBeGreaterThan(0);
  });
  test("draws a worse ratio to the other side", () => {
    const [better, worse] = [...document.querySelectorAll("g.ratios g.ratio rect")].map((bar) =>
      Number(bar.getAttribute("x")),
    );
    expect(worse as number).toBeLessThan(better as number);
  });
  test("draws the curves of one unit into one chart, each with its name", () => {
    const series = (name: string): Result[] => [1, 2, 4].map((x) => ({ ...point(x, name), peers: [] }));
    const { document } = parseHTML(plotSvg([...series("kill"), ...series("init")]));
    expect(document.querySelectorAll("g.curves")).toHaveLength(1);
    expect(document.querySelectorAll("g.curves circle")).toHaveLength(2 * 3);
    const texts = [...document.querySelectorAll("g.curves text")].map((text) => text.textContent);
    expect(texts).toEqual(expect.arrayContaining(["kill", "init", "scale, ns"]));
  });
  test("keeps the names of lines that end in one place apart", () => {
    const names = ["kill", "init"];
    const results = names.flatMap((name) => [1, 2, 4].map((x) => ({ ...point(x, name), peers: [] })));
    const { document } = parseHTML(plotSvg(results));
    const places = [...document.querySelectorAll("g.curves text")]
      .filter((text) => names.includes(text.textContent ?? ""))
      .map((text) => Number(/,([\d.]+)\)/.exec(text.getAttribute("transform") ?? "")?.[1]));
    expect(Math.abs((places[0] as number) - (places[1] as number))).toBeGreaterThan(9);
  });
  test("of nothing is refused", () => {
    expect(() => plotSvg([])).toThrow(RangeError);
  });
});
