import { describe, expect, it } from "vitest";
import { Execution } from "../execution.ts";
import { explore } from "../explore.ts";
import type { Program } from "../program.ts";
import { RandomWalk } from "../strategy/random.ts";
import { hand, lostUpdate, X } from "../testing/hand.ts";
import { columnsOf } from "./columns.ts";
import { explainFailure, type Failure } from "./failure.ts";
import { FAILURE_SCHEMA, failureJson } from "./json.ts";
import { nearestPassing } from "./nearest.ts";
import { record } from "./record.ts";
import { renderFailure } from "./render.ts";
import { shrink } from "./shrink.ts";
import { sliceOf } from "./slice.ts";
import {
  abba,
  bank,
  describePlace,
  fault,
  messagePassing,
  useAfterFree,
  wrongPrograms,
} from "./testing/programs.ts";
import { schemaErrors } from "./testing/schema.ts";
import { replayRecord } from "./token-replay.ts";
import { decodeToken } from "./token.ts";
import { isFold, type TraceOp, traceOf } from "./trace.ts";

function explained(program: Program, seed: number = 3): { failure: Failure; execution: Execution } {
  const execution = new Execution(program);
  const { failure: failed } = explore(execution, new RandomWalk(seed), { executions: 20_000 });
  const subject = { program: program.name };
  const failure = explainFailure({
    execution,
    failed: failed!,
    subject,
    describe: describePlace,
    strategy: "random",
  });
  return { failure, execution };
}

describe("a failure record", () => {
  const all = wrongPrograms().map((program) => ({ program, ...explained(program) }));

  it("keeps its format: the schema, and the first five keys in order", () => {
    for (const { failure } of all) {
      const json = JSON.parse(failureJson(failure)) as object;
      expect(schemaErrors(FAILURE_SCHEMA, json)).toEqual([]);
      expect(Object.keys(json).slice(0, 5)).toEqual([
        "kind",
        "message",
        "replay",
        "contextSwitches",
        "trace",
      ]);
    }
    const { kind: _, ...headless } = all[0]!.failure;
    expect(schemaErrors(FAILURE_SCHEMA, { ...headless, surplus: 1, switchPoints: -1 })).toEqual([
      "$.kind: missing",
      "$.switchPoints: below 0",
      "$.surplus: not known",
    ]);
  });

  it("replays by its token as the same failure, elsewhere", () => {
    for (const { failure, program } of all) {
      const replayed = replayRecord(new Execution(program), decodeToken(failure.replay));
      expect(replayed).toMatchObject({ exact: true, same: true });
      expect(replayed.outcome.finding?.kind).toBe(failure.kind);
    }
  });

  it("has a passing execution beside it whose token passes", () => {
    for (const { failure, program } of all) {
      const token = decodeToken(failure.passing!.replay);
      const replayed = replayRecord(new Execution(program), token);
      expect(token.kind).toBe("pass");
      expect(replayed).toMatchObject({ exact: true, same: true });
      expect(replayed.outcome.finding).toBeUndefined();
    }
  });

  it("fits the width it is given, says what first and how to replay it last", () => {
    for (const { failure } of all) {
      for (const width of [100, 120]) {
        const lines = renderFailure(failure, { width }).split("\n");
        expect(lines[0]).toContain(failure.kind);
        expect(lines.at(-1)).toBe(`replay: ringside replay ${failure.replay}`);
        for (const line of lines.slice(0, -1)) expect(line.length).toBeLessThanOrEqual(width);
      }
    }
  });

  it("says nondeterminism when the schedule does something else the second time", () => {
    let runs = 0;
    const program: Program = {
      name: "moody",
      before: () => runs++,
      threads: [
        (memory, thread) =>
          hand(function* (m): Generator<unknown, void> {
            void (m.$write(X, runs, 0) && (yield), m.$go());
            thread.assert(runs !== 5, "five");
          })(memory, thread),
      ],
    };
    const { failure } = explained(program);
    expect(failure).toMatchObject({ kind: "nondeterminism", passing: null });
    expect(failure.message).toMatch(/at step 1, t0 reads or writes other values the second time$/);
  });
});

describe("the nearest passing execution", () => {
  it("of a lost update lets the first finish, and says which read it changes", () => {
    const { failure } = explained(lostUpdate());
    expect(failure.passing?.story).toMatch(
      /goes on for 1 switch point more before t\d runs: then "t\d: write x = 1" comes/,
    );
    expect(failure.passing?.read).toMatch(
      /: read x saw 0, as it was at the start; when it passes, 1, written by t\d/,
    );
  });

  it("of a use after free puts the read before the free", () => {
    const { failure } = explained(useAfterFree(8));
    expect(failure.passing?.story).toContain(
      'then "reader: read 0x800 = 42 (bank.ts:41)" comes before "writer: free',
    );
  });

  it("of an injected fault is the same order without the fault", () => {
    const { failure } = explained(fault());
    expect(failure.passing).toMatchObject({
      story: "It passes when no fault is injected.",
      runs: failure.runs,
    });
  });

  it("is not there when every order fails", () => {
    const program: Program = {
      name: "hopeless",
      threads: [
        (memory, thread) =>
          hand(function* (m): Generator<unknown, void> {
            void (m.$write(X, 1, 0) && (yield), m.$go());
            thread.fail("always");
          })(memory, thread),
      ],
    };
    const { failure } = explained(program);
    expect(failure.passing).toBeNull();
    expect(renderFailure(failure)).toContain("No schedule near it passes.");
  });

  it("of one context switch says so in the singular", () => {
    const { failure } = explained(lostUpdate());
    const measure = { from: 2, to: 1 };
    const shrunk = {
      ...failure.shrunk,
      contextSwitches: measure,
      preemptions: { from: 1, to: 1 },
      replays: 1,
    };
    const found = renderFailure({ ...failure, shrunk }, { width: 200 });
    expect(found).toMatch(/; 2 -> 1 context switch, 1 preemption, .* \(1 replay\)/);
    const two = {
      ...shrunk,
      contextSwitches: { from: 3, to: 2 },
      preemptions: { from: 0, to: 0 },
      replays: 2,
    };
    const many = renderFailure({ ...failure, shrunk: two }, { width: 200 });
    expect(many).toMatch(/; 3 -> 2 context switches, 0 preemptions, .* \(2 replays\)/);
  });

  it("is no farther than one step where one step is enough", () => {
    for (const program of [lostUpdate(), messagePassing(8), bank(), abba(), useAfterFree()]) {
      const execution = new Execution(program);
      const { failure } = explore(execution, new RandomWalk(3), { executions: 20_000 });
      const passing = nearestPassing(execution, shrink(execution, failure!));
      expect(passing?.move.steps).toBe(1);
    }
  });
});

describe("the trace", () => {
  it("of a long failure shows what matters and folds the rest", () => {
    const { failure } = explained(messagePassing(40));
    const shown = failure.trace.filter((row): row is TraceOp => !isFold(row));
    const folded = failure.trace.reduce((sum, row) => sum + (isFold(row) ? row.folded : 0), 0);
    expect(shown.length).toBeLessThan(10);
    expect(shown.length + folded).toBe(failure.switchPoints);
    const places = shown.map((row) => `${row.text} ${row.site?.line}`);
    expect(places).toContain("storeRelease y = 1 3");
    expect(places).toContain("loadAcquire y = 1 8");
    expect(shown.at(-1)).toMatchObject({ failing: true, text: "read x = 0", read: 0 });
  });

  it("of a use after free shows the life of the object: alloc, free, access", () => {
    const { failure } = explained(useAfterFree(30));
    const ops = failure.trace.filter((row): row is TraceOp => !isFold(row)).map((row) => row.op);
    const life = ops.filter((op, i) => op === "alloc" || op === "free" || i === ops.length - 1);
    expect(life).toEqual(["alloc", "free", "read"]);
  });

  it("is the whole execution in order when nothing is left out", () => {
    const execution = new Execution(bank(3, 2));
    const { failure } = explore(execution, new RandomWalk(1), { executions: 1000 });
    const recording = record(execution, failure!, describePlace);
    const trace = traceOf(recording, 1000);
    const steps = trace.flatMap((row) => (isFold(row) || row.thread < 0 ? [] : [row]));
    const slice = sliceOf(recording, 10);
    expect(slice.size).toBeLessThanOrEqual(12 + 10);
    expect(steps.filter((row) => !row.quiet).map((row) => row.thread)).toEqual([...failure!.schedule]);
  });

  it("in columns is this, for two tellers and one account", () => {
    const { failure } = explained(bank());
    expect(columnsOf(failure.trace, failure.threads, 100).join("\n")).toBe(BANK);
  });
});

const BANK = `\
       teller 1                    teller 2
       --------                    --------
    0                              read x = 1000                  main bank.ts:11
    1                              write x = 998                  main bank.ts:12
    2                              read y = 0                     main bank.ts:13
                                   -- preempted --
    3  read x = 998                                               main bank.ts:11
    4  write x = 997 (was 998)                                    main bank.ts:12
    5  read y = 0                                                 main bank.ts:13
    6  write y = 1                                                main bank.ts:14
       -- ends --
    7                              write y = 2 (was 1)            main bank.ts:14
       check: read x = 997
>      check: read y = 2`;
