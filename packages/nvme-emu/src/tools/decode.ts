/**
 * Reading fields out of raw identify data, log pages and register dumps, and the number formats of nvme-cli.
 * Pure functions over bytes; nothing here knows a machine.
 */
import { type SpecField, spec_field } from "../spec/layout.ts";

/** Raw bytes, of whatever array. */
export type Bytes = ArrayLike<number>;

/** Unsigned little endian of `bytes` bytes; exact up to 2^53. */
export function number_at(data: Bytes, offset: number, bytes: number): number {
  let value = 0;
  for (let i = bytes - 1; i >= 0; i--) value = value * 256 + (data[offset + i] ?? 0);
  return value;
}

/** As number_at, exact at any length, as decimal digits. */
export function decimal_at(data: Bytes, offset: number, bytes: number): string {
  let value = 0n;
  for (let i = bytes - 1; i >= 0; i--) value = value * 256n + BigInt(data[offset + i] ?? 0);
  return value.toString();
}

/** ASCII up to the first zero byte; blanks stay. */
export function text_at(data: Bytes, offset: number, bytes: number): string {
  let text = "";
  for (let i = 0; i < bytes; i++) {
    const byte = data[offset + i] ?? 0;
    if (byte === 0) break;
    text += String.fromCharCode(byte);
  }
  return text;
}

export function hex_at(data: Bytes, offset: number, bytes: number): string {
  let text = "";
  for (let i = 0; i < bytes; i++) text += (data[offset + i] ?? 0).toString(16).padStart(2, "0");
  return text;
}

export function field_number(
  data: Bytes,
  table: readonly SpecField[],
  name: string,
  base: number = 0,
): number {
  const [, offset, bytes] = spec_field(table, name);
  return number_at(data, base + offset, bytes);
}

/** C's %#x: zero has no prefix. */
export function hex(value: number): string {
  return value === 0 ? "0" : `0x${value.toString(16)}`;
}

const SI = ["", "k", "M", "G", "T", "P", "E"];

/** [value, suffix] with the largest SI suffix that leaves at least 1. */
export function si_suffix(value: number): [number, string] {
  let scaled = value;
  let step = 0;
  while (scaled >= 1000 && step < SI.length - 1) {
    scaled /= 1000;
    step++;
  }
  return [scaled, SI[step] ?? ""];
}

/** 16 bytes as 8-4-4-4-12. */
export function uuid_at(data: Bytes, offset: number): string {
  const digits = hex_at(data, offset, 16);
  return [
    digits.slice(0, 8),
    digits.slice(8, 12),
    digits.slice(12, 16),
    digits.slice(16, 20),
    digits.slice(20),
  ].join("-");
}
