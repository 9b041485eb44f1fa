/**
 * Pending ops: where they go, and whether two of them conflict. Tables by kind, because strategies ask at each step.
 */
import type { ControlledMemory } from "../controlled-memory.ts";
import { conflicts, OP_KINDS, OP_NOTIFY, OP_READ64, OP_WAKE, OP_WRITE64, OPS, WRITES } from "../op.ts";

const CONFLICTS = new Uint8Array(OP_KINDS * OP_KINDS);
const PLACED = new Uint8Array(OP_KINDS);
const WIDE = new Uint8Array(OP_KINDS);

for (let a = 0; a < OP_KINDS; a++) {
  const { access } = OPS[a] as { access: number };
  PLACED[a] = access !== 0 || a === OP_NOTIFY || a === OP_WAKE ? 1 : 0;
  WIDE[a] = a === OP_READ64 || a === OP_WRITE64 ? 1 : 0;
  for (let b = 0; b < OP_KINDS; b++) CONFLICTS[a * OP_KINDS + b] = conflicts(a, b) ? 1 : 0;
}

/** Word address of the pending op of a thread; -1 if it goes nowhere (pause, fence). */
export function locationOf(mem: ControlledMemory): number {
  return PLACED[mem.kind] === 1 ? mem.p >> 2 : -1;
}

/** Does the pending op change memory? */
export function changesMemory(mem: ControlledMemory): boolean {
  return ((OPS[mem.kind] as { access: number }).access & WRITES) !== 0;
}

/** Do the pending ops of two threads conflict: one place, and at least one of them changes it or its sleepers? */
export function pendingConflict(a: ControlledMemory, b: ControlledMemory): boolean {
  if (CONFLICTS[a.kind * OP_KINDS + b.kind] === 0) return false;
  const x = a.p >> 2;
  const y = b.p >> 2;
  return x === y || (WIDE[a.kind] === 1 && x + 1 === y) || (WIDE[b.kind] === 1 && y + 1 === x);
}
