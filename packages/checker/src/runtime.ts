/**
 * What transformed code needs at run time: numbers for its sites, and a way to tell a coroutine from a value.
 *
 * Interface: the loader writes the calls; see transform/. Site 0 is "unknown".
 */

/** Where an op stands in the source. */
export interface Site {
  /** Relative to the root, with forward slashes. */
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  readonly column: number;
  /** Nearest named function. */
  readonly name: string;
}

const UNKNOWN: Site = { file: "?", line: 0, column: 0, name: "?" };

const sites: Site[] = [UNKNOWN];

/**
 * Enters the sites of a file: positions are line, column pairs; functions[i] indexes names. Returns the
 * number of the first.
 */
export function $sites(
  file: string,
  positions: readonly number[],
  names: readonly string[],
  functions: readonly number[],
): number {
  const base = sites.length;
  for (let i = 0; i < functions.length; i++) {
    const line = positions[2 * i] as number;
    const column = positions[2 * i + 1] as number;
    sites.push({ file, line, column, name: names[functions[i] as number] ?? "?" });
  }
  return base;
}

export function siteOf(id: number): Site {
  return sites[id] ?? UNKNOWN;
}

export function siteText(id: number): string {
  const { name, file, line } = siteOf(id);
  return `${name} (${file}:${line})`;
}

/** Numbers given so far: sites are below this. */
export function siteCount(): number {
  return sites.length;
}

/** A generator object made by a transformed function. */
export function $isCo(value: unknown): value is Coroutine {
  return typeof value === "object" && value !== null && Symbol.toStringTag in value && isGenerator(value);
}

function isGenerator(value: object): boolean {
  return (value as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag] === "Generator";
}

/** What the engine resumes: a generator, or a gated thread that behaves as one. */
export interface Coroutine {
  next(): { readonly done?: boolean | undefined; readonly value: unknown };
}

/** What an async function gives. Nobody here waits for it, so what it rejects with is no news. */
export function isPromise(value: unknown): boolean {
  if (!(value instanceof Promise)) return false;
  value.catch(() => {});
  return true;
}

/** Runs a coroutine that never yields to its end; a plain value passes through. */
export function runToEnd(value: unknown): unknown {
  if (isPromise(value)) throw new TypeError("setup, after and outcome of a program are not async");
  if (!$isCo(value)) return value;
  const result = value.next();
  if (result.done !== true) throw new Error("a step wanted to yield where nothing is scheduled");
  return result.value;
}

/** The value of a call that stands where no thread can be suspended: it has to be a plain one. */
export function $plain(value: unknown): unknown {
  if ($isCo(value)) throw new Error("a function that reaches a step was called where it cannot be suspended");
  return value;
}
