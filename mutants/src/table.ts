/** The table of mutants as mutants/README.md shows it; a test keeps the file equal to it. */
import { MUTANTS } from "./index.ts";

export function mutants_table(): string {
  const rows = MUTANTS.map((mutant) => {
    const detectors = mutant.caughtBy.map((text) => `\`${text}\``).join(", ");
    return `| \`${mutant.name}\` | ${mutant.breaks} | ${detectors} |`;
  });
  return ["| mutant | what no longer holds | one of these reports it |", "|---|---|---|", ...rows].join("\n");
}
