/**
 * Regressions: failures the checker once found, each with the replay token of its shrunk execution. A test repeats
 * them, 100 times of 100.
 *
 * A token holds the thread of each step. It survives edits that move lines and addresses; it is stale once a thread
 * makes other steps on its way to the failure: other synchronising accesses in the files of the scenario's focus,
 * another sleep or wake-up anywhere, other threads. `node bench/refresh-regressions.ts --write` finds the failures anew
 * and writes the list, regressions.json.
 */
import { readFileSync } from "node:fs";
import type { Variant } from "@ringside/core/mm/memory-map";

export interface Regression {
  readonly name: string;
  readonly scenario: string;
  readonly form: string;
  /** Of the sources; for forms that have one. */
  readonly variant?: Variant;
  readonly kind: string;
  readonly message: string;
  readonly token: string;
}

/** A message with what an edit elsewhere may change taken out: addresses, and lines of files. */
export function lasting(message: string): string {
  return message.replace(/0x[0-9a-f]+/g, "0x#").replace(/\.ts:\d+/g, ".ts");
}

export const REGRESSIONS_FILE: URL = new URL("regressions.json", import.meta.url);

export const REGRESSIONS: readonly Regression[] = JSON.parse(readFileSync(REGRESSIONS_FILE, "utf8"));
