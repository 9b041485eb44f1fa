/** What a thread of a machine is started with: its entry file, its environment. */
import { fileURLToPath } from "node:url";

/** Sources in the repository, compiled files when published. */
export function threadUrl(): URL {
  return new URL(import.meta.url.endsWith(".ts") ? "./thread.ts" : "./thread.js", import.meta.url);
}

/** Stripped sources are kept here: loading them again takes a third of the time. Node makes it, or does without. */
export const COMPILE_CACHE: string = fileURLToPath(
  new URL("../../node_modules/.cache/ringside", import.meta.url),
);

/** So that threads load from the cache. */
export function compileCache(): Record<string, string> {
  if (
    process.env["NODE_COMPILE_CACHE"] !== undefined ||
    process.env["NODE_DISABLE_COMPILE_CACHE"] !== undefined
  )
    return {};
  return { NODE_COMPILE_CACHE: COMPILE_CACHE };
}
