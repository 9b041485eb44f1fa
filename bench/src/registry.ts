/** All benches, by name, in the order of the report. */
import type { Bench } from "./bench.ts";
import { benches as io } from "./io/index.ts";
import { benches as micro } from "./micro/index.ts";
import { benches as scale } from "./scale/index.ts";

export const BENCHES: readonly Bench[] = [...micro, ...io, ...scale];

/** The benches of these names, in the order of the registry; all for none. Throws RangeError for another name. */
export function findBenches(names: readonly string[]): readonly Bench[] {
  const known = BENCHES.map(({ name }) => name);
  for (const name of names) {
    if (!known.includes(name)) {
      throw new RangeError(`unknown bench "${name}"; expected one of ${known.join(", ")}`);
    }
  }
  return names.length === 0 ? BENCHES : BENCHES.filter(({ name }) => names.includes(name));
}
