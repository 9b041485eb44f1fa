/** Jobs of the checker's pool and their answers: plain data that crosses threads. */
import type { Report } from "@ringside/checker/check";
import type { DetectOptions } from "@ringside/checker/detect/index";
import type { Failure } from "@ringside/checker/explain/failure";
import type { Pulse } from "@ringside/checker/pulse";
import type { Checkpoint } from "@ringside/checker/strategy/checkpoint";
import type { Shard } from "@ringside/checker/strategy/shard";
import type { CheckTarget } from "./check-request.ts";
import type { LoadedTarget } from "./check-target.ts";

interface JobBase {
  /** Tells messages of one job from those of another. */
  readonly id: number;
  /** Of its Pulse. */
  readonly pulse: Pulse["buffer"];
  readonly exports: readonly string[];
}

export interface SearchJob extends JobBase {
  readonly kind: "search";
  readonly target: CheckTarget;
  readonly strategy: string;
  readonly seed: number;
  readonly shard: Shard;
  readonly executions?: number;
  readonly seconds?: number;
  readonly timeouts?: "lazy" | "eager";
  readonly detect?: DetectOptions;
  readonly resume?: Checkpoint;
}

export interface ReplayJob extends JobBase {
  readonly kind: "replay";
  readonly target: CheckTarget;
  readonly token: string;
  readonly times: number;
}

/** Which programs does a module have? */
export interface LookJob extends JobBase {
  readonly kind: "look";
  readonly module: string;
}

export type CheckJob = SearchJob | ReplayJob | LookJob;

export type Loaded = Omit<LoadedTarget, "program">;

export interface ExportText {
  readonly format: string;
  readonly text: string;
}

export type CheckJobAnswer =
  | { readonly kind: "usage"; readonly message: string }
  | { readonly kind: "look"; readonly programs: readonly string[] }
  | {
      readonly kind: "search";
      readonly report: Report;
      readonly loaded: Loaded;
      readonly exports: readonly ExportText[];
      /** Executions of the whole search, estimated; 0: not known. */
      readonly estimate: number;
    }
  | {
      readonly kind: "replay";
      /** How many replays there were: fewer than wanted, if it was interrupted. */
      readonly times: number;
      /** How many of the replays failed as the token says. */
      readonly same: number;
      /** How many did the same ops with the same results. */
      readonly exact: number;
      /** What is otherwise than when the token was made. */
      readonly changed: string | null;
      readonly failure: Failure | null;
      readonly exports: readonly ExportText[];
    };

/** What a job says while it runs: names for the numbers in its Pulse, and where its search stands. */
export type CheckJobMessage =
  | {
      readonly job: number;
      readonly sites: readonly string[];
      readonly threads: readonly string[];
    }
  | {
      readonly job: number;
      readonly state: Checkpoint;
    };
