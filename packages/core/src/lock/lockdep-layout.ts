/**
 * Where lockdep keeps its tables: one region at the end of the memory map, there only with config.lockdep. Any
 * thread, or the host, can read them while the machine is stuck.
 *
 *   state, reported      the switch, the graph lock, counters; one bit per report made
 *   classes              { name, subclass, first dependency, usage } by number, from 1
 *   dependencies         edges of the order graph, a list per class
 *   held locks           per thread: depth, then MAX_LOCK_DEPTH entries (lockdep-held.ts)
 *   shadow               for each word where a lock may lie, the number of its class: 2 bytes for 4
 */

/** Locks a task may hold. */
export const MAX_LOCK_DEPTH = 48;
/** Lock classes. */
export const MAX_LOCKDEP_KEYS = 1024;
/** Dependencies between classes. */
export const MAX_LOCKDEP_ENTRIES = 8192;
export const MAX_LOCKDEP_SUBCLASSES = 8;

// Read-mostly:
/** Not 0: a table was full, nothing is checked any more (!debug_locks). */
export const DEBUG_LOCKS_OFF = 0;
/** Bumped when the graph is forgotten: threads forget what they know of it. */
export const GRAPH_GENERATION = 4;
/** An atomics-sync mutex, no kernel lock: guards the classes and the dependencies, and the two words after it. */
export const GRAPH_LOCK = 128;
export const NR_CLASSES = 132;
export const NR_EDGES = 136;

export const REPORTED = 256;
export const REPORTED_BITS = 8192;

// struct lock_class. NAME (a site id) and SUBCLASS are constant; the rest is guarded by GRAPH_LOCK.
export const CLASSES: number = REPORTED + REPORTED_BITS / 8;
export const CLASS_NAME = 0;
export const CLASS_SUBCLASS = 4;
/** The newest dependency from this class; 0 for none. */
export const CLASS_FIRST = 8;
/** Bits of lockdep-usage.ts; atomic. */
export const CLASS_USAGE = 12;
/** Where each of the eight kinds of usage was seen first: site ids. */
export const CLASS_USAGE_SITES = 16;
export const CLASS_SIZE = 48;

// struct lock_list: "TO was acquired with this class held". Guarded by GRAPH_LOCK.
export const EDGES: number = CLASSES + (MAX_LOCKDEP_KEYS + 1) * CLASS_SIZE;
export const EDGE_TO = 0;
export const EDGE_NEXT = 4;
/** Where the held lock was taken, and where the other was taken under it. */
export const EDGE_FROM_SITE = 8;
export const EDGE_TO_SITE = 12;
/** The kinds of this dependency (lockdep-graph.ts). */
export const EDGE_DEP = 16;
export const EDGE_FROM = 20;
/** The thread that made it. */
export const EDGE_CPU = 24;
export const EDGE_SIZE = 32;

export const HELD_LOCKS: number = EDGES + (MAX_LOCKDEP_ENTRIES + 1) * EDGE_SIZE;
/** On lines of their own: only their thread writes them. */
export const HELD_DEPTH = 0;
export const HELD_ENTRIES = 128;
export const HELD_LOCK_SIZE = 32;
export const HELD_BYTES: number = HELD_ENTRIES + MAX_LOCK_DEPTH * HELD_LOCK_SIZE;

/** Bytes of the region for so many threads, with locks below `covered`. */
export function lockdep_bytes(threads: number, covered: number): number {
  return HELD_LOCKS + threads * HELD_BYTES + covered / 2;
}

/** Offset of the shadow in the region. */
export function lockdep_shadow(threads: number): number {
  return HELD_LOCKS + threads * HELD_BYTES;
}
