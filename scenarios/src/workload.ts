/** A workload: a program a CPU runs to its end. Arguments and results are plain data. */
import type { Cpu } from "@ringside/core/sched/cpu";

/** Data whose type only the workload and its caller know; it survives structured clone. */
export interface Opaque {
  readonly opaque: unknown;
}
export type Args = Readonly<Record<string, number | string | boolean | Opaque>>;
export type Result = Readonly<
  Record<string, number | string | boolean | readonly number[] | readonly string[] | Opaque>
>;
export type Workload = (cpu: Cpu, args: Args) => Result;

/** An argument as text, in messages too. */
export function text_arg(args: Args, name: string): string {
  const value = args[name];
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** A numeric argument; a missing one is a programming error. */
export function number_arg(args: Args, name: string): number {
  const value = args[name];
  if (typeof value !== "number")
    throw new Error(`workload argument ${name}: expected a number, got ${JSON.stringify(value)}`);
  return value;
}
