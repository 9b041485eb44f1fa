/** Every mutant, by name. */
import type { Mutant } from "./mutant.ts";
import { NVME_MUTANTS } from "./nvme.ts";
import { REF_MUTANTS } from "./ref.ts";
import { TOKEN_MUTANTS } from "./token.ts";
import { URING_MUTANTS } from "./uring.ts";

export const MUTANTS: readonly Mutant[] = [
  ...TOKEN_MUTANTS,
  ...REF_MUTANTS,
  ...NVME_MUTANTS,
  ...URING_MUTANTS,
];

/** The mutant called `name`; an unknown name is an error that lists the nearest ones. */
export function findMutant(name: string, mutants: readonly Mutant[] = MUTANTS): Mutant {
  const found = mutants.find((mutant) => mutant.name === name);
  if (found) return found;
  const nearest = mutants
    .map((mutant) => ({ name: mutant.name, distance: editDistance(name, mutant.name) }))
    .toSorted((a, b) => a.distance - b.distance)
    .slice(0, 3);
  const hint =
    nearest.length > 0 ? `; nearest: ${nearest.map((n) => n.name).join(", ")}` : "; there are none";
  throw new Error(`unknown mutant "${name}"${hint}`);
}

/** Levenshtein's, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
