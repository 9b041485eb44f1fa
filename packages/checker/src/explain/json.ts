/**
 * JSON of a failure: FAILURE_SCHEMA (JSON Schema 2020-12) describes it. The record is plain data already; its order of
 * keys is part of the format: kind, message, replay, contextSwitches and trace come first.
 */
import type { Failure } from "./failure.ts";

/** One line, or indented by `indent`. */
export function failureJson(failure: Failure, indent?: number): string {
  return JSON.stringify(failure, undefined, indent);
}

const text = { type: "string" } as const;
const count = { type: "integer", minimum: 0 } as const;
const fromTo = object({ from: count, to: count });
const run = object({ thread: count, steps: { type: "integer", minimum: 1 } });
const site = object({ file: text, line: count, column: count, name: text });
const handover = { enum: ["preempted", "sleeps", "spins", "ends"] } as const;
const row = { type: "integer", minimum: -1 } as const;

const traceOp = object(
  { step: row, thread: row, op: text, place: text, text, quiet: { type: "boolean" } },
  { read: { type: "number" }, written: { type: "number" }, site, failing: { type: "boolean" }, handover },
);
const traceFold = object(
  { folded: count, threads: { type: "array", items: row }, switches: count, from: row, to: row },
  { handover },
);

export const FAILURE_SCHEMA: object = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "A failure found by the checker",
  ...object(
    {
      kind: text,
      message: text,
      replay: { type: "string", pattern: "^[A-Za-z0-9_-]+$", description: "Replay token." },
      contextSwitches: {
        ...count,
        description: "Changes of thread between steps, except where a thread had ended.",
      },
      trace: {
        type: "array",
        items: { anyOf: [traceOp, traceFold] },
        description: "The ops worth showing, in order of execution; folds stand for those left out.",
      },
      preemptions: count,
      switchPoints: count,
      where: text,
      threads: { type: "array", items: text, description: "Names; other fields say threads by index." },
      thread: { ...row, description: "-1: found by a check after the end." },
      runs: { type: "array", items: run, description: "The schedule as runs of one thread." },
      choices: { type: "array", items: count },
      passing: {
        anyOf: [
          { type: "null" },
          object({ story: text, runs: { type: "array", items: run }, replay: text }, { read: text }),
        ],
        description: "The nearest passing execution.",
      },
      shrunk: object({
        contextSwitches: fromTo,
        preemptions: fromTo,
        switchPoints: fromTo,
        replays: count,
        minimal: { type: "boolean" },
      }),
      subject: { type: "object", additionalProperties: text },
    },
    { site, report: text, strategy: text, execution: count },
  ),
};

function object(required: Record<string, object>, optional: Record<string, object> = {}): object {
  return {
    type: "object",
    required: Object.keys(required),
    properties: { ...required, ...optional },
    additionalProperties: false,
  };
}
