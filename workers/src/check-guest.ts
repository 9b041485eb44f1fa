/**
 * A user's module is a guest in the thread that searches it: what it prints goes to stderr, so that stdout stays the
 * report's, and not without end, since it runs thousands of times; `process.exit` is an error of the step it is in.
 *
 * Interface: `receive_guest()` before the module loads; `place_in(error)`, where in its files an error was thrown.
 */
import { writeSync } from "node:fs";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";

const STDERR = 2;
/** Characters of a thread's output that are shown. */
const SHOWN = 65_536;

let left = SHOWN;
let received = false;

/** Once a thread; more often does nothing. */
export function receive_guest(): void {
  if (received) return;
  received = true;
  process.stdout.write = print;
  process.stderr.write = print;
  process.exit = (code) => {
    throw new Error(`process.exit(${code ?? ""}) was called`);
  };
}

/** At once: the streams of a thread wait for its event loop, and a search does not come back to that. */
function print(chunk: string | Uint8Array): boolean {
  if (left <= 0) return true;
  const text = typeof chunk === "string" ? chunk : Buffer.from(chunk).toString();
  left -= text.length;
  const end = left > 0 ? "" : "\n(no more of what the program prints is shown)\n";
  try {
    writeSync(STDERR, text.slice(0, left + text.length) + end);
  } catch {
    // A reader that is slow or gone: what a program prints is not worth its search.
  }
  return true;
}

/** " (file:line)" of the first frame of the user's files; "" if there is none. */
export function place_in(error: unknown): string {
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  const frame = /(file:[^\s()]+)\?controlled=\d+:(\d+):\d+/.exec(stack);
  if (frame === null) return "";
  const [, url = "", line = ""] = frame;
  return ` (${relative("", fileURLToPath(url))}:${line})`;
}
