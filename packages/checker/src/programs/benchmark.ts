/** What a benchmark program is: published code with a known bug, told again over Memory, and its repaired form. */
import type { Program, ThreadBody } from "../program.ts";

export type Suite = "CS" | "Chess" | "CB" | "Inspect" | "SafeStack" | "ConVul";

export interface Benchmark {
  /** As papers name it; "-fixed" for a repaired form. */
  readonly name: string;
  readonly suite: Suite;
  readonly program: Program;
  /** The repaired form: nothing may be found. */
  readonly fixed: boolean;
}

/** A program with its bug and, where there is a natural one, its repaired form. */
export function benchmark(
  suite: Suite,
  name: string,
  buggy: Omit<Program, "name">,
  fixed?: Omit<Program, "name">,
): Benchmark[] {
  const both: Benchmark[] = [{ name, suite, program: { name, ...buggy }, fixed: false }];
  if (fixed !== undefined) {
    const repaired = `${name}-fixed`;
    both.push({ name: repaired, suite, program: { name: repaired, ...fixed }, fixed: true });
  }
  return both;
}

/** `count` threads that do the same. */
export function times(count: number, body: ThreadBody): ThreadBody[] {
  return Array.from({ length: count }, () => body);
}
