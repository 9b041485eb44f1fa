/**
 * Load: serves a program's sources as coroutines, through Node's module hooks.
 *
 * A registration crawls the import graph of its entries, finds the steps over all files at once, and gives each
 * controlled file a URL of its own, `file:///...?controlled=N`. So the same module may be loaded natively and
 * controlled, in several granularities or mutants, side by side; each is a module with state of its own. What is not
 * controlled (Memory, the checker, Node) is shared by all.
 *
 * Interface: `const loader = registerControlled({ entry, granularity })`, then `await loader.import()` or, for
 * another file of the graph, `await loader.import(url)`. Importing the entry by its own name works, too, until another
 * registration of the same entry. Hooks belong to the thread that registers.
 */
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { isAbsolute, relative, resolve as resolvePath, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Memory } from "atomics-sync/memory";
import { OutsideSubset } from "./errors.ts";
import { crawl, parseModule } from "./graph.ts";
import type { Scan } from "./scan.ts";
import { columnOf, lineOf, type SourceFile } from "./source.ts";
import { closeSteps } from "./steps.ts";
import { declaresMemory } from "./syntax.ts";
import { ATOMICS, type Prepared, prepare, RUNTIME, transformSource } from "./transform.ts";

/** all: every verb is a step. sync: plain reads and writes are not; the race detector watches them. */
export type Granularity = "all" | "sync";

export interface LoadOptions {
  /** Modules to start from: URLs, absolute paths, or specifiers as seen from `from`. */
  readonly entry: string | URL | readonly (string | URL)[];
  readonly granularity: Granularity;
  /** URL of the module whose imports bare specifiers stand for; default: a module in the root. */
  readonly from?: string;
  /** Overrides which files (absolute paths) are controlled; entries always are. See isControlled. */
  readonly include?: (path: string) => boolean;
  /** Folder that site paths are relative to; default: the working directory. */
  readonly root?: string;
  /** Edits a source before it is read: mutants. `path` is relative to the root, with forward slashes. */
  readonly source?: (path: string, text: string) => string;
}

export interface ControlledLoader {
  /** URL of the first entry, controlled. */
  readonly url: string;
  /** Controlled files, relative to the root. */
  readonly files: readonly string[];
  /** Functions that became coroutines. */
  readonly coroutines: number;
  readonly sites: number;
  /** "file:line:column: ..." of accesses that may be to shared memory, and are neither seen nor scheduled. */
  readonly warnings: readonly string[];
  /** Imports the first entry, or another file of the graph by URL, path or specifier, controlled. */
  import(specifier?: string | URL): Promise<unknown>;
  /** Ends the registration; modules that are loaded stay. */
  deregister(): void;
}

/** Throws OutsideSubset with everything in any file that cannot be controlled. */
export function registerControlled(options: LoadOptions): ControlledLoader {
  const registration = new Registration(options);
  const hooks = registerHooks({
    resolve: (specifier, context, next) => registration.resolve(specifier, context, next),
    load: (url, context, next) => registration.load(url, context, next),
  });
  try {
    registration.start();
  } catch (error) {
    hooks.deregister();
    throw error;
  }
  const { urls, files, coroutines, sites, warnings } = registration;
  return {
    url: urls[0] as string,
    files,
    coroutines,
    sites,
    warnings,
    import: async (specifier) => import(registration.urlOf(specifier)) as Promise<unknown>,
    deregister: () => hooks.deregister(),
  };
}

type Resolver = (specifier: string, parent: string) => string;
type ResolveHook = NonNullable<Parameters<typeof registerHooks>[0]["resolve"]>;
type LoadHook = NonNullable<Parameters<typeof registerHooks>[0]["load"]>;

const QUERY = "?controlled=";
/** A request to our own hook: only there the next resolver can be asked. */
const START = "ringside-checker:start?";
const CHECKER = folderOf("../index.ts");
const PROGRAMS = folderOf("../programs/index.ts");
const ATOMICS_SYNC = import.meta.resolve("atomics-sync/memory").replace(/[^/]*$/, "");
const RUNTIME_URL = new URL("../runtime.ts", import.meta.url).href;
const ATOMICS_URL = new URL("../atomics.ts", import.meta.url).href;
/** What Memory is made of. Memory and its subclasses are found by their declarations. */
const SEAM = /\/(?:bulk|bulk-bytes|wasm)\.[jt]s$/;
function folderOf(file: string): string {
  return new URL(".", new URL(file, import.meta.url)).href;
}

function plainUrl(url: string): string {
  const query = url.indexOf("?");
  return query < 0 ? url : url.slice(0, query);
}

const MODULE = /\.m?[jt]s$/;

const VERBS: ReadonlySet<string> = new Set(
  Object.getOwnPropertyNames(Memory.prototype).filter((name) => name !== "constructor"),
);
const QUIET = ["memcpy", "memset", "crc32c", "now", "waitAsync"];
const PLAIN = ["read", "write", "read8", "write8", "read16", "write16", "read64", "write64"];

/** The verbs that yield to the scheduler. */
export function stepVerbs(granularity: Granularity): ReadonlySet<string> {
  return VERBS.difference(new Set(granularity === "all" ? QUIET : [...QUIET, ...PLAIN]));
}

/** The methods of Memory. */
export function memoryVerbs(): ReadonlySet<string> {
  return VERBS;
}

/** By default: the program's own modules and atomics-sync, but not the checker, packages, or Memory itself. */
function isControlled(url: string): boolean {
  if (!MODULE.test(url)) return false;
  if (url.startsWith(ATOMICS_SYNC)) return !SEAM.test(url);
  if (url.startsWith(CHECKER)) return url.startsWith(PROGRAMS);
  return !url.includes("/node_modules/");
}

/** Where a program uses raw Atomics, typed arrays of other files may be over the same memory. */
function warningsOf(scans: readonly Scan[]): string[] {
  if (!scans.some(({ calls }) => calls.some((call) => call.kind === "atomic"))) return [];
  return scans.flatMap(({ file, views }) =>
    views.suspects.map(({ start, end }) => {
      const text = file.source.slice(start, end).replace(/\[.*$/s, "[...]");
      return (
        `${file.path}:${lineOf(file, start)}:${columnOf(file, start)}: ${text} is neither seen nor scheduled: ` +
        "type what is shared as Int32Array<SharedArrayBuffer>, or the like"
      );
    }),
  );
}

let registrations = 0;
let questions = 0;

class Registration {
  readonly urls: string[] = [];
  readonly files: string[] = [];
  readonly warnings: string[] = [];
  coroutines: number = 0;
  sites: number = 0;
  private readonly options: LoadOptions;
  private readonly query: string;
  private readonly root: string;
  private readonly from: string;
  private readonly code: Map<string, string> = new Map();
  private readonly entries: Set<string> = new Set();
  private question: ((resolve: Resolver) => void) | undefined;

  constructor(options: LoadOptions) {
    this.options = options;
    this.query = `${QUERY}${++registrations}`;
    this.root = resolvePath(options.root ?? ".");
    this.from = options.from ?? pathToFileURL(`${this.root}/index.js`).href;
  }

  start(): void {
    this.ask((resolve) => this.build(resolve));
  }

  /** Controlled URL of a file of the graph. */
  urlOf(specifier: string | URL | undefined): string {
    if (specifier === undefined) return this.urls[0] as string;
    let url = "";
    this.ask((resolve) => (url = resolve(this.toUrl(specifier), this.from)));
    if (!this.code.has(url)) throw new Error(`${String(specifier)} is not among the controlled files`);
    return url + this.query;
  }

  /** The resolvers behind a hook are to be had inside it only, so this goes through our own. */
  private ask(question: (resolve: Resolver) => void): void {
    const failures: unknown[] = [];
    this.question = (resolve) => {
      try {
        question(resolve);
      } catch (error) {
        failures.push(error);
      }
    };
    // A new name each time, or the answer might come from a cache.
    import.meta.resolve(`${START}${++questions}`);
    this.question = undefined;
    // import.meta.resolve itself would forgive missing files.
    if (failures.length > 0) throw failures[0];
  }

  resolve: ResolveHook = (specifier, context, next) => {
    if (this.question && specifier.startsWith(START)) {
      this.question((wanted, parentURL) => plainUrl(next(wanted, { ...context, parentURL }).url));
      return { url: "data:text/javascript,", shortCircuit: true };
    }
    // Whoever says which twin it wants gets that.
    if (specifier.includes(QUERY)) return next(specifier, context);
    const ours = context.parentURL?.endsWith(this.query) === true;
    if (ours && specifier === RUNTIME) return { url: RUNTIME_URL, shortCircuit: true };
    if (ours && specifier === ATOMICS) return { url: ATOMICS_URL, shortCircuit: true };
    const resolved = next(specifier, context);
    if (!ours && context.parentURL?.includes(QUERY)) return resolved;
    const url = plainUrl(resolved.url);
    if (!(ours ? this.code : this.entries).has(url)) return resolved;
    return { ...resolved, url: url + this.query };
  };

  load: LoadHook = (url, context, next) => {
    const source = url.endsWith(this.query) ? this.code.get(plainUrl(url)) : undefined;
    if (source === undefined) return next(url, context);
    const format = /\.m?ts\?/.test(url) ? "module-typescript" : "module";
    return { format, source, shortCircuit: true };
  };

  private build(resolve: Resolver): void {
    const { entry, granularity, include } = this.options;
    const wanted = (Array.isArray(entry) ? entry : [entry]) as (string | URL)[];
    for (const one of wanted) this.entries.add(resolve(this.toUrl(one), this.from));
    const files = crawl([...this.entries], {
      resolve,
      include: (url) => (include ? include(fileURLToPath(url)) : isControlled(url)),
      open: (url) => this.open(url),
    });
    const prepared = new Map<string, Prepared>();
    for (const [url, file] of files) prepared.set(url, prepare(file, VERBS));
    const steps = closeSteps([...prepared.values()], VERBS, stepVerbs(granularity));
    const refusals = [...prepared].flatMap(([url, file]) => {
      const transformed = transformSource(file, steps);
      this.code.set(url, transformed.code);
      this.files.push(file.file.path);
      this.coroutines += transformed.coroutines;
      this.sites += transformed.sites.length;
      return transformed.refusals;
    });
    if (refusals.length > 0) throw new OutsideSubset(refusals);
    this.warnings.push(...warningsOf([...prepared.values()]));
    this.urls.push(...[...this.entries].map((url) => url + this.query));
  }

  private open(url: string): SourceFile | undefined {
    const path = fileURLToPath(url);
    const name = relative(this.root, path).split(sep).join("/");
    const text = readFileSync(path, "utf8");
    const file = parseModule(name, this.options.source?.(name, text) ?? text);
    return url.startsWith(ATOMICS_SYNC) && declaresMemory(file) ? undefined : file;
  }

  private toUrl(specifier: string | URL): string {
    if (typeof specifier !== "string") return specifier.href;
    return isAbsolute(specifier) ? pathToFileURL(specifier).href : specifier;
  }
}
