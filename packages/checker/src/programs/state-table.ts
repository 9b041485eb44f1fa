/**
 * The table of the work-stealing queues "with state": by thread, how deep it is in and what it does. It grows when a
 * thread comes that has no entry, to just that size, and nobody holds a lock: of two that come at once the one with
 * the lower number cuts off the other's entry.
 */
import type { Memory } from "atomics-sync/memory";
import type { ThreadContext } from "../program.ts";

const SIZE = 256;
const DEPTHS = 260;
const DOING = 276;

export function sizeTable(memory: Memory, entries: number): void {
  memory.write(SIZE, entries);
}

function resizeTable(memory: Memory, entries: number): void {
  const size = memory.read(SIZE);
  for (let i = size; i < entries; i++) memory.write(DEPTHS + 4 * i, 0);
  memory.write(SIZE, entries);
}

/** Every access asks whether the entry is there. */
function checkEntry(memory: Memory, thread: ThreadContext): void {
  thread.assert(thread.id < memory.read(SIZE), "the thread's entry is gone");
}

export function enterState(memory: Memory, thread: ThreadContext): void {
  if (memory.read(SIZE) <= thread.id) resizeTable(memory, thread.id + 1);
  checkEntry(memory, thread);
  memory.write(DEPTHS + 4 * thread.id, memory.read(DEPTHS + 4 * thread.id) + 1);
}

export function noteState(memory: Memory, thread: ThreadContext, what: number): void {
  checkEntry(memory, thread);
  memory.write(DOING + 4 * thread.id, what);
}

export function leaveState(memory: Memory, thread: ThreadContext): void {
  checkEntry(memory, thread);
  memory.write(DEPTHS + 4 * thread.id, memory.read(DEPTHS + 4 * thread.id) - 1);
}
