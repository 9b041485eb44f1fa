/**
 * Products as an x87 long double has them: 64 bits of mantissa, ties to even.
 *
 * fio asks "are there at least p / 100 * n samples up to here" in long double, so p = 99.9, n = 1000 needs 1000
 * of them, not 999: 99.9 is a little more than it looks. A double would answer otherwise now and then.
 */

/** mantissa * 2^exponent, mantissa below 2^64. */
interface Extended {
  readonly mantissa: bigint;
  readonly exponent: number;
}

const MANTISSA_BITS = 64;

/** numerator / denominator * 2^exponent, rounded to 64 bits. */
function rounded(numerator: bigint, denominator: bigint, exponent: number): Extended {
  if (numerator === 0n) return { mantissa: 0n, exponent: 0 };
  // Enough bits that the quotient has at least 66; what is cut off stays visible in the remainder.
  const shift = Math.max(0, MANTISSA_BITS + 2 + bits(denominator) - bits(numerator));
  const scaled = numerator << BigInt(shift);
  const quotient = scaled / denominator;
  const excess = bits(quotient) - MANTISSA_BITS;
  if (excess <= 0) return { mantissa: quotient, exponent: exponent - shift };
  const unit = 1n << BigInt(excess);
  const rest = 2n * (quotient % unit) + (scaled % denominator === 0n ? 0n : 1n);
  let mantissa = quotient / unit;
  if (rest > unit || (rest === unit && mantissa % 2n === 1n)) mantissa += 1n;
  return { mantissa, exponent: exponent - shift + excess };
}

function bits(value: bigint): number {
  return value.toString(2).length;
}

/** A double as an integer times a power of two. */
function exact(value: number): Extended {
  let exponent = 0;
  let scaled = value;
  while (!Number.isInteger(scaled)) {
    scaled *= 2;
    exponent -= 1;
  }
  return { mantissa: BigInt(scaled), exponent };
}

/** The least whole number of samples that fio takes as `percent` of `n`. */
export function samplesAt(percent: number, n: number): bigint {
  const p = exact(percent);
  const share = rounded(p.mantissa, 100n, p.exponent);
  const product = rounded(share.mantissa * BigInt(n), 1n, share.exponent);
  if (product.exponent >= 0) return product.mantissa << BigInt(product.exponent);
  const unit = 1n << BigInt(-product.exponent);
  return (product.mantissa + unit - 1n) / unit;
}
