/** Every mutant, by name. */
import { BLOCK_MUTANTS } from "./block.ts";
import { CHECKER_MUTANTS } from "./checker.ts";
import { CLOCK_MUTANTS } from "./clock.ts";
import { DMA_MUTANTS } from "./dma.ts";
import { LOCK_MUTANTS } from "./lock.ts";
import { LOCKDEP_MUTANTS } from "./lockdep.ts";
import type { Mutant } from "./mutant.ts";
import { nearest } from "./nearest.ts";
import { NVME_MUTANTS } from "./nvme.ts";
import { RCU_MUTANTS } from "./rcu.ts";
import { REF_MUTANTS } from "./ref.ts";
import { SYNC_MUTANTS } from "./sync.ts";
import { TOKEN_MUTANTS } from "./token.ts";
import { URING_MUTANTS } from "./uring.ts";
import { WORKQUEUE_MUTANTS } from "./workqueue.ts";

export const MUTANTS: readonly Mutant[] = [
  ...TOKEN_MUTANTS,
  ...REF_MUTANTS,
  ...RCU_MUTANTS,
  ...LOCK_MUTANTS,
  ...LOCKDEP_MUTANTS,
  ...DMA_MUTANTS,
  ...BLOCK_MUTANTS,
  ...NVME_MUTANTS,
  ...URING_MUTANTS,
  ...WORKQUEUE_MUTANTS,
  ...CLOCK_MUTANTS,
  ...SYNC_MUTANTS,
  ...CHECKER_MUTANTS,
];

/** The mutant called `name`; an unknown name is an error that lists the nearest ones. */
export function findMutant(name: string, mutants: readonly Mutant[] = MUTANTS): Mutant {
  const found = mutants.find((mutant) => mutant.name === name);
  if (found) return found;
  const close = nearest(
    name,
    mutants.map((mutant) => mutant.name),
  );
  const hint = close.length > 0 ? `; nearest: ${close.join(", ")}` : "; there are none";
  throw new Error(`unknown mutant "${name}"${hint}`);
}
