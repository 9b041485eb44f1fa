/** @ringside/checker: a controlled scheduler for code over shared memory and Atomics. */
export { overView } from "./atomics.ts";
export { check, type CheckOptions, checkOn, replay, type Report } from "./check.ts";
export { Execution, type ExecutionOptions, type Outcome } from "./execution.ts";
export { type Budget, type Exploration, explore } from "./explore.ts";
export type { Monitor } from "./monitor.ts";
export type { Program, ThreadBody, ThreadContext, ThreadSpec } from "./program.ts";
export type { Strategy } from "./strategy.ts";
export { makeStrategy, STRATEGY_NAMES } from "./strategy/index.ts";
