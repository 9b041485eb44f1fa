/** What a thread of a machine is started with: its entry file, its environment. */
import { fileURLToPath } from "node:url";

/** Sources in the repository, compiled files when published. */
export function threadUrl(): URL {
  return new URL(import.meta.url.endsWith(".ts") ? "./thread.ts" : "./thread.js", import.meta.url);
}

/** Threads load stripped sources from a cache: a start takes a third of the time. */
export function compileCache(): Record<string, string> {
  if (
    process.env["NODE_COMPILE_CACHE"] !== undefined ||
    process.env["NODE_DISABLE_COMPILE_CACHE"] !== undefined
  )
    return {};
  // Node makes the directory, and does without where it cannot.
  return {
    NODE_COMPILE_CACHE: fileURLToPath(new URL("../../node_modules/.cache/ringside", import.meta.url)),
  };
}
