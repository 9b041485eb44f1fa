/** Failures found once, by their replay tokens. See regressions.ts for what to do when one does not repeat. */
import { fileURLToPath } from "node:url";
import { defaultMonitors } from "@ringside/checker/detect/index";
import { Execution } from "@ringside/checker/execution";
import { headline } from "@ringside/checker/explain/story";
import { decodeToken, type ReplayRecord } from "@ringside/checker/explain/token";
import { type Replayed, replayRecord } from "@ringside/checker/explain/token-replay";
import type { Program } from "@ringside/checker/program";
import { registerControlled } from "@ringside/checker/transform/load";
import { CORRECT, type KernelForm } from "@ringside/scenarios/check/scenario";
import { describe, expect, test } from "vitest";
import { loadScenario } from "./load.ts";
import { lasting, type Regression, REGRESSIONS } from "./regressions.ts";

const TIMES = 100;
const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const INDEX = "@ringside/scenarios/check/token-recheck";
const MACHINE = "@ringside/scenarios/check/machine";

type Scenarios = typeof import("@ringside/scenarios/check/token-recheck");
type Machines = typeof import("@ringside/scenarios/check/machine");

interface Replays {
  readonly record: ReplayRecord;
  readonly once: () => Replayed;
}

/** The execution of a regression's token, of its sources or of the repaired ones. */
async function replays({ token, scenario, form, variant }: Regression, repaired: boolean): Promise<Replays> {
  const record = decodeToken(token);
  const request =
    variant === undefined
      ? { scenario, form: repaired ? CORRECT : form }
      : { scenario, form, variant: repaired ? ("v3-fixed" as const) : variant };
  const { program } = await loadScenario(request);
  const { maxSteps, timeouts, earlyTimeouts } = record.options;
  const execution = new Execution(program, {
    maxSteps,
    timeouts,
    earlyTimeouts,
    monitors: defaultMonitors(),
  });
  return { record, once: () => replayRecord(execution, record) };
}

/** Kind and message as they were kept, or what came instead. */
function told({ outcome, changed }: Replayed): string {
  const { finding } = outcome;
  if (finding === undefined) return `no failure; ${changed ?? "step by step the same"}`;
  return lasting(headline(finding.kind, finding.message));
}

const STALE = "the token is stale: node bench/refresh-regressions.ts --write";

describe.for(REGRESSIONS.map((regression) => [regression.name, regression] as const))("%s", ([, entry]) => {
  test("fails again 100 times of 100, the same to the last op", async () => {
    const { record, once } = await replays(entry, false);
    expect(record.subject).toMatchObject({ scenario: entry.scenario, form: entry.form });
    expect(record.kind).toBe(entry.kind);
    const first = once();
    for (let i = 1; i <= TIMES; i++) {
      const { outcome } = i === 1 ? first : once();
      expect(told({ ...first, outcome }), STALE).toBe(lasting(entry.message));
      expect(outcome).toMatchObject({ hash: first.outcome.hash, finding: { kind: entry.kind } });
    }
  });

  test("does not fail once the source is repaired: with v3-fixed, or without the mutant", async () => {
    const { once } = await replays(entry, true);
    expect(once().outcome.finding).toBe(undefined);
  });
});

test("the seed's four are there, each by a schedule of its own", () => {
  const forms = REGRESSIONS.filter(({ variant }) => variant === "v3").map(({ form }) => form);
  expect(forms).toEqual(["a1", "a2", "a3", "a4"]);
  const schedules = REGRESSIONS.map(({ token }) => decodeToken(token).schedule.join());
  expect(new Set(schedules).size).toBe(REGRESSIONS.length);
});

test("control: in another order of threads the steps of a token do not fail", async () => {
  for (const entry of REGRESSIONS.filter(({ variant }) => variant === "v3")) {
    const { record } = await replays(entry, false);
    const { program } = await loadScenario(entry);
    const execution = new Execution(program, { monitors: defaultMonitors() });
    const schedule = record.schedule.toSorted();
    const { exact, outcome, changed } = replayRecord(execution, { ...record, schedule });
    expect(exact).toBe(false);
    expect(told({ exact, same: false, outcome, changed }), entry.name).not.toBe(lasting(entry.message));
  }
});

test("moved lines make no token stale", async () => {
  const [scenarios, machines] = [INDEX, MACHINE].map((module) => import.meta.resolve(module)) as [
    string,
    string,
  ];
  const loader = registerControlled({
    entry: [scenarios, machines],
    granularity: "sync",
    root: ROOT,
    source: (_path, text) => `// One line\n// and another.\n${text}`,
  });
  const { token_recheck } = (await loader.import(scenarios)) as Scenarios;
  const { kernel_program } = (await loader.import(machines)) as Machines;
  for (const { form, token } of REGRESSIONS.filter(({ variant }) => variant === "v3")) {
    const text = token_recheck.forms[form] as KernelForm;
    const program = kernel_program(token_recheck, form, text, { variant: "v3" }) as Program;
    const execution = new Execution(program, { monitors: defaultMonitors() });
    expect(replayRecord(execution, decodeToken(token)).same, form).toBe(true);
  }
});
