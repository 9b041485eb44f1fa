/**
 * For tests of the loader: sources written to a folder of their own, loaded natively and controlled, and a Memory
 * that yields at every step and writes down which.
 */
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { createSharedMemory, Memory } from "atomics-sync/memory";
import { $isCo, siteOf } from "../../runtime.ts";
import { type ControlledLoader, type LoadOptions, memoryVerbs, registerControlled } from "../load.ts";

type Verb = (this: Memory, ...args: unknown[]) => unknown;

/** Has `$verb`, `$go` and `at`, as transformed code wants them. */
export class TracingMemory extends Memory {
  /** "write@f:3": verb, function and line of each step, in order. */
  readonly steps: string[] = [];
  /** The same of verbs that are no steps. */
  readonly quiet: string[] = [];
  private pending: (() => unknown) | undefined;

  constructor() {
    super(createSharedMemory(65536));
  }

  publish(verb: string, args: unknown[]): boolean {
    const { name, line } = siteOf(args.pop() as number);
    this.steps.push(`${verb}@${name}:${line}`);
    this.pending = () => (Memory.prototype[verb as keyof Memory] as unknown as Verb).apply(this, args);
    return true;
  }
  $go(): unknown {
    return this.pending?.();
  }
  at(site: number): this {
    const { name, line } = siteOf(site);
    this.quiet.push(`${name}:${line}`);
    return this;
  }
}

for (const verb of memoryVerbs()) {
  Object.defineProperty(TracingMemory.prototype, `$${verb}`, {
    value(this: TracingMemory, ...args: unknown[]): boolean {
      return this.publish(verb, args);
    },
  });
}

/** Runs a coroutine to its end, whatever it yields; a plain value passes through. */
export function drive(value: unknown): unknown {
  if (!$isCo(value)) return value;
  for (;;) {
    const { done, value: result } = value.next();
    if (done === true) return result;
  }
}

export interface Folder {
  readonly path: string;
  url(name: string): string;
  load(entry: string, options?: Partial<LoadOptions>): ControlledLoader;
  remove(): void;
}

/** Writes files, by name, to a fresh folder below the system's temporary one. */
export function writeFolder(files: Readonly<Record<string, string>>): Folder {
  const path = realpathSync(mkdtempSync(join(tmpdir(), "checker-")));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  const url = (name: string): string => pathToFileURL(join(path, name)).href;
  return {
    path,
    url,
    load: (entry, options) =>
      registerControlled({ entry: url(entry), granularity: "all", root: path, ...options }),
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}

export interface Outcome {
  readonly result: unknown;
  /** The first eight words of memory. */
  readonly words: readonly number[];
}

type Main = (memory: Memory) => unknown;

/** Calls `main(memory)` of an entry natively, and as a coroutine. */
export async function runBothWays(
  source: string,
  options?: Partial<LoadOptions>,
): Promise<{ native: Outcome; controlled: Outcome; memory: TracingMemory }> {
  const folder = writeFolder({ "main.ts": source });
  try {
    const plain = (await import(folder.url("main.ts"))) as { main: Main };
    const native = new Memory(createSharedMemory(65536));
    const first = { result: plain.main(native), words: wordsOf(native) };
    const loader = folder.load("main.ts", options);
    const module = (await loader.import()) as { main: Main };
    const memory = new TracingMemory();
    const second = { result: drive(module.main(memory)), words: wordsOf(memory) };
    loader.deregister();
    return { native: first, controlled: second, memory };
  } finally {
    folder.remove();
  }
}

function wordsOf(memory: Memory): number[] {
  return Array.from({ length: 8 }, (_, i) => Memory.prototype.read.call(memory, i * 4));
}
