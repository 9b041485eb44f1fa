/** `ringside list`: what a machine can be broken by, what it can run, and how it is judged. */
import { Argument, Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { MUTANTS } from "@ringside/mutants/index";
import { workloads } from "@ringside/scenarios/index";

const KINDS = ["mutants", "suites", "workloads"] as const;

interface Entry {
  readonly name: string;
  readonly about: string;
}

async function entries(kind: (typeof KINDS)[number]): Promise<Entry[]> {
  if (kind === "mutants") return MUTANTS.map((mutant) => ({ name: mutant.name, about: mutant.breaks }));
  if (kind === "suites") {
    const { PUBLIC_SUITES } = await import("@ringside/conformance/runner");
    return PUBLIC_SUITES.suites.map(({ name, source }) => ({ name, about: source }));
  }
  return Object.keys(workloads).map((name) => ({ name, about: "" }));
}

export function list_command(): CommandUnknownOpts {
  return new Command("list")
    .description("list the bugs that can be planted, the conformance suites, or the workloads of machines")
    .addArgument(new Argument(`<${KINDS.join("|")}>`, "what to list").choices(KINDS))
    .option("--json", "one JSON document on stdout")
    .action(async (kind, options) => {
      const found = await entries(kind);
      if (options.json === true) console.log(JSON.stringify(found));
      else
        for (const { name, about } of found) console.log(about === "" ? name : `${name.padEnd(28)} ${about}`);
    });
}
