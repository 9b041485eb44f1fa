/** The gated back-end: real threads do, step by step, what coroutines do; and none of them gets away. */
import { describe, expect, test } from "vitest";
import { Execution } from "../execution.ts";
import { explore } from "../explore.ts";
import { RandomWalk } from "../strategy/random.ts";
import { GatedThreads, loadProgram } from "./index.ts";
import { firstDifference, PROGRAMS, traced } from "./testing/compare.ts";

async function gatedExecution(
  name: string,
  options: { watchdogSeconds?: number } = {},
): Promise<{ execution: Execution; gated: GatedThreads }> {
  const program = { url: PROGRAMS, name };
  const gated = new GatedThreads({ program, ...options });
  return { execution: new Execution(await loadProgram(program), { start: gated.start }), gated };
}

describe("both back-ends execute the same steps with the same results under the same schedule", () => {
  test.for([
    ["lostUpdate", 200],
    ["messagePassing", 200],
    ["futexMutex", 100],
    ["ring", 25],
    ["stuck", 100],
    ["verbs", 100],
  ] as const)("%s, %i random schedules", async ([name, schedules]) => {
    expect(await firstDifference(name, schedules)).toBeUndefined();
  });

  test.for([
    ["stuck", "a read-modify-write that adds too little"],
    ["messagePassing", "a load that is one off"],
  ] as const)("a falsified verb is noticed on %s: %s", async ([name]) => {
    const falsified = { url: new URL("./testing/falsified.ts", import.meta.url).href, name: "Falsified" };
    expect(await firstDifference(name, 50, falsified)).toBeDefined();
  });
});

test("the lost update is found on real threads, and its sites are lines of the source as it stands", async () => {
  const { execution, gated } = await gatedExecution("lostUpdate");
  try {
    const { failure } = explore(execution, new RandomWalk(1), { executions: 100 });
    expect(failure?.outcome.finding?.message).toBe("x is 1, not 2");
    const { trace } = traced(execution, 1, 0);
    expect(trace[0]).toMatch(/^[01] read 256 = 0 at .*gated\/testing\/programs\.ts:\d+$/);
  } finally {
    await gated.close();
  }
});

test("threads thrown out in the middle change nothing any more and start afresh", async () => {
  const { execution, gated } = await gatedExecution("stuck");
  try {
    const kinds = new Set<string | undefined>();
    explore(execution, new RandomWalk(1), {
      executions: 200,
      keepGoing: true,
      each: (outcome) => kinds.add(outcome.finding?.kind),
    });
    expect([...kinds].map(String).toSorted()).toEqual(["crash", "deadlock"]);
    // The finally of the thread that was thrown out writes FLAG: not in an execution that was given up.
    expect(execution.world.wordAt(768)).toBe(0);
  } finally {
    await gated.close();
  }
});

test.for([
  ["outside", "rebel"],
  ["endless", "spinner"],
] as const)(
  "a thread that does not come back (%s) is named with its last op, and replaced",
  async ([name, thread]) => {
    const { execution, gated } = await gatedExecution(name, { watchdogSeconds: 0.3 });
    try {
      const findings: string[] = [];
      const each = (outcome: { finding: { kind: string; message: string } | undefined }): void => {
        findings.push(
          outcome.finding === undefined ? "fine" : `${outcome.finding.kind} ${outcome.finding.message}`,
        );
      };
      explore(execution, new RandomWalk(2), { executions: 6, keepGoing: true, each });
      const caught = findings.filter((text) => text !== "fine");
      expect(caught[0]).toMatch(
        new RegExp(
          `^step-limit ${thread}: the step after fetchAdd at 256, .*programs\\.ts:\\d+\\), did not end`,
        ),
      );
      // It goes on with another worker in its place.
      expect(findings.slice(findings.indexOf(caught[0] as string) + 1)).toContain("fine");
    } finally {
      await gated.close();
    }
  },
);

test("a thread that reaches past the verbs of Memory is refused", async () => {
  const { execution, gated } = await gatedExecution("raw");
  try {
    const { failure } = explore(execution, new RandomWalk(1), { executions: 1 });
    expect(failure?.outcome.finding?.message).toMatch(/by the verbs of Memory only/);
  } finally {
    await gated.close();
  }
});

test("a program that is not there is an error that says what the module has", async () => {
  await expect(loadProgram({ url: PROGRAMS, name: "nothing" })).rejects.toThrow(
    /exports no nothing; it has .*ring/,
  );
  await expect(
    loadProgram({ url: new URL("./compare.ts", PROGRAMS).href, name: "PROGRAMS" }),
  ).rejects.toThrow("is no Program");
});
