/**
 * fio's JSON (json.c): two spaces a level, ` : ` between key and value, each element on a line, floats as `%f`.
 *
 * An int and a float are different things to readers with typed structs, so a float is a Float, also when it is whole.
 * Objects are Maps: a plain object would move keys that look like numbers to its front.
 */
import { float } from "./fixed.ts";

export class Float {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }
}

export type Json = string | number | Float | readonly Json[] | ReadonlyMap<string, Json>;

export function writeJson(value: Json, level = 0): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number") return String(Number.isFinite(value) ? Math.trunc(value) : 0);
  if (value instanceof Float) return float(value.value);
  const inner = "  ".repeat(level + 1);
  const outer = "  ".repeat(level);
  if (value instanceof Map) {
    const pairs = [...(value as ReadonlyMap<string, Json>)].map(
      ([key, part]) => `${inner}${JSON.stringify(key)} : ${writeJson(part, level + 1)}`,
    );
    return `{\n${pairs.join(",\n")}\n${outer}}`;
  }
  const parts = (value as readonly Json[]).map((part) => inner + writeJson(part, level + 1));
  return `[\n${parts.join(",\n")}\n${outer}]`;
}
