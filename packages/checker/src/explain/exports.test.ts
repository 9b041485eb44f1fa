import { describe, expect, it } from "vitest";
import { Execution } from "../execution.ts";
import { explore } from "../explore.ts";
import type { Program } from "../program.ts";
import { RandomWalk } from "../strategy/random.ts";
import { type ChromeEvent, chromeTrace } from "./chrome.ts";
import { clocksOf, seesFrom } from "./clocks.ts";
import { explainFailure, recordingOf } from "./failure.ts";
import type { Recording } from "./record.ts";
import { sarifLog } from "./sarif.ts";
import { SHIVIZ_PATTERN, shivizLog } from "./shiviz.ts";
import { describePlace, wrongPrograms } from "./testing/programs.ts";

interface Made {
  readonly recording: Recording;
  readonly sarif: Sarif;
}

/** The parts of SARIF 2.1.0 that the checks below look at. */
interface Sarif {
  readonly version: string;
  readonly runs: readonly {
    readonly tool: {
      readonly driver: { readonly name: string; readonly rules: readonly { readonly id: string }[] };
    };
    readonly results: readonly SarifResult[];
  }[];
}
interface SarifResult {
  readonly ruleId: string;
  readonly ruleIndex: number;
  readonly message: { readonly text: string };
  readonly codeFlows: readonly {
    readonly threadFlows: readonly { readonly locations: readonly SarifLocation[] }[];
  }[];
}
interface SarifLocation {
  readonly executionOrder: number;
  readonly kinds: readonly string[];
  readonly importance: string;
  readonly location: {
    readonly message: { readonly text: string };
    readonly physicalLocation?: {
      readonly artifactLocation: { readonly uri: string; readonly uriBaseId: string };
      readonly region: { readonly startLine: number; readonly startColumn: number };
    };
  };
}

function made(program: Program): Made {
  const execution = new Execution(program);
  const { failure: failed } = explore(execution, new RandomWalk(2), { executions: 20_000 });
  const failure = explainFailure({ execution, failed: failed!, subject: {}, describe: describePlace });
  return {
    // As found, not shrunk: more switches to get wrong.
    recording: recordingOf(execution, failed!, describePlace),
    sarif: JSON.parse(JSON.stringify(sarifLog([failure]))) as Sarif,
  };
}

const all = wrongPrograms().map(made);

describe("a Chrome trace", () => {
  const traces = all.map(({ recording }) => ({
    recording,
    events: chromeTrace([{ name: "failing", recording }]).traceEvents,
  }));

  it("has a slice for each op, nested or apart on its thread", () => {
    for (const { recording, events } of traces) {
      const slices = events.filter((event) => event.ph === "X");
      expect(slices).toHaveLength(recording.rows.length);
      for (const tid of new Set(slices.map((slice) => slice.tid))) {
        const open: number[] = [];
        for (const { ts, dur } of slices.filter((slice) => slice.tid === tid)) {
          const [start, end] = [ts as number, (ts as number) + (dur as number)];
          while (open.length > 0 && (open.at(-1) as number) <= start) open.pop();
          if (open.length > 0) expect(end).toBeLessThanOrEqual(open.at(-1) as number);
          open.push(end);
        }
      }
    }
  });

  it("has an end for each flow, after its start, both on a slice of their thread", () => {
    let flows = 0;
    for (const { events } of traces) {
      const starts = new Map(events.filter((e) => e.ph === "s").map((e) => [e.id, e]));
      const ends = events.filter((e) => e.ph === "f");
      expect(ends).toHaveLength(starts.size);
      for (const end of ends) {
        const start = starts.get(end.id) as ChromeEvent;
        flows++;
        expect(end.bp).toBe("e");
        expect(start.ts as number).toBeLessThan(end.ts as number);
        for (const one of [start, end]) {
          expect(events.some((e) => e.ph === "X" && e.tid === one.tid && e.ts === one.ts)).toBe(true);
        }
      }
    }
    expect(flows).toBeGreaterThan(10);
  });

  it("names its process and threads, and keeps two runs apart", () => {
    const { recording } = all[0] as Made;
    const { traceEvents } = chromeTrace([
      { name: "failing", recording },
      { name: "passing", recording },
    ]);
    const names = traceEvents
      .filter((e) => e.ph === "M" && e.name === "process_name")
      .map((e) => e.args?.["name"]);
    expect(names).toEqual(["failing", "passing"]);
    const ids = traceEvents.filter((e) => e.ph === "s").map((e) => e.id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { pid, tid, ph } of traceEvents) {
      const named = traceEvents.some((e) => e.name === "thread_name" && e.pid === pid && e.tid === tid);
      if (ph === "X") expect(named).toBe(true);
    }
  });
});

describe("a ShiViz log", () => {
  it("is read by its pattern, line pair by line pair, without a rest", () => {
    for (const { recording } of all) {
      const log = shivizLog(recording);
      const found = [...log.matchAll(new RegExp(SHIVIZ_PATTERN, "g"))];
      expect(found).toHaveLength(recording.rows.length);
      expect(log.replaceAll(new RegExp(`${SHIVIZ_PATTERN}\n`, "g"), "")).toBe("");
    }
  });

  it("has clocks that are a happens-before: a host's own entry rises by one, others say what was known", () => {
    for (const { recording } of all) {
      const events = new Map<string, number>();
      for (const { groups } of shivizLog(recording).matchAll(new RegExp(SHIVIZ_PATTERN, "g"))) {
        const { host, clock } = groups as { host: string; clock: string };
        const known = JSON.parse(clock) as Record<string, number>;
        expect(known[host]).toBe((events.get(host) ?? 0) + 1);
        events.set(host, known[host] as number);
        for (const [other, count] of Object.entries(known)) {
          expect(count).toBeLessThanOrEqual(events.get(other) ?? 0);
        }
      }
    }
  });

  it("orders a write before the read that saw it, and not two threads that never met", () => {
    let concurrent = 0;
    for (const { recording } of all) {
      const clocks = clocksOf(recording);
      for (const row of recording.rows) {
        const clock = clocks[row.index] as Int32Array;
        const from = seesFrom(row) ? recording.rows[row.from] : undefined;
        if (from !== undefined && from.thread >= 0) {
          const own = (clocks[from.index] as Int32Array)[from.thread] as number;
          expect(clock[from.thread]).toBeGreaterThanOrEqual(own);
        }
        const other = recording.rows.find((one) => one.thread >= 0 && one.thread !== row.thread);
        if (other !== undefined && clock[other.thread] === 0) concurrent++;
      }
    }
    expect(concurrent).toBeGreaterThan(10);
  });
});

describe("a SARIF log", () => {
  it("has what the schema requires", () => {
    for (const { sarif } of all) {
      expect(sarif.version).toBe("2.1.0");
      const [run] = sarif.runs;
      expect(run?.tool.driver.name).toBe("ringside");
      for (const result of run?.results ?? []) {
        expect(result.message.text).not.toBe("");
        expect(run?.tool.driver.rules[result.ruleIndex]?.id).toBe(result.ruleId);
        for (const flow of result.codeFlows) {
          expect(flow.threadFlows.length).toBeGreaterThan(0);
          for (const { locations } of flow.threadFlows) expect(locations.length).toBeGreaterThan(0);
        }
      }
    }
  });

  it("numbers the locations of all threads once each, rising within a thread", () => {
    for (const { sarif } of all) {
      const flows = sarif.runs[0]?.results[0]?.codeFlows[0]?.threadFlows ?? [];
      const orders = flows.map((flow) => flow.locations.map((location) => location.executionOrder));
      for (const order of orders) expect(order).toEqual(order.toSorted((a, b) => a - b));
      expect(new Set(orders.flat()).size).toBe(orders.flat().length);
      expect(Math.min(...orders.flat())).toBeGreaterThanOrEqual(1);
    }
  });

  it("points into the source by relative URI, line and column from 1", () => {
    const located = all.flatMap(({ sarif }) =>
      (sarif.runs[0]?.results[0]?.codeFlows[0]?.threadFlows ?? []).flatMap((flow) => flow.locations),
    );
    const physical = located.flatMap(({ location }) => location.physicalLocation ?? []);
    expect(physical.length).toBeGreaterThan(10);
    for (const { artifactLocation, region } of physical) {
      expect(artifactLocation).toEqual({ uri: "demo/bank.ts", uriBaseId: "ROOT" });
      expect(Math.min(region.startLine, region.startColumn)).toBeGreaterThanOrEqual(1);
    }
    const known = ["memory", "acquire", "release", "danger"];
    for (const { kinds, importance } of located) {
      expect(kinds.every((kind) => known.includes(kind))).toBe(true);
      expect(["essential", "important", "unimportant"]).toContain(importance);
    }
  });
});
