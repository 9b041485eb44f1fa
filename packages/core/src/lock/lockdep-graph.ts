/**
 * The order graph: an edge from each class that was held to the class acquired under it. A cycle is a deadlock that may
 * happen, though it never has. An edge is checked once, when it is new.
 *
 * Readers: an edge has kinds, exclusive or shared holder by recursive or other acquirer. A path is only a threat if no
 * recursive reader is followed by a shared holder: there the two would get along (is "strong" in the kernel's words).
 */
import type { Cpu } from "../sched/cpu.ts";
import { class_at, debug_locks_off, graph_lock, graph_unlock } from "./lockdep-class.ts";
import { held_at, HELD_CLASS, HELD_FLAGS, HELD_READ, held_site } from "./lockdep-held.ts";
import {
  CLASS_FIRST,
  CLASS_USAGE,
  EDGE_CPU,
  EDGE_DEP,
  EDGE_FROM,
  EDGE_FROM_SITE,
  EDGE_NEXT,
  EDGE_SIZE,
  EDGE_TO,
  EDGE_TO_SITE,
  EDGES,
  GRAPH_GENERATION,
  MAX_LOCKDEP_ENTRIES,
  MAX_LOCKDEP_KEYS,
  NR_CLASSES,
  NR_EDGES,
  REPORTED,
  REPORTED_BITS,
} from "./lockdep-layout.ts";

/** Kinds in EDGE_DEP: bit 2 * shared holder + recursive acquirer. << 4: would close a cycle; never followed. */
const DEP_ALL = 0b1111;
const DEP_EXCLUSIVE = 0b0011;
const DEP_NOT_RECURSIVE = 0b0101;
const BAD_SHIFT = 4;
const KINDS = 4;

/** An acquisition under another, as the graph sees it. */
interface Dependency {
  readonly from: number;
  readonly to: number;
  /** Reads of the holder and of the acquirer: 0, 1, 2 (recursive). */
  readonly prev_read: number;
  readonly next_read: number;
  readonly from_site: number;
  readonly to_site: number;
}

export function edge_at(cpu: Cpu, index: number): number {
  return cpu.map.lockdep + EDGES + index * EDGE_SIZE;
}

function dep_kind(prev_read: number, next_read: number): number {
  return (prev_read !== 0 ? 2 : 0) + (next_read === 2 ? 1 : 0);
}

/**
 * Notes that entry `next` was acquired with entry `prev` held. Returns the path (edges) by which `prev` already depends
 * on `next`, the first time; the edge is then not followed. Empty: all is well, or it was told before.
 */
export function check_prev_add(cpu: Cpu, prev: number, next: number): readonly number[] {
  const [a, b] = [held_at(cpu, prev), held_at(cpu, next)];
  const from = cpu.mem.read(a + HELD_CLASS);
  const to = cpu.mem.read(b + HELD_CLASS);
  if (from === 0 || to === 0) return [];
  const prev_read = cpu.mem.read(a + HELD_FLAGS) & HELD_READ;
  const next_read = cpu.mem.read(b + HELD_FLAGS) & HELD_READ;
  const key = (from * (MAX_LOCKDEP_KEYS + 1) + to) * KINDS + dep_kind(prev_read, next_read);
  if (edges_known(cpu).has(key)) return [];
  // Before the lock: sites have a lock of their own.
  const [from_site, to_site] = [held_site(cpu, prev), held_site(cpu, next)];
  graph_lock(cpu);
  const path = add_dependency(cpu, { from, to, prev_read, next_read, from_site, to_site });
  graph_unlock(cpu);
  cpu.lock_state.edges.add(key);
  if (path !== undefined) return path;
  debug_locks_off(cpu, "MAX_LOCKDEP_ENTRIES");
  return [];
}

/** What this thread knows to be in the graph; forgotten when the graph is. */
function edges_known(cpu: Cpu): Set<number> {
  const state = cpu.lock_state;
  const generation = cpu.mem.loadAcquire(cpu.map.lockdep + GRAPH_GENERATION);
  if (state.generation !== generation) {
    state.edges.clear();
    state.generation = generation;
  }
  return state.edges;
}

/** The path if it would close a cycle, else none; undefined when the table is full. Graph lock held. */
function add_dependency(cpu: Cpu, d: Dependency): readonly number[] | undefined {
  const known = find_edge(cpu, d.from, d.to);
  const bit = 1 << dep_kind(d.prev_read, d.next_read);
  if (known !== 0 && (cpu.mem.read(known + EDGE_DEP) & (bit | (bit << BAD_SHIFT))) !== 0) return [];
  const path = find_path(cpu, d);
  const dep = path.length > 0 ? bit << BAD_SHIFT : bit;
  if (known !== 0) cpu.mem.write(known + EDGE_DEP, cpu.mem.read(known + EDGE_DEP) | dep);
  else if (!add_edge(cpu, d, dep)) return undefined;
  return path;
}

function find_edge(cpu: Cpu, from: number, to: number): number {
  for (let index = cpu.mem.read(class_at(cpu, from) + CLASS_FIRST); index !== 0; ) {
    const edge = edge_at(cpu, index);
    if (cpu.mem.read(edge + EDGE_TO) === to) return edge;
    index = cpu.mem.read(edge + EDGE_NEXT);
  }
  return 0;
}

function add_edge(cpu: Cpu, d: Dependency, dep: number): boolean {
  const counter = cpu.map.lockdep + NR_EDGES;
  const index = cpu.mem.read(counter) + 1;
  if (index > MAX_LOCKDEP_ENTRIES) return false;
  const edge = edge_at(cpu, index);
  const first = class_at(cpu, d.from) + CLASS_FIRST;
  cpu.mem.write(edge + EDGE_FROM, d.from);
  cpu.mem.write(edge + EDGE_TO, d.to);
  cpu.mem.write(edge + EDGE_DEP, dep);
  cpu.mem.write(edge + EDGE_FROM_SITE, d.from_site);
  cpu.mem.write(edge + EDGE_TO_SITE, d.to_site);
  cpu.mem.write(edge + EDGE_CPU, cpu.id);
  cpu.mem.write(edge + EDGE_NEXT, cpu.mem.read(first));
  cpu.mem.write(first, index);
  cpu.mem.write(counter, index);
  return true;
}

/** A class reached, as a recursive reader only or not, by an edge (index) from the step before. */
interface Step {
  readonly to: number;
  readonly only_recursive: boolean;
  readonly edge: number;
  readonly before: Step | undefined;
}

/** Breadth first from `d.to` back to `d.from`: a shortest path that d would make a strong cycle; empty if none. */
function find_path(cpu: Cpu, d: Dependency): number[] {
  const seen = new Set<number>();
  const queue: Step[] = [{ to: d.to, only_recursive: d.next_read === 2, edge: 0, before: undefined }];
  for (let i = 0; i < queue.length; i++) {
    const step = queue[i] as Step;
    const mark = step.to * 2 + (step.only_recursive ? 1 : 0);
    if (seen.has(mark)) continue;
    seen.add(mark);
    if (step.to === d.from && i > 0 && (d.prev_read === 0 || !step.only_recursive)) return path_to(step);
    for (let index = cpu.mem.read(class_at(cpu, step.to) + CLASS_FIRST); index !== 0; ) {
      const edge = edge_at(cpu, index);
      const dep = cpu.mem.read(edge + EDGE_DEP) & (step.only_recursive ? DEP_EXCLUSIVE : DEP_ALL);
      if (dep !== 0) {
        const only_recursive = (dep & DEP_NOT_RECURSIVE) === 0;
        queue.push({ to: cpu.mem.read(edge + EDGE_TO), only_recursive, edge: index, before: step });
      }
      index = cpu.mem.read(edge + EDGE_NEXT);
    }
  }
  return [];
}

function path_to(last: Step): number[] {
  const path: number[] = [];
  for (let step: Step = last; step.before !== undefined; step = step.before) path.unshift(step.edge);
  return path;
}

/** True the first time a report of this kind about these classes or sites is made. */
export function first_report(cpu: Cpu, kind: number, a: number, b: number): boolean {
  const mixed = Math.imul(kind + 1, 0x9e3779b1) ^ Math.imul(a + 1, 0x85ebca6b) ^ Math.imul(b + 1, 0xc2b2ae35);
  const hash = (mixed ^ (mixed >>> 15)) & (REPORTED_BITS - 1);
  const bit = 1 << (hash & 31);
  return (cpu.mem.fetchOr(cpu.map.lockdep + REPORTED + (hash >> 5) * 4, bit) & bit) === 0;
}

/** Forgets every dependency, usage and report; the classes stay. */
export function graph_reset(cpu: Cpu): void {
  graph_lock(cpu);
  const count = cpu.mem.read(cpu.map.lockdep + NR_CLASSES);
  for (let id = 1; id <= count; id++) {
    cpu.mem.write(class_at(cpu, id) + CLASS_FIRST, 0);
    cpu.mem.writeOnce(class_at(cpu, id) + CLASS_USAGE, 0);
  }
  cpu.mem.write(cpu.map.lockdep + NR_EDGES, 0);
  cpu.mem.memset(cpu.map.lockdep + REPORTED, 0, REPORTED_BITS / 8);
  // After the edges are gone: a thread that sees the new number adds what it meets again.
  cpu.mem.fetchAdd(cpu.map.lockdep + GRAPH_GENERATION, 1);
  graph_unlock(cpu);
}
