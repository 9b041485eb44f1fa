/** The kernel under control: what must be clean is clean, and what is broken is found, by the default search. */
import { defaultMonitors } from "@ringside/checker/detect/index";
import { Execution, type Outcome } from "@ringside/checker/execution";
import { type Exploration, explore } from "@ringside/checker/explore";
import { makeStrategy } from "@ringside/checker/strategy/index";
import { Replay } from "@ringside/checker/strategy/replay";
import { PERCPU_AREA, STATIC_BASE, STATIC_LIMIT } from "@ringside/core/debug/image";
import { is_expected, type KernelScenario } from "@ringside/scenarios/check/scenario";
import { percpu_ref } from "@ringside/scenarios/check/percpu-ref";
import { rcu } from "@ringside/scenarios/check/rcu";
import { token_audit } from "@ringside/scenarios/check/token-audit";
import { token_recheck } from "@ringside/scenarios/check/token-recheck";
import { describe, expect, test } from "vitest";
import { loadScenario, ScenarioError, type ScenarioRequest } from "./load.ts";

/** A clean form runs so many executions; a broken one is found within so many. */
const CLEAN_EXECUTIONS = 150;
const FOUND_WITHIN = 4000;
/** The lock validator notes the class of a lock in 16 bits of its shadow, by plain stores: there are no others. */
const BENIGN = ["packages/core/src/lock/lockdep"];

interface Search {
  readonly execution: Execution;
  readonly found: Exploration;
  readonly expect: string;
  readonly message: string | undefined;
}

async function search(request: ScenarioRequest, executions: number): Promise<Search> {
  const { program, expect: expected, message } = await loadScenario(request);
  const execution = new Execution(program, { monitors: defaultMonitors({ benign: BENIGN }) });
  const found = explore(execution, makeStrategy("portfolio", { seed: 1 }), { executions });
  return { execution, found, expect: expected, message };
}

const scenarios: readonly KernelScenario[] = [token_recheck, token_audit, percpu_ref, rcu];

describe.for(scenarios.map((scenario) => [scenario.name, scenario] as const))("%s", ([name, scenario]) => {
  test.for(Object.entries(scenario.forms))("%s", async ([form, { expect: wanted }]) => {
    const executions = wanted === "clean" ? CLEAN_EXECUTIONS : FOUND_WITHIN;
    const { found, expect: expected, message } = await search({ scenario: name, form }, executions);
    const finding = found.failure?.outcome.finding;
    expect(is_expected(expected, finding?.kind), finding?.report ?? finding?.message).toBe(true);
    if (message !== undefined) expect(finding?.message).toContain(message);
  });
});

describe("the recheck", () => {
  test.for(["a1", "a2", "a3", "a4"])("v3-fixed has no failure %s", async (form) => {
    const { found } = await search({ scenario: "token-recheck", form, variant: "v3-fixed" }, 400);
    expect(found.failure?.outcome.finding).toBe(undefined);
  });

  test("the text as posted fails in the correct form, too", async () => {
    const { found, expect: expected } = await search(
      { scenario: "token-recheck", variant: "v3" },
      FOUND_WITHIN,
    );
    expect(is_expected(expected, found.failure?.outcome.finding?.kind)).toBe(true);
  });
});

test("an execution of the kernel repeats: op by op, with the same finding", async () => {
  const { execution, found } = await search({ scenario: "token-recheck", form: "a4" }, FOUND_WITHIN);
  const failed = found.failure as NonNullable<Exploration["failure"]>;
  const again = (): Outcome => execution.run(new Replay(failed.schedule, failed.choices), 0);
  expect(again()).toMatchObject({ hash: failed.outcome.hash, finding: { kind: "use-after-free" } });
  expect(again().hash).toBe(failed.outcome.hash);
  const fresh = await loadScenario({ scenario: "token-recheck", form: "a4" });
  const other = new Execution(fresh.program, { monitors: defaultMonitors() });
  expect(other.run(new Replay(failed.schedule, failed.choices), 0).hash).toBe(failed.outcome.hash);
});

test("places of the kernel have names in reports: static data, a CPU's, what the heap gave", async () => {
  const { program } = await loadScenario({ scenario: "percpu-ref" });
  const execution = new Execution(program);
  const name = (place: number): string | undefined => execution.world.describe?.(place);
  const object = execution.world.wordAt(static_word(name, "check_ref_object"));
  expect(name(object)).toBe("publish()+0x0");
  expect(name(STATIC_LIMIT + PERCPU_AREA)).toMatch(/^[a-z_]+ of CPU 1$/);
  expect(name(execution.world.alone.size - 4)).toBe("");
});

function static_word(name: (place: number) => string | undefined, wanted: string): number {
  for (let p = STATIC_BASE; p < STATIC_LIMIT; p += 4) if (name(p) === wanted) return p;
  throw new Error(`no static ${wanted}`);
}

test("the lock validator has nothing against the correct forms either", async () => {
  for (const scenario of scenarios) {
    const { found } = await search({ scenario: scenario.name, config: { lockdep: true } }, 20);
    expect(found.failure?.outcome.finding, scenario.name).toBe(undefined);
  }
});

test("names that are not there are refused, with those that are", async () => {
  await expect(loadScenario({ scenario: "token" })).rejects.toThrow(ScenarioError);
  await expect(loadScenario({ scenario: "token" })).rejects.toThrow("token-recheck");
  await expect(loadScenario({ scenario: "rcu", form: "a9" })).rejects.toThrow("no-grace-period");
});
