/** A look at the memory of a program from outside: no checks, no scheduler, no trace. */
import { Memory } from "atomics-sync/memory";

export class ObserverMemory extends Memory {
  /** Controlled code names the place of each access first. */
  at(): this {
    return this;
  }
}

/** A second view of what `memory` holds. */
export function observer_of(memory: Memory): Memory {
  return new ObserverMemory(memory.wasm);
}
