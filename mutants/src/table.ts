/** The table of mutants as mutants/README.md shows it; a test keeps the file equal to it. */
import { MUTANTS } from "./index.ts";
import type { Mutant } from "./mutant.ts";

export function mutants_table(): string {
  const rows = MUTANTS.map((mutant) => {
    const detectors = mutant.caughtBy.map((text) => `\`${text}\``).join(", ");
    return `| \`${mutant.name}\` | ${mutant.breaks} | ${caught_by(mutant)} | ${detectors} |`;
  });
  const head = "| mutant | what no longer holds | caught by | one of these reports it |";
  return [head, "|---|---|---|---|", ...rows].join("\n");
}

/** The runs that catch it: a public test as suite/case, a form of a check scenario, or the stress job. */
function caught_by({ stress, conformance, check }: Mutant): string {
  const runs = conformance === undefined ? [] : [`\`${conformance.suite}/${conformance.case}\``];
  if (check !== undefined) runs.push(`check \`${check.scenario}/${check.form}\``);
  if (stress !== undefined) runs.push("stress");
  return runs.join(", ");
}
