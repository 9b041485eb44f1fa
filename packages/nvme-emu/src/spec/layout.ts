/**
 * How a data structure of the specification is written down: a table of fields in spec order. The controller
 * fills pages from it, the tools print from it, a test checks it for overlap and order.
 */

/** `u`: unsigned little endian; `ascii`: space padded; `bytes`: as they are, printed in hex. */
export type SpecKind = "u" | "ascii" | "bytes";
export type SpecField = readonly [name: string, offset: number, bytes: number, kind: SpecKind];

/** The field called `name`; a wrong name is a programming error. */
export function spec_field(table: readonly SpecField[], name: string): SpecField {
  const field = table.find((f) => f[0] === name);
  if (field === undefined) throw new Error(`no field ${name}`);
  return field;
}
