import { expect, it } from "vitest";
import { fixed, human, wide } from "./fixed.ts";

it.each([
  [0.5, 0, "0"],
  [1.5, 0, "2"],
  [2.5, 0, "2"],
  [0.125, 2, "0.12"],
  [0.375, 2, "0.38"],
  [-0.125, 2, "-0.12"],
  [1.005, 2, "1.00"],
  [0.25, 1, "0.2"],
  [1e-7, 6, "0.000000"],
  [123_456_789.5, 6, "123456789.500000"],
])("%d with %i decimals is %s, as printf rounds", (value, digits, text) => {
  expect(fixed(value, digits)).toBe(text);
});

it("a short number is padded to five columns", () => {
  expect([wide(4.62), wide(4005.333)]).toEqual([" 4.62", "4005.33"]);
});

it.each([
  [12_024, 4, false, "", 1, "12.0k"],
  [999, 4, false, "", 1, "999"],
  [9999, 4, false, "", 1, "9999"],
  [2_830_500, 4, false, "", 1, "2831k"],
  [46.9 * 1024 * 1024, 4, true, "B/s", 1, "46.9MiB/s"],
  [5_183_488_000, 4, false, "B/s", 1, "5183MB/s"],
  [5_183_488_000, 4, true, "B/s", 1, "4943MiB/s"],
  [41_140_844_709, 4, true, "B/s", 1, "38.3GiB/s"],
  [1_064_123, 6, false, "", 1, "1064.1k"],
  // The fraction carries: 1023.99 KiB.
  [1024 * 1024 - 1, 4, true, "B", 1, "1024KiB"],
  // fio's carry may cost a character more than asked for.
  [10_239, 4, true, "B", 1, "10.00KiB"],
  [6740, 4, true, "B/s", 1024, "6740KiB/s"],
  [1_234_567, 4, true, "B/s", 1024, "1206MiB/s"],
  [0, 4, true, "B", 1, "0B"],
] as const)("%d in %i characters (binary: %s) is %s", (number, width, binary, unit, given, text) => {
  expect(human(number, width, binary, unit, given)).toBe(text);
});
