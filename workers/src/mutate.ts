/**
 * Mutants in a running thread: a module hook that edits listed sources as this thread loads them.
 *
 * Interface: call `applyMutant(name)` before the thread imports any kernel module (import those with
 * `await import(...)` afterwards); then, once they are loaded, `assertMutantLoaded()`: a mutant that came
 * too late would pass for a kernel that survives it. Hooks belong to one thread: each worker calls for
 * itself, and so must the checker when it loads sources by its own means (mutateSource).
 */
import { registerHooks } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import { findMutant } from "@ringside/mutants/index";
import { type Mutant, mutateSource } from "@ringside/mutants/mutant";

const ROOT = new URL("../../", import.meta.url);

/** Files still to be loaded, by mutant. */
const pending = new Map<string, Set<string>>();

/** Registers the mutant's hook in this thread. A second call for the same mutant does nothing. */
export function applyMutant(name: string): void {
  registerMutant(findMutant(name));
}

/** As applyMutant, for a mutant that is not in the list. */
export function registerMutant(mutant: Mutant): void {
  if (pending.has(mutant.name)) return;
  const waiting = new Set(mutant.edits.map((edit) => edit.file));
  const files = new Map([...waiting].map((file) => [new URL(file, ROOT).href, file]));
  pending.set(mutant.name, waiting);
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      // A query makes another module of the same file.
      const file = files.get(withoutQuery(url));
      if (file === undefined || loaded.source == null) return loaded;
      const source =
        typeof loaded.source === "string" ? loaded.source : new TextDecoder().decode(loaded.source);
      const mutated = mutateSource(mutant, file, source);
      waiting.delete(file);
      return { ...loaded, source: mutated };
    },
  });
}

/** Throws unless every file of every mutant applied in this thread has been loaded through its hook. */
export function assertMutantLoaded(): void {
  for (const [name, waiting] of pending) {
    if (waiting.size === 0) continue;
    const files = [...waiting].map((file) => fileURLToPath(new URL(file, ROOT))).join(", ");
    throw new Error(`mutant ${name}: loaded before it was applied, or never loaded: ${files}`);
  }
}

function withoutQuery(url: string): string {
  return url.startsWith("file:") ? pathToFileURL(fileURLToPath(url)).href : url;
}
