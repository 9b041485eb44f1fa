/**
 * Where import statements lead, found once a process. A thread loads some 220 modules through 1,200 import
 * statements, and searching their files is half of its start; the first one records what it found, the
 * others look it up.
 *
 * Interface: in a thread, before the kernel's modules load: `use_resolutions(recorded)` or
 * `record_resolutions()`; the host keeps what a recording thread hands over.
 */
import { registerHooks, type ResolveFnOutput } from "node:module";

/** By importing module, then by specifier. */
type Resolutions = Record<string, Record<string, ResolveFnOutput>>;

/** Files only: built-in modules are found at once. */
function is_file(url: string | undefined): url is string {
  return url?.startsWith("file:") === true;
}

/** Records from here on; the function returned tells what was found, as text that threads share cheaply. */
export function record_resolutions(): () => string {
  const found: Resolutions = {};
  registerHooks({
    resolve(specifier, context, nextResolve) {
      const result = nextResolve(specifier, context);
      if (is_file(context.parentURL) && is_file(result.url)) {
        found[context.parentURL] ??= {};
        (found[context.parentURL] as Record<string, ResolveFnOutput>)[specifier] = {
          url: result.url,
          ...(result.format == null ? {} : { format: result.format }),
          shortCircuit: true,
        };
      }
      return result;
    },
  });
  return () => JSON.stringify(found);
}

/** Looks imports up in `recorded` from here on; what is missing there is searched as always. */
export function use_resolutions(recorded: string): void {
  const known = JSON.parse(recorded) as Resolutions;
  registerHooks({
    resolve(specifier, context, nextResolve) {
      return known[context.parentURL ?? ""]?.[specifier] ?? nextResolve(specifier, context);
    },
  });
}
