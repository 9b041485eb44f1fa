/**
 * Lock classes (struct lock_class): what lockdep reasons about. All locks made in one place are one class; a subclass
 * parts it for locks that nest in a fixed order.
 *
 * A lock's class is in the shadow of its word, put there by lockdep_init_map and gone when the memory is freed. A lock
 * in static memory that nobody initialised has the class of its object's name. Things that are waited for but lie
 * nowhere (all works of a function) are maps: a map is minus the number of its class, in the place of an address.
 */
import { mutexLock, mutexUnlock } from "atomics-sync";
import { LOG_WARN, printk_lines } from "../debug/dmesg.ts";
import { percpu_name, PERCPU_AREA, static_name } from "../debug/image.ts";
import { call_trace, capture_trace, site_id, site_text, trace_site } from "../debug/site.ts";
import type { Cpu } from "../sched/cpu.ts";
import {
  CLASS_FIRST,
  CLASS_NAME,
  CLASS_SIZE,
  CLASS_SUBCLASS,
  CLASS_USAGE,
  CLASSES,
  DEBUG_LOCKS_OFF,
  GRAPH_LOCK,
  MAX_LOCKDEP_KEYS,
  MAX_LOCKDEP_SUBCLASSES,
  NR_CLASSES,
} from "./lockdep-layout.ts";

/** Frames of these files take locks on behalf of others; tests of them are sites. */
export const LOCK_MESSENGER: RegExp = new RegExp(
  "/core/src/(?:lock|debug|rcu/(?:qs|pointer|suspicious)|sched/wait\\.|dma/(?:resv-lock|fence-lockdep)|" +
    "ref/percpu-ref-l)(?!.*\\.test\\.)",
);
/** Enough for the verbs of lock/ above the site. */
export const LOCK_FRAMES = 9;

/** Address of class number `id` (1 ...). */
export function class_at(cpu: Cpu, id: number): number {
  return cpu.map.lockdep + CLASSES + id * CLASS_SIZE;
}

export function graph_lock(cpu: Cpu): void {
  mutexLock(cpu.mem, cpu.map.lockdep + GRAPH_LOCK);
}

export function graph_unlock(cpu: Cpu): void {
  mutexUnlock(cpu.mem, cpu.map.lockdep + GRAPH_LOCK);
}

/** Nothing was lost so far: what lockdep says is complete. */
export function debug_locks(cpu: Cpu): boolean {
  return cpu.mem.readOnce(cpu.map.lockdep + DEBUG_LOCKS_OFF) === 0;
}

/** A table is full: says so and checks no more. */
export function debug_locks_off(cpu: Cpu, what: string): void {
  if (cpu.mem.exchange(cpu.map.lockdep + DEBUG_LOCKS_OFF, 1) !== 0) return;
  printk_lines(cpu, LOG_WARN, [
    `BUG: ${what} too low!`,
    "turning off the locking correctness validator.",
    ...call_trace(cpu, 6),
  ]);
}

/** The class called `name`; 0 when there is no room. Equal names are one class. */
export function register_lock_class(cpu: Cpu, name: number, subclass: number): number {
  const key = name * MAX_LOCKDEP_SUBCLASSES + subclass;
  const known = cpu.lock_state.classes.get(key);
  if (known !== undefined) return known;
  if (name === 0) return 0;
  graph_lock(cpu);
  const id = find_or_add_class(cpu, name, subclass);
  graph_unlock(cpu);
  if (id === 0) debug_locks_off(cpu, "MAX_LOCKDEP_KEYS");
  cpu.lock_state.classes.set(key, id);
  return id;
}

function find_or_add_class(cpu: Cpu, name: number, subclass: number): number {
  const counter = cpu.map.lockdep + NR_CLASSES;
  const count = cpu.mem.read(counter);
  for (let id = 1; id <= count; id++) {
    const entry = class_at(cpu, id);
    if (cpu.mem.read(entry + CLASS_NAME) !== name) continue;
    if (cpu.mem.read(entry + CLASS_SUBCLASS) === subclass) return id;
  }
  if (count === MAX_LOCKDEP_KEYS) return 0;
  const entry = class_at(cpu, count + 1);
  cpu.mem.write(entry + CLASS_NAME, name);
  cpu.mem.write(entry + CLASS_SUBCLASS, subclass);
  cpu.mem.write(entry + CLASS_FIRST, 0);
  cpu.mem.write(entry + CLASS_USAGE, 0);
  cpu.mem.write(counter, count + 1);
  return count + 1;
}

/** Where the class of the lock at `lock` is noted; 0 for addresses that hold no locks. */
function shadow_of(cpu: Cpu, lock: number): number {
  const { shadow, covered } = cpu.lock_state;
  return lock > 0 && lock < covered ? shadow + (lock >> 2) * 2 : 0;
}

/** Gives the lock at `lock` the class called `name`; "": the class of the place that initialises it. */
export function set_lock_class(cpu: Cpu, lock: number, name: string): void {
  const shadow = shadow_of(cpu, lock);
  if (shadow === 0) return;
  const text = name !== "" ? name : `lock@${here(cpu)}`;
  cpu.mem.write16(shadow, register_lock_class(cpu, site_id(cpu, text), 0));
}

/** The locks in this memory are no more. */
export function forget_lock_classes(cpu: Cpu, p: number, bytes: number): void {
  const shadow = shadow_of(cpu, p);
  if (shadow !== 0) cpu.mem.memset(shadow, 0, ((bytes + 3) >> 2) * 2);
}

/** The map of all that is called `name`. */
export function named_map(cpu: Cpu, name: string): number {
  const known = cpu.lock_state.maps.get(name);
  if (known !== undefined) return known;
  const map = -register_lock_class(cpu, site_id(cpu, name), 0);
  cpu.lock_state.maps.set(name, map);
  return map;
}

/** The class of a lock or map; 0 when there is none, and then the lock is only tracked. */
export function lock_class(cpu: Cpu, lock: number, subclass: number): number {
  let id = -lock;
  if (lock >= 0) {
    const shadow = shadow_of(cpu, lock);
    id = shadow === 0 ? 0 : cpu.mem.read16(shadow);
    if (id === 0) id = register_unknown(cpu, lock, shadow);
  }
  return subclass === 0 || id === 0 ? id : subclass_of(cpu, id, subclass);
}

function subclass_of(cpu: Cpu, id: number, subclass: number): number {
  const number = Math.min(subclass, MAX_LOCKDEP_SUBCLASSES - 1);
  return register_lock_class(cpu, cpu.mem.read(class_at(cpu, id) + CLASS_NAME), number);
}

/** A lock nobody initialised: static memory has names, other memory is a mistake. */
function register_unknown(cpu: Cpu, lock: number, shadow: number): number {
  // Nobody asks for its class any more; and with no room left, each acquisition would come here and tell.
  if (!debug_locks(cpu)) return 0;
  let name = static_name(lock);
  const area = lock - cpu.map.percpu;
  if (name === "" && area >= 0 && lock < cpu.map.dmesg) name = percpu_name(area % PERCPU_AREA);
  if (name === "") {
    name = `lock@${here(cpu)}`;
    printk_lines(cpu, LOG_WARN, [
      `INFO: trying to register non-static key. (${name})`,
      "The code is fine but needs lockdep annotation, or maybe",
      "you didn't initialize this object before use?",
      ...call_trace(cpu, 12),
    ]);
  }
  const id = register_lock_class(cpu, site_id(cpu, name), 0);
  if (shadow !== 0) cpu.mem.write16(shadow, id);
  return id;
}

function here(cpu: Cpu): string {
  return site_text(cpu, trace_site(cpu, capture_trace(LOCK_FRAMES + 4), LOCK_MESSENGER));
}

/** "&lock" or "&lock/1", without what surrounds it. */
export function class_name(cpu: Cpu, id: number): string {
  if (id <= 0 || id > MAX_LOCKDEP_KEYS) return "unknown";
  const entry = class_at(cpu, id);
  const subclass = cpu.mem.read(entry + CLASS_SUBCLASS);
  const name = site_text(cpu, cpu.mem.read(entry + CLASS_NAME));
  return subclass === 0 ? name : `${name}/${subclass}`;
}
