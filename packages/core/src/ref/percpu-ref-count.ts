/**
 * percpu_ref: the counter itself, its layout, get and put. The whole is described in percpu-ref.ts.
 *
 * A get or put is an RCU read section: the grace period of the switch to atomic mode waits for whoever has looked at
 * the mode and not yet changed the shard.
 */
import type { Ptr } from "atomics-sync";
import { ENOMEM } from "../debug/errno.ts";
import { kernel_static, symbol_call, symbol_name, type SymbolId } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { WARN_ON_ONCE } from "../debug/warn.ts";
import { lock_map_acquire, lock_map_release, lockdep_named_map } from "../lock/lockdep.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../lock/spinlock.ts";
import { alloc_percpu, free_percpu, PERCPU_LINE } from "../mm/percpu.ts";
import { kfree, kzalloc } from "../mm/slab.ts";
import { RCU_HEAD_SIZE } from "../rcu/rcu.ts";
import { rcu_read_lock, rcu_read_lock_held, rcu_read_unlock } from "../rcu/qs.ts";
import type { Cpu } from "../sched/cpu.ts";

export type PercpuRefPtr = Ptr<"percpu_ref">;

// struct percpu_ref
/** Shard pointer | flags. Changed under SWITCH_LOCK; read by everyone inside a read section. */
export const PERCPU_COUNT_PTR = 0;
const DATA = 4;
export const PERCPU_REF_SIZE = 8;

// struct percpu_ref_data
export const COUNT = 0;
export const RELEASE = 4;
/** Non-zero while a switch to atomic is in progress. Guarded by SWITCH_LOCK, cleared by the callback. */
export const CONFIRM_SWITCH = 8;
export const FORCE_ATOMIC = 12;
export const ALLOW_REINIT = 16;
export const RCU = 20;
export const REF: number = RCU + RCU_HEAD_SIZE;
const DATA_SIZE = REF + 4;

struct_layout("percpu_ref", PERCPU_REF_SIZE, [
  ["percpu_count_ptr", PERCPU_COUNT_PTR, 4],
  ["data", DATA, 4],
]);
struct_layout("percpu_ref_data", DATA_SIZE, [
  ["count", COUNT, 4],
  ["release", RELEASE, 4],
  ["confirm_switch", CONFIRM_SWITCH, 4],
  ["force_atomic", FORCE_ATOMIC, 4],
  ["allow_reinit", ALLOW_REINIT, 4],
  ["rcu", RCU, 8],
  ["ref", REF, 4],
]);

export const __PERCPU_REF_ATOMIC = 1;
export const __PERCPU_REF_DEAD = 2;
export const __PERCPU_REF_ATOMIC_DEAD = 3;

/** percpu_ref_init flags. */
export const PERCPU_REF_INIT_ATOMIC = 1;
export const PERCPU_REF_INIT_DEAD = 2;
export const PERCPU_REF_ALLOW_REINIT = 4;

export const PERCPU_COUNT_BIAS = -0x80000000;

/** Serialises the mode switches of all refs. */
export const SWITCH_LOCK: number = kernel_static("percpu_ref_switch_lock", 4);

export function data_of(cpu: Cpu, ref: PercpuRefPtr): number {
  return cpu.mem.read(ref + DATA);
}

/** Returns 0 or -ENOMEM. The initial reference belongs to the caller; kill drops it. */
export function percpu_ref_init(
  cpu: Cpu,
  ref: PercpuRefPtr,
  release: SymbolId,
  flags: number,
  gfp: number,
): number {
  cpu.mem.write(ref + PERCPU_COUNT_PTR, 0);
  const shards = alloc_percpu(cpu, 4, gfp);
  if (shards === 0) return -ENOMEM;
  const data = kzalloc(cpu, DATA_SIZE, gfp);
  if (data === 0) {
    free_percpu(cpu, shards);
    return -ENOMEM;
  }
  const atomic = (flags & PERCPU_REF_INIT_ATOMIC) !== 0;
  const dead = (flags & PERCPU_REF_INIT_DEAD) !== 0;
  const word = dead ? __PERCPU_REF_ATOMIC_DEAD : atomic ? __PERCPU_REF_ATOMIC : 0;
  cpu.mem.write(data + COUNT, (atomic || dead ? 0 : PERCPU_COUNT_BIAS) + (dead ? 0 : 1));
  cpu.mem.write(data + RELEASE, release);
  cpu.mem.write(data + FORCE_ATOMIC, atomic ? 1 : 0);
  cpu.mem.write(data + ALLOW_REINIT, atomic || dead || (flags & PERCPU_REF_ALLOW_REINIT) !== 0 ? 1 : 0);
  cpu.mem.write(data + REF, ref);
  cpu.mem.write(ref + DATA, data);
  cpu.mem.write(ref + PERCPU_COUNT_PTR, shards | word);
  return 0;
}

/** Frees the shards; nobody may use the ref any more. The final count stays in the word. Idempotent. */
export function percpu_ref_exit(cpu: Cpu, ref: PercpuRefPtr): void {
  percpu_ref_free_shards(cpu, ref);
  const data = data_of(cpu, ref);
  if (data === 0) return;
  spin_lock_irqsave(cpu, SWITCH_LOCK);
  const word = cpu.mem.read(ref + PERCPU_COUNT_PTR);
  cpu.mem.write(ref + PERCPU_COUNT_PTR, word | (cpu.mem.read(data + COUNT) << 2));
  cpu.mem.write(ref + DATA, 0);
  spin_unlock_irqrestore(cpu, SWITCH_LOCK);
  kfree(cpu, data);
}

export function percpu_ref_free_shards(cpu: Cpu, ref: PercpuRefPtr): void {
  const shards = shards_of(cpu.mem.readOnce(ref + PERCPU_COUNT_PTR));
  const data = data_of(cpu, ref);
  if (shards === 0 || data === 0) return;
  // A switch in progress still reads the shards.
  WARN_ON_ONCE(cpu, cpu.mem.readOnce(data + CONFIRM_SWITCH) !== 0);
  free_percpu(cpu, shards);
  cpu.mem.writeOnce(ref + PERCPU_COUNT_PTR, __PERCPU_REF_ATOMIC_DEAD);
}

// An exported constant is looked up at each use, even here.
const COUNT_PTR = PERCPU_COUNT_PTR;
const LINE_SHIFT = 31 - Math.clz32(PERCPU_LINE);
const ATOMIC_DEAD = __PERCPU_REF_ATOMIC_DEAD;

export function shards_of(word: number): number {
  return word & ~__PERCPU_REF_ATOMIC_DEAD;
}

/** this_cpu_add: the shard is this CPU's alone, others read it only after a grace period. */
function shard_add(cpu: Cpu, shards: number, n: number): void {
  const mem = cpu.mem;
  const shard = shards + (cpu.id << LINE_SHIFT);
  if (cpu.ownerShards) mem.write(shard, (mem.read(shard) + n) | 0);
  else mem.fetchAdd(shard, n);
}

// A get or put comes to no safe point, so its read section need not be counted: no grace period ends in it anyway (in
// a kernel that does not preempt, Linux's rcu_read_lock is nothing at all). Only who watches sections is told.

export function percpu_ref_get_many(cpu: Cpu, ref: PercpuRefPtr, nr: number): void {
  if (cpu.rcu_watched) get_watched(cpu, ref, nr);
  else __percpu_ref_get(cpu, ref, nr);
}

function get_watched(cpu: Cpu, ref: PercpuRefPtr, nr: number): void {
  rcu_read_lock(cpu);
  __percpu_ref_get(cpu, ref, nr);
  rcu_read_unlock(cpu);
}

function __percpu_ref_get(cpu: Cpu, ref: PercpuRefPtr, nr: number): void {
  const word = cpu.mem.readOnce(ref + COUNT_PTR);
  if ((word & ATOMIC_DEAD) === 0) shard_add(cpu, word, nr);
  else cpu.mem.fetchAdd(data_of(cpu, ref) + COUNT, nr);
}

export function percpu_ref_get(cpu: Cpu, ref: PercpuRefPtr): void {
  percpu_ref_get_many(cpu, ref, 1);
}

/** atomic_long_add_unless(count, nr, 0). */
function count_add_not_zero(cpu: Cpu, ref: PercpuRefPtr, nr: number): boolean {
  const count = data_of(cpu, ref) + COUNT;
  let old = cpu.mem.readOnce(count);
  while (old !== 0) {
    const seen = cpu.mem.compareExchange(count, old, old + nr);
    if (seen === old) return true;
    old = seen;
  }
  return false;
}

/** Gets unless the count is 0; succeeds on a killed ref that still has users. */
export function percpu_ref_tryget_many(cpu: Cpu, ref: PercpuRefPtr, nr: number): boolean {
  const watched = cpu.rcu_watched;
  if (watched) rcu_read_lock(cpu);
  const word = cpu.mem.readOnce(ref + COUNT_PTR);
  let got = true;
  if ((word & ATOMIC_DEAD) === 0) shard_add(cpu, word, nr);
  else got = count_add_not_zero(cpu, ref, nr);
  if (watched) rcu_read_unlock(cpu);
  return got;
}

export function percpu_ref_tryget(cpu: Cpu, ref: PercpuRefPtr): boolean {
  return percpu_ref_tryget_many(cpu, ref, 1);
}

/** Gets unless the ref was killed. The caller is inside an RCU read section. */
export function percpu_ref_tryget_live_rcu(cpu: Cpu, ref: PercpuRefPtr): boolean {
  WARN_ON_ONCE(cpu, !rcu_read_lock_held(cpu));
  return __percpu_ref_tryget_live(cpu, ref);
}

function __percpu_ref_tryget_live(cpu: Cpu, ref: PercpuRefPtr): boolean {
  const word = cpu.mem.readOnce(ref + COUNT_PTR);
  if ((word & ATOMIC_DEAD) === 0) {
    shard_add(cpu, word, 1);
    return true;
  }
  // DEAD is tested before the data is touched: after percpu_ref_exit there is none.
  return (word & __PERCPU_REF_DEAD) === 0 && count_add_not_zero(cpu, ref, 1);
}

export function percpu_ref_tryget_live(cpu: Cpu, ref: PercpuRefPtr): boolean {
  return cpu.rcu_watched ? tryget_live_watched(cpu, ref) : __percpu_ref_tryget_live(cpu, ref);
}

function tryget_live_watched(cpu: Cpu, ref: PercpuRefPtr): boolean {
  rcu_read_lock(cpu);
  const got = __percpu_ref_tryget_live(cpu, ref);
  rcu_read_unlock(cpu);
  return got;
}

export function percpu_ref_put_many(cpu: Cpu, ref: PercpuRefPtr, nr: number): void {
  if (cpu.rcu_watched) put_watched(cpu, ref, nr);
  else __percpu_ref_put(cpu, ref, nr);
}

function put_watched(cpu: Cpu, ref: PercpuRefPtr, nr: number): void {
  rcu_read_lock(cpu);
  __percpu_ref_put(cpu, ref, nr);
  rcu_read_unlock(cpu);
}

function __percpu_ref_put(cpu: Cpu, ref: PercpuRefPtr, nr: number): void {
  const word = cpu.mem.readOnce(ref + COUNT_PTR);
  if ((word & ATOMIC_DEAD) === 0) shard_add(cpu, word, -nr);
  else count_sub(cpu, ref, nr);
}

/** The put of atomic mode; the last one releases, in a read section that counts: release must not sleep. */
function count_sub(cpu: Cpu, ref: PercpuRefPtr, nr: number): void {
  const watched = cpu.rcu_watched;
  if (!watched) rcu_read_lock(cpu);
  const data = data_of(cpu, ref);
  if (cpu.mem.fetchSub(data + COUNT, nr) === nr) call_release(cpu, ref, cpu.mem.read(data + RELEASE));
  if (!watched) rcu_read_unlock(cpu);
}

function call_release(cpu: Cpu, ref: PercpuRefPtr, release: SymbolId): void {
  if (!cpu.lockdep) {
    symbol_call(cpu, release, ref);
    return;
  }
  const map = release_map(cpu, release);
  // The last put may come from a grace period's callback, in softirq context, or from a task: as if interrupts
  // were off, or the two would count as a use of the map that a softirq could meet.
  cpu.lock_state.irqs_off++;
  lock_map_acquire(cpu, map);
  cpu.lock_state.irqs_off--;
  symbol_call(cpu, release, ref);
  lock_map_release(cpu, map);
}

/** The lockdep map of all refs with this release function. */
function release_map(cpu: Cpu, release: SymbolId): number {
  return lockdep_named_map(cpu, `(percpu_ref)${symbol_name(release)}`);
}

/** The map of the ref (percpu-ref-lockdep.ts). */
export function percpu_ref_lockdep_map(cpu: Cpu, ref: PercpuRefPtr): number {
  const data = data_of(cpu, ref);
  return release_map(cpu, data === 0 ? 0 : cpu.mem.read(data + RELEASE));
}

export function percpu_ref_put(cpu: Cpu, ref: PercpuRefPtr): void {
  percpu_ref_put_many(cpu, ref, 1);
}

export function percpu_ref_is_dying(cpu: Cpu, ref: PercpuRefPtr): boolean {
  return (cpu.mem.readOnce(ref + COUNT_PTR) & __PERCPU_REF_DEAD) !== 0;
}

/** True in atomic mode with a count of 0; after exit, by the count it left. */
export function percpu_ref_is_zero(cpu: Cpu, ref: PercpuRefPtr): boolean {
  const word = cpu.mem.readOnce(ref + COUNT_PTR);
  if ((word & __PERCPU_REF_ATOMIC_DEAD) === 0) return false;
  spin_lock_irqsave(cpu, SWITCH_LOCK);
  const data = data_of(cpu, ref);
  const count = data !== 0 ? cpu.mem.readOnce(data + COUNT) : cpu.mem.read(ref + COUNT_PTR) >>> 2;
  spin_unlock_irqrestore(cpu, SWITCH_LOCK);
  return count === 0;
}
