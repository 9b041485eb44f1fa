/** A module for the mutant loader's tests to break. Its types show that stripping comes after the edit. */
import { LIMIT } from "./mutate-fixture-limit.ts";

export function clamp(value: number): number {
  return Math.min(value, LIMIT);
}
