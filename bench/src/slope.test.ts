import { expect, it } from "vitest";
import { growthName, logLogSlope, type Point, tailSlope } from "./slope.ts";

const XS = [1, 4, 16, 64, 256];

function points(cost: (x: number) => number): Point[] {
  return XS.map((x) => ({ x, y: cost(x) }));
}

it("the fitted exponent of c * x^k is k", () => {
  for (const k of [-1, 0, 0.5, 1]) expect(logLogSlope(points((x) => 7 * x ** k))).toBeCloseTo(k);
});

it("quadratic costs have exponent 2 and are called superlinear (negative control)", () => {
  const exponent = logLogSlope(points((x) => 3 * x * x));
  expect(exponent).toBeCloseTo(2);
  expect(growthName(exponent)).toBe("superlinear");
  expect([-1, 0, 0.5, 1].map(growthName)).toEqual(["falling", "constant", "sublinear", "linear"]);
});

it("the tail shows growth that a constant part hides", () => {
  const hidden = points((x) => 1e4 + x * x);
  expect(logLogSlope(hidden)).toBeLessThan(0.5);
  expect(tailSlope(hidden)).toBeGreaterThan(logLogSlope(hidden));
  expect(tailSlope(points((x) => 10 + x * x))).toBeGreaterThan(1.9);
});

it("one point has no exponent", () => {
  expect(logLogSlope([{ x: 2, y: 5 }])).toBeNaN();
});
