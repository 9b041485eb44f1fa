/** `ringside list`: what can be measured, planted, run, searched and checked. */
import { STRATEGY_NAMES, strategySummary } from "@ringside/checker/strategy/index";
import { Argument, Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { MUTANTS } from "@ringside/mutants/index";
import { workloads } from "@ringside/scenarios/index";

const KINDS = ["benches", "mutants", "scenarios", "strategies", "suites", "workloads"] as const;

interface Entry {
  readonly name: string;
  readonly about: string;
  /** Of a scenario. */
  readonly forms?: readonly Form[];
}

interface Form {
  readonly name: string;
  readonly about: string;
  /** "clean", or the kind of failure it is there to show. */
  readonly expect: string;
}

async function entries(kind: (typeof KINDS)[number]): Promise<Entry[]> {
  if (kind === "mutants") return MUTANTS.map((mutant) => ({ name: mutant.name, about: mutant.breaks }));
  if (kind === "benches") {
    const { BENCHES } = await import("@ringside/bench/registry");
    return BENCHES.map(({ name, what }) => ({ name, about: what }));
  }
  if (kind === "suites") {
    const { PUBLIC_SUITES } = await import("@ringside/conformance/runner");
    return PUBLIC_SUITES.suites.map(({ name, source }) => ({ name, about: source }));
  }
  if (kind === "strategies") return STRATEGY_NAMES.map((name) => ({ name, about: strategySummary(name) }));
  if (kind === "scenarios") return await scenarios();
  return Object.keys(workloads).map((name) => ({ name, about: "" }));
}

async function scenarios(): Promise<Entry[]> {
  const { check_scenarios } = await import("@ringside/scenarios/check/index");
  return check_scenarios.map(({ name, summary, forms }) => ({
    name,
    about: summary,
    forms: Object.entries(forms).map(([form, of]) => ({ name: form, about: of.summary, expect: of.expect })),
  }));
}

export function list_command(): CommandUnknownOpts {
  return new Command("list")
    .description(
      "list benches, bugs that can be planted, scenarios and strategies of check, conformance suites, or workloads",
    )
    .addArgument(new Argument(`<${KINDS.join("|")}>`, "what to list").choices(KINDS))
    .option("--json", "one JSON document on stdout")
    .action(async (kind, options) => {
      const found = await entries(kind);
      if (options.json === true) console.log(JSON.stringify(found));
      else for (const entry of found) console.log(line(entry));
    });
}

function line({ name, about, forms = [] }: Entry): string {
  const first = about === "" ? name : `${name.padEnd(28)} ${about}`;
  return [first, ...forms.map((form) => `  ${form.name.padEnd(26)} ${form.about} (${form.expect})`)].join(
    "\n",
  );
}
