/** Figures as people read them: three digits and the unit that suits them. */

const TIME_UNITS = ["ns", "us", "ms", "s"];

/** Three digits and a unit: "17.4 ns", "3.21 M IOPS". Times move to the unit that suits them. */
export function figureText(value: number, unit: string): string {
  const time = TIME_UNITS.indexOf(unit);
  if (time >= 0) {
    let index = time;
    let scaled = value;
    for (; scaled >= 1000 && index < TIME_UNITS.length - 1; index++) scaled /= 1000;
    return `${digits(scaled)} ${TIME_UNITS[index] ?? unit}`;
  }
  if (unit === "bytes") return `${Math.round(value).toLocaleString("en-US")} bytes`;
  for (const [power, letter] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "K"],
  ] as const) {
    if (value >= power) return `${digits(value / power)} ${letter} ${unit}`;
  }
  return `${digits(value)} ${unit}`;
}

function digits(value: number): string {
  // As long as three digits do not round up to a fourth.
  return value >= 999.5 ? value.toFixed(0) : value.toPrecision(3);
}

/** "1.9 x", "0.051 x", "693 x" */
export function ratioText(ratio: number): string {
  return `${ratio >= 99.5 ? ratio.toFixed(0) : ratio.toPrecision(2)} x`;
}
