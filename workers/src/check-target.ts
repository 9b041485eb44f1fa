/**
 * Loads what is to be checked, in the thread that will run it: a scenario by name, or a program of a user's module, as
 * coroutines. Everything that is wrong with the request is a CheckUsageError.
 */
import { statSync } from "node:fs";
import { registerHooks } from "node:module";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Program } from "@ringside/checker/program";
import { registerControlled } from "@ringside/checker/transform/load";
import { isProgram } from "@ringside/checker/gated/load";
import { place_in } from "./check-guest.ts";
import { type CheckTarget, CheckUsageError, is_module, type ModuleTarget } from "./check-request.ts";
import { loadScenario } from "./check/load.ts";

export interface LoadedTarget {
  readonly program: Program;
  readonly granularity: "all" | "sync";
  readonly variant: string | null;
  readonly form: string | null;
  readonly mutant: string | null;
  readonly expected: string | null;
}

export async function load_target(target: CheckTarget): Promise<LoadedTarget> {
  if (is_module(target)) {
    const program = await one_program(target);
    return { program, granularity: "all", variant: null, form: null, mutant: null, expected: null };
  }
  try {
    const { program, subject, expect } = await loadScenario(target);
    const { form, mutant, variant } = subject;
    return {
      program,
      granularity: subject.kind === "kernel" ? "sync" : "all",
      variant: variant ?? null,
      form,
      mutant: mutant ?? null,
      expected: expect,
    };
  } catch (error) {
    throw usage(error);
  }
}

/** The programs that a module exports, by name. `warn` is told of accesses that the search will not see. */
export async function programs_of(
  path: string,
  warn: (text: string) => void = () => {},
): Promise<Map<string, Program>> {
  const file = resolve(path);
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined) throw new CheckUsageError(`${path}: no such file`);
  if (!stat.isFile()) throw new CheckUsageError(`${path} is no module: expected a file`);
  lend_packages();
  let exported: Record<string, unknown>;
  try {
    const loader = registerControlled({ entry: pathToFileURL(file), granularity: "all" });
    for (const warning of loader.warnings) warn(warning);
    exported = (await loader.import()) as Record<string, unknown>;
  } catch (error) {
    throw usage(error, `${path}: `, place_in(error));
  }
  const programs = new Map(
    Object.entries(exported).filter((entry): entry is [string, Program] => isProgram(entry[1])),
  );
  if (programs.size === 0) {
    const names = Object.keys(exported).join(", ");
    throw new CheckUsageError(
      `${path} exports no Program, an object with a name and threads${names === "" ? "" : `; it exports ${names}`}`,
    );
  }
  return programs;
}

async function one_program({ module, program }: ModuleTarget): Promise<Program> {
  const found = (await programs_of(module)).get(program);
  if (found === undefined) throw new CheckUsageError(`${module} exports no program ${program}`);
  return found;
}

function usage(error: unknown, before: string = "", after: string = ""): CheckUsageError {
  if (error instanceof CheckUsageError) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new CheckUsageError(before + text + after, { cause: error });
}

const LENT = /^(?:@ringside\/checker|atomics-sync)(?:\/|$)/;
let lent = false;

/** A module where these packages are not installed gets ours. Before registerControlled, which asks us then. */
function lend_packages(): void {
  if (lent) return;
  lent = true;
  registerHooks({
    resolve: (specifier, context, next) => {
      if (!LENT.test(specifier)) return next(specifier, context);
      try {
        return next(specifier, context);
      } catch {
        return next(specifier, { ...context, parentURL: import.meta.url });
      }
    },
  });
}
