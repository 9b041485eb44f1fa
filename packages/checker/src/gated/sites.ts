/**
 * Sites of untransformed code: who called a verb is read off the stack. Numbers are the thread's own, 1 ... n in the
 * order of appearance; each new one is told once, with its file and line.
 */
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import type { Site } from "../runtime.ts";
import { type SiteOf, VERBS } from "./memory.ts";

type Frames = NodeJS.CallSite[];

const frames = (_error: Error, sites: Frames): Frames => sites;

/** `tell` hears of site number `id` before anybody uses it. */
export function siteReader(tell: (id: number, site: Site) => void): SiteOf {
  const known = new Map<string, Map<number, number>>();
  let last = 0;
  return (kind) => {
    const verb = VERBS[kind];
    const frame = verb === undefined ? undefined : callerOf(verb);
    if (frame === undefined) return 0;
    const script = frame.getScriptNameOrSourceURL() ?? "?";
    let places = known.get(script);
    if (places === undefined) known.set(script, (places = new Map()));
    const position = frame.getPosition();
    const seen = places.get(position);
    if (seen !== undefined) return seen;
    places.set(position, ++last);
    tell(last, {
      file: script.startsWith("file:")
        ? relative(process.cwd(), fileURLToPath(script)).replaceAll("\\", "/")
        : script,
      line: frame.getLineNumber() ?? 0,
      column: frame.getColumnNumber() ?? 0,
      name: frame.getFunctionName() ?? "?",
    });
    return last;
  };
}

/** The frame that called `verb`; 1 microsecond. */
function callerOf(verb: (...args: never[]) => unknown): NodeJS.CallSite | undefined {
  // oxlint-disable-next-line typescript/unbound-method -- a function V8 calls, with no receiver
  const { stackTraceLimit, prepareStackTrace } = Error;
  Error.stackTraceLimit = 1;
  Error.prepareStackTrace = frames;
  const holder: { stack?: unknown } = {};
  Error.captureStackTrace(holder, verb);
  const [frame] = holder.stack as Frames;
  Error.stackTraceLimit = stackTraceLimit;
  Error.prepareStackTrace = prepareStackTrace;
  return frame;
}
