/** `ringside list`: what a machine can be broken by, and what it can run. */
import { Argument, Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { MUTANTS } from "@ringside/mutants/index";
import { workloads } from "@ringside/scenarios/index";

const KINDS = ["mutants", "workloads"] as const;

interface Entry {
  readonly name: string;
  readonly about: string;
}

function entries(kind: (typeof KINDS)[number]): Entry[] {
  if (kind === "mutants") return MUTANTS.map((mutant) => ({ name: mutant.name, about: mutant.breaks }));
  return Object.keys(workloads).map((name) => ({ name, about: "" }));
}

export function list_command(): CommandUnknownOpts {
  return new Command("list")
    .description("list the mutants that stress can plant, or the workloads that machines run")
    .addArgument(new Argument(`<${KINDS.join("|")}>`, "what to list").choices(KINDS))
    .option("--json", "one JSON document on stdout")
    .action((kind, options) => {
      const found = entries(kind);
      if (options.json === true) console.log(JSON.stringify(found));
      else
        for (const { name, about } of found) console.log(about === "" ? name : `${name.padEnd(28)} ${about}`);
    });
}
