/** A gated memory with one verb falsified: what the comparison of the back-ends must notice. */
import { GatedMemory } from "../memory.ts";

export class Falsified extends GatedMemory {
  /** Adds one too few, every time, and hides it in the old value. */
  override fetchAdd(p: number, value: number): number {
    return super.fetchAdd(p, value - 1);
  }
  /** Stores right and reads one off. */
  override loadAcquire(p: number): number {
    return super.loadAcquire(p) ^ 1;
  }
}
