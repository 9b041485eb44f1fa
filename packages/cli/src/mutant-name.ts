/** The option value that names a mutant. */
import { InvalidArgumentError } from "@commander-js/extra-typings";
import { findMutant } from "@ringside/mutants/index";

export function mutant_name(text: string): string {
  try {
    return findMutant(text).name;
  } catch (error) {
    throw new InvalidArgumentError(`${(error as Error).message} (see ringside list mutants)`);
  }
}
