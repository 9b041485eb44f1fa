/**
 * Objects that come and go, for benchmark programs about lifetime: a use after the free is a bad access, a second
 * free fails. Free objects are never used again, so nothing hides a late access.
 *
 * An object is a header of 8 bytes and a body; its address is that of the body. Null is 0.
 */
import { type CheckedMemory, KASAN_SLAB_FREE } from "atomics-sync/checked-memory";
import type { Memory } from "atomics-sync/memory";
import type { ThreadContext } from "../program.ts";

const HEADER = 8;
const BODY = 24;
const FREED = 1;

/** A new object; `arena` is a word that holds the address of the next one, 8-aligned. */
export function newObject(memory: Memory, arena: number): number {
  return memory.fetchAdd(arena, HEADER + BODY) + HEADER;
}

export function freeObject(memory: Memory, thread: ThreadContext, object: number): void {
  if (memory.exchange(object - HEADER, FREED) === FREED) thread.fail(`double free of object ${object}`);
  (memory as CheckedMemory).poison(object, BODY, KASAN_SLAB_FREE);
}

/** `p`, which is about to be followed. */
export function notNull(thread: ThreadContext, p: number): number {
  thread.assert(p !== 0, "null pointer followed");
  return p;
}
