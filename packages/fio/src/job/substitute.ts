/**
 * What is replaced in an option before it is read: `${NAME}` by the environment's text (nothing if it has none),
 * then $pagesize, $mb_memory and $ncpus by numbers. A value that a $keyword stood in may be arithmetic.
 */
import { evaluate } from "./arithmetic.ts";

export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cpus: number;
  /** Bytes. */
  readonly pageSize: number;
  readonly memoryMb: number;
}

function keywords(text: string, around: Surroundings): string {
  return text
    .replaceAll("$pagesize", String(around.pageSize))
    .replaceAll("$mb_memory", String(around.memoryMb))
    .replaceAll("$ncpus", String(around.cpus));
}

/** The option's text as it is read; undefined if its arithmetic makes no sense. */
export function substitute(text: string, around: Surroundings): string | undefined {
  const named = text.replaceAll(/\$\{([^}]*)\}/g, (_, name: string) => around.env[name] ?? "");
  const replaced = keywords(named, around);
  if (replaced === named || !/[-+*/]/.test(replaced) || replaced.includes("'")) return replaced;
  const equals = replaced.indexOf("=");
  if (equals < 0) return replaced;
  const result = evaluate(replaced.slice(equals + 1), () => undefined);
  return result === undefined ? undefined : replaced.slice(0, equals + 1) + String(result.value);
}
