/**
 * Building identify data and log pages: fields by name from the tables in spec/, into the device's own page.
 */
import type { Cpu } from "@ringside/core/sched/cpu";
import { type SpecField, spec_field } from "../spec/layout.ts";

/** Little endian; numbers are exact up to 2^53, longer fields get zeroes above. */
export function page_number(
  cpu: Cpu,
  page: number,
  table: readonly SpecField[],
  name: string,
  value: number,
): void {
  const [, offset, bytes] = spec_field(table, name);
  let rest = value;
  for (let i = 0; i < bytes; i++) {
    cpu.mem.write8(page + offset + i, rest % 256);
    rest = Math.floor(rest / 256);
  }
}

/** ASCII, padded with blanks; `subnqn` alone is padded with zeroes. */
export function page_text(
  cpu: Cpu,
  page: number,
  table: readonly SpecField[],
  name: string,
  text: string,
  pad: number = 0x20,
): void {
  const [, offset, bytes] = spec_field(table, name);
  for (let i = 0; i < bytes; i++) {
    cpu.mem.write8(page + offset + i, i < text.length ? text.charCodeAt(i) : pad);
  }
}

/** Numbers of several fields. */
export function page_numbers(
  cpu: Cpu,
  page: number,
  table: readonly SpecField[],
  values: readonly (readonly [string, number])[],
): void {
  for (const [name, value] of values) page_number(cpu, page, table, name, value);
}
