/** What may be asked of the checker from outside, and what comes back: plain data, for a command line or a page. */
import { type DetectOptions, detectOptions } from "@ringside/checker/detect/index";
import type { Failure } from "@ringside/checker/explain/failure";
import type { Checkpoint } from "@ringside/checker/strategy/checkpoint";
import type { Shard } from "@ringside/checker/strategy/shard";
import type { Variant } from "@ringside/core/mm/memory-map";

/** A check scenario of this repository. */
export interface ScenarioTarget {
  readonly scenario: string;
  readonly form?: string;
  readonly variant?: Variant;
  readonly mutant?: string;
}

/** Programs of a user's module. */
export interface ModuleTarget {
  /** Path of the module, as the user gave it. */
  readonly module: string;
  /** One of its programs. */
  readonly program: string;
}

export type CheckTarget = ScenarioTarget | ModuleTarget;

export interface CheckRequest {
  readonly target: CheckTarget;
  readonly strategy: string;
  readonly seed: number;
  /** Executions at most, over all jobs. */
  readonly executions?: number;
  /** Seconds at most. */
  readonly seconds?: number;
  /** The part of the search that is asked for; the jobs deal it out among them. */
  readonly shard: Shard;
  readonly jobs: number;
  readonly timeouts?: "lazy" | "eager";
  /** Detectors to switch on or off. */
  readonly detect?: DetectOptions;
  /** Formats to export the failure in. */
  readonly exports: readonly string[];
  /** Where an earlier search of the same request stopped. */
  readonly resume?: CheckState;
}

/** A search, stopped: plain JSON. */
export interface CheckState {
  readonly version: number;
  readonly target: CheckTarget;
  readonly strategy: string;
  readonly seed: number;
  readonly shard: Shard;
  /** Where each job stands; null: at its start. */
  readonly jobs: readonly (Checkpoint | null)[];
}

export type Verdict = "pass" | "fail" | "proved";

/** The JSON document of `ringside check`. Rates are over all jobs; seconds are of the clock, loading left out. */
export interface CheckReport {
  readonly scenario: string;
  readonly variant: string | null;
  readonly strategy: string;
  readonly executions: number;
  readonly steps: number;
  readonly seconds: number;
  readonly executionsPerSecond: number;
  readonly verdict: Verdict;
  readonly failure: Failure | null;
  readonly form: string | null;
  readonly mutant: string | null;
  readonly seed: number;
  readonly jobs: number;
  /** "2/8"; null for the whole search. */
  readonly shard: string | null;
  /** Executions that differ, of a search that came to its end. */
  readonly classes: number | null;
  /** What a proof rests on. */
  readonly assumptions: readonly string[];
  /** Why a search that came to its end proves nothing, or only for its shard. */
  readonly reasons: readonly string[];
  /** Executions of the whole search, where that can be told. */
  readonly estimate: number | null;
  /** Executions that the step limit bent. */
  readonly truncated: number;
  /** What the form is there to show: "clean" or a kind of failure. */
  readonly expected: string | null;
  readonly interrupted: boolean;
}

export interface CheckProgress {
  readonly executions: number;
  readonly steps: number;
  readonly seconds: number;
  /** Executions of the whole search, estimated; 0: not known. */
  readonly estimate: number;
  readonly loading: boolean;
}

/** A request that cannot be met: unknown names, sources that cannot be loaded. One message for the user. */
export class CheckUsageError extends Error {
  override readonly name: string = "CheckUsageError";
}

/** Ctrl-C before there was anything to report. */
export class CheckInterrupted extends Error {
  override readonly name: string = "CheckInterrupted";
}

export function is_module(target: CheckTarget): target is ModuleTarget {
  return "module" in target;
}

/** What the target is called in reports. */
export function target_name(target: CheckTarget): string {
  return is_module(target) ? `${target.module}#${target.program}` : target.scenario;
}

/** The target as a replay token keeps it. */
export function subject_of(target: CheckTarget): Record<string, string> {
  const entries = Object.entries(target).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return Object.fromEntries(entries);
}

/** Detectors that were switched, for a replay token: what they find is not found again without. */
export function detect_subject(detect: DetectOptions | undefined): Record<string, string> {
  const names = Object.entries(detect ?? {}).map(([name, on]) => (on === true ? name : `no-${name}`));
  return names.length === 0 ? {} : { detect: names.join(",") };
}

/** Of a replay token. */
export function detect_of(subject: Readonly<Record<string, string>>): DetectOptions {
  return subject["detect"] === undefined ? {} : detect_list(subject["detect"]);
}

/** "leaks,no-races". Throws RangeError for an unknown name. */
export function detect_list(text: string): DetectOptions {
  const names = text.split(",").map((name) => name.trim());
  return detectOptions(
    names.filter((name) => !name.startsWith("no-")),
    names.filter((name) => name.startsWith("no-")).map((name) => name.slice("no-".length)),
  );
}

/** Of a replay token. Throws CheckUsageError if it names nothing that can be loaded here. */
export function target_of(subject: Readonly<Record<string, string>>): CheckTarget {
  const { module, program, scenario, form, variant, mutant } = subject;
  if (module !== undefined && program !== undefined) return { module, program };
  if (scenario === undefined) {
    throw new CheckUsageError(
      "the replay token is of a program that was checked by its own code: replay it there",
    );
  }
  return {
    scenario,
    ...(form === undefined ? {} : { form }),
    ...(variant === undefined ? {} : { variant: variant as Variant }),
    ...(mutant === undefined ? {} : { mutant }),
  };
}
