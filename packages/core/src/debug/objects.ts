/**
 * Debug objects (lib/debugobjects.c): knows the works that are queued, the timers that are armed and the RCU heads that
 * are waiting, and tells when one is initialised again or its memory is freed. Then it takes the object back, as Linux
 * does, so that the machine goes on. On where lockdep is on.
 *
 * The table is bounded: an object that finds no room in its bucket is not watched.
 *
 * Interface: `debug_obj_type` at module level; the owner of a type calls activate and deactivate under its own lock,
 * callers test `cpu.lockdep` first. kfree asks debug_check_no_obj_freed before the memory changes.
 */
import { mutexLock, mutexUnlock } from "atomics-sync";
import type { Cpu } from "../sched/cpu.ts";
import { kernel_static, symbol_call, type SymbolId, symbol_name } from "./image.ts";
import { WARN } from "./warn.ts";

/** Number of a type, the same in all threads. */
export type DebugObjType = number;

interface TypeRecord {
  readonly name: string;
  /** What is printed as "active state". */
  readonly state: number;
  fixup: SymbolId;
}

/** Objects in a bucket start in the same few lines of memory. */
const CHUNK_SHIFT = 6;
const BUCKET_BITS = 7;
const BUCKETS = 1 << BUCKET_BITS;
const BUCKET_SIZE = 64;
// A bucket: its lock, then pairs of an object's address (0: free) and what it is.
const LOCK = 0;
const SLOTS = 8;
const SLOT_SIZE = 8;
const WHAT = 4;
const TYPE_SHIFT = 16;
const HINT_MASK = 0xffff;

const TABLE = kernel_static("debug_objects", BUCKETS * BUCKET_SIZE);

const types: TypeRecord[] = [];

/** Registers a type of objects. Module level only. */
export function debug_obj_type(name: string, state: number): DebugObjType {
  types.push({ name, state, fixup: 0 });
  return types.length - 1;
}

/** fixup_init and fixup_free of a type: fn(cpu, object) makes the object inactive. Module level only. */
export function debug_obj_fixup(type: DebugObjType, fixup: SymbolId): void {
  (types[type] as TypeRecord).fixup = fixup;
}

function bucket_of(chunk: number): number {
  return TABLE + (Math.imul(chunk, 0x9e3779b1) >>> (32 - BUCKET_BITS)) * BUCKET_SIZE;
}

/** The slot of the first object in [from, to), or of the first free one with from 0 and to 1; 0 if there is none. */
function find_slot(cpu: Cpu, bucket: number, from: number, to: number): number {
  for (let slot = bucket + SLOTS; slot < bucket + BUCKET_SIZE; slot += SLOT_SIZE) {
    const object = cpu.mem.read(slot);
    if (object >= from && object < to) return slot;
  }
  return 0;
}

/** Watches an object from here on; `hint` is the function it will call. */
export function debug_object_activate(cpu: Cpu, object: number, type: DebugObjType, hint: SymbolId): void {
  const bucket = bucket_of(object >>> CHUNK_SHIFT);
  mutexLock(cpu.mem, bucket + LOCK);
  const slot = find_slot(cpu, bucket, object, object + 1) || find_slot(cpu, bucket, 0, 1);
  if (slot !== 0) {
    cpu.mem.write(slot, object);
    cpu.mem.write(slot + WHAT, (type << TYPE_SHIFT) | (hint & HINT_MASK));
  }
  mutexUnlock(cpu.mem, bucket + LOCK);
}

export function debug_object_deactivate(cpu: Cpu, object: number): void {
  take_first(cpu, bucket_of(object >>> CHUNK_SHIFT), object, object + 1);
}

/** Forgets the first object of the bucket in [from, to), if any. Its address and what it is, or 0 and 0. */
function take_first(cpu: Cpu, bucket: number, from: number, to: number): readonly [number, number] {
  mutexLock(cpu.mem, bucket + LOCK);
  const slot = find_slot(cpu, bucket, from, to);
  const object = slot === 0 ? 0 : cpu.mem.read(slot);
  const what = slot === 0 ? 0 : cpu.mem.read(slot + WHAT);
  if (slot !== 0) cpu.mem.write(slot, 0);
  mutexUnlock(cpu.mem, bucket + LOCK);
  return [object, what];
}

/** About to be initialised: it must not be active. */
export function debug_object_init(cpu: Cpu, object: number): void {
  report_active(cpu, bucket_of(object >>> CHUNK_SHIFT), object, object + 1, "init");
}

/**
 * This memory is being freed: nothing in it may be active. False when something in it is and cannot be taken back:
 * then the memory has to stay, whoever has the object will use it.
 */
export function debug_check_no_obj_freed(cpu: Cpu, p: number, bytes: number): boolean {
  const first = p >>> CHUNK_SHIFT;
  const chunks = ((p + bytes - 1) >>> CHUNK_SHIFT) - first + 1;
  let free = true;
  for (let i = 0; i < Math.min(chunks, BUCKETS); i++) {
    const bucket = chunks < BUCKETS ? bucket_of(first + i) : TABLE + i * BUCKET_SIZE;
    if (!report_active(cpu, bucket, p, p + bytes, "free")) free = false;
  }
  return free;
}

/** False when one of them stays active. */
function report_active(cpu: Cpu, bucket: number, from: number, to: number, verb: string): boolean {
  let inactive = true;
  for (;;) {
    const [object, what] = take_first(cpu, bucket, from, to);
    if (object === 0) return inactive;
    const type = types[what >> TYPE_SHIFT] as TypeRecord;
    const text =
      `ODEBUG: ${verb} active (active state ${type.state}) object: 0x${object.toString(16)} ` +
      `object type: ${type.name} hint: ${symbol_name(what & HINT_MASK)}`;
    WARN(cpu, true, text);
    if (type.fixup !== 0) symbol_call(cpu, type.fixup, object);
    else inactive = false;
  }
}
