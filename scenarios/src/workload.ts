/** A workload: a program a CPU runs to its end. Arguments and results are plain data. */
import type { Cpu } from "@ringside/core/sched/cpu";

export type Args = Readonly<Record<string, number | string | boolean>>;
export type Result = Readonly<
  Record<string, number | string | boolean | readonly number[] | readonly string[]>
>;
export type Workload = (cpu: Cpu, args: Args) => Result;

/** A numeric argument; a missing one is a programming error. */
export function number_arg(args: Args, name: string): number {
  const value = args[name];
  if (typeof value !== "number")
    throw new Error(`workload argument ${name}: expected a number, got ${String(value)}`);
  return value;
}
