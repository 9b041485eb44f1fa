/** The detectors by name, and the monitors to switch on. Assertions, crashes and deadlocks are always found. */
import type { Monitor } from "../monitor.ts";
import { History } from "./history.ts";
import { HappensBefore, type HappensBeforeOptions } from "./race.ts";
import { Timeouts } from "./timeouts.ts";

export { checkDeterminism, type Determinism } from "./nondeterminism.ts";
export { kindOfWarning } from "./warnings.ts";

export interface DetectOptions extends HappensBeforeOptions {
  /** Report executions that only a time-out got going; default false. Not with eager time-outs. */
  readonly timeouts?: boolean;
  /** Keep the last ops, so that deadlocks can be told with their story; default true. */
  readonly history?: boolean;
}

type DetectorName = "races" | "lifetime" | "leaks" | "timeouts" | "history";

/** Summaries for help texts, with what is on by default. */
export const DETECTORS: Readonly<Record<DetectorName, { readonly summary: string; readonly on: boolean }>> = {
  races: { summary: "data races, by the orders the code declares", on: true },
  lifetime: { summary: "use after free, also predicted from an unordered free; double free", on: true },
  leaks: { summary: "objects that threads allocated and nobody freed", on: false },
  timeouts: { summary: "executions that only a time-out got going", on: false },
  history: { summary: "the story behind deadlocks, lost wake-ups and livelocks", on: true },
};

export const DETECTOR_NAMES: readonly string[] = Object.keys(DETECTORS);

/**
 * Monitors hold the state of one execution: make new ones for each Execution. Options, or the names of the detectors to
 * switch on, and no others. Throws RangeError for an unknown name.
 */
export function defaultMonitors(detect: DetectOptions | readonly string[] = {}): Monitor[] {
  const options = isList(detect) ? onlyThose(detect) : detect;
  const isOn = (name: DetectorName): boolean => options[name] ?? DETECTORS[name].on;
  const monitors: Monitor[] = [];
  if (isOn("history")) monitors.push(new History());
  if (isOn("races") || isOn("lifetime") || isOn("leaks")) {
    const lifetime = isOn("lifetime") || isOn("leaks");
    monitors.push(new HappensBefore({ ...options, lifetime }));
  }
  if (isOn("timeouts")) monitors.push(new Timeouts());
  return monitors;
}

/** The options of `--detect a,b` and `--no-detect c`: lists of names. Throws RangeError for an unknown name. */
export function detectOptions(on: readonly string[], off: readonly string[]): DetectOptions {
  const options: Partial<Record<DetectorName, boolean>> = {};
  for (const name of [...on, ...off]) {
    if (!isDetector(name))
      throw new RangeError(`unknown detector ${name}: expected ${DETECTOR_NAMES.join(", ")}`);
    options[name] = !off.includes(name);
  }
  return options;
}

function isList(detect: DetectOptions | readonly string[]): detect is readonly string[] {
  return Array.isArray(detect);
}

function onlyThose(names: readonly string[]): DetectOptions {
  return detectOptions(
    names,
    DETECTOR_NAMES.filter((name) => !names.includes(name)),
  );
}

function isDetector(name: string): name is DetectorName {
  return DETECTOR_NAMES.includes(name);
}
