import { check } from "@ringside/checker";
import type { Memory } from "atomics-sync";

const X = 8; // an address: a byte offset into the shared memory
const increment = (memory: Memory) => memory.writeOnce(X, memory.readOnce(X) + 1);
const after = (memory: Memory) => {
  if (memory.readOnce(X) !== 2) throw new Error(`x is ${memory.readOnce(X)}, not 2`);
};

console.log(check({ name: "lost update", threads: [increment, increment], after }).text);
