import { describe, expect, it } from "vitest";
import { evaluate } from "./arithmetic.ts";
import { substitute } from "./substitute.ts";
import { byteFactor, pieces, readAmount, readTime } from "./units.ts";

describe("an amount of bytes", () => {
  it.each([
    ["4096", 4096],
    ["4k", 4096],
    ["4K", 4096],
    ["4kB", 4096],
    ["4Ki", 4096],
    ["4KiB", 4000],
    ["1m", 2 ** 20],
    ["1MiB", 1e6],
    ["2g", 2 ** 31],
    ["1t", 2 ** 40],
    ["1p", 2 ** 50],
    ["512b", 512],
    ["0x200", 512],
    ["(4*1024)", 4096],
    ["(2k+2k)", 4096],
    ["((2+2)k)", 4096],
    [" 7", 7],
    ["-4k", -4096],
  ])("%s is %d", (text, value) => {
    expect(readAmount(text)).toEqual({ value, percent: false });
  });

  it.each(["", "k", "4q", "4 k", " 4k", "1.5k", "0x10k", "4kk", "(4", "(4*)", "(1/0)", "5z"])(
    "'%s' is none",
    (text) => {
      expect(readAmount(text)).toBeUndefined();
    },
  );

  it("may be a percentage", () => {
    expect(readAmount("50%")).toEqual({ value: 50, percent: true });
  });
});

describe("a time", () => {
  it.each([
    ["10", 1_000_000, 10_000_000],
    ["10", 1, 10],
    ["10s", 1, 10_000_000],
    ["10ms", 1_000_000, 10_000],
    ["10msec", 1_000_000, 10_000],
    ["10us", 1_000_000, 10],
    ["+10s", 1, 10_000_000],
    ["2m", 1_000_000, 120_000_000],
    ["1h", 1, 3_600_000_000],
    ["1d", 1, 86_400_000_000],
    ["(1+1)", 1_000_000, 2_000_000],
    ["(1+1)s", 1, 2_000_000],
  ])("%s with %d us a unit is %d us", (text, unit, us) => {
    expect(readTime(text, unit)).toBe(us);
  });

  it.each(["", "s", "5sec", "2x", "1.5s", "-1", "50%"])("'%s' is none", (text) => {
    expect(readTime(text, 1)).toBeUndefined();
  });
});

describe("arithmetic", () => {
  it.each([
    ["1+2*3", 7],
    ["(1+2)*3", 9],
    ["7/2", 3],
    ["-7/2", -3],
    ["7%4", 3],
    ["2^3^2", 512],
    ["10-2-3", 5],
    ["0x10*2", 32],
    ["--1", 1],
  ])("%s is %d", (text, value) => {
    expect(evaluate(text, byteFactor)?.value).toBe(value);
  });

  it.each(["", "1+", "*2", "1 2", "(1", "1)", "1/0", "1%0", "a"])("'%s' has no value", (text) => {
    expect(evaluate(text, byteFactor)).toBeUndefined();
  });
});

describe("replacement", () => {
  const around = { env: { SIZE: "8k" }, cpus: 3, pageSize: 4096, memoryMb: 512 };

  it.each([
    ["bs=${SIZE}", "bs=8k"],
    ["bs=4${NOTHING}k", "bs=4k"],
    ["${SIZE}${SIZE}", "8k8k"],
    ["size=$pagesize", "size=4096"],
    ["size=$pagesize*4", "size=16384"],
    ["numjobs=$ncpus-1", "numjobs=2"],
    ["size=$mb_memory/2", "size=256"],
    ["filename=a-b", "filename=a-b"],
  ])("makes of %s: %s", (text, made) => {
    expect(substitute(text, around)).toBe(made);
  });

  it("refuses arithmetic that makes no sense", () => {
    expect(substitute("size=$pagesize*", around)).toBeUndefined();
  });
});

it("values for the directions are apart by commas, else colons, else dashes", () => {
  expect(pieces("4k,8k:1")).toEqual(["4k", "8k", "1"]);
  expect(pieces("4k:8k-1")).toEqual(["4k", "8k", "1"]);
  expect(pieces("4k:8k,1")).toEqual(["4k:8k", "1"]);
  expect(pieces(",,8k")).toEqual(["", "", "8k"]);
  expect(pieces("4k-8k")).toEqual(["4k", "8k"]);
  expect(pieces("-1")).toEqual(["-1"]);
});
