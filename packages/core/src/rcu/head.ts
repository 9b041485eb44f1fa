/**
 * struct rcu_head (include/linux/types.h), and what debug objects know about one (kernel/rcu/rcu.h,
 * CONFIG_DEBUG_OBJECTS_RCU_HEAD): while RCU owns a head its function word carries a mark, so that a second
 * call_rcu on it is seen. Always on; it costs one compare-and-exchange per callback.
 *
 * Interface: rcu_head_queue before the head goes on a list, rcu_head_invoke when its grace period is over.
 * A head needs no initialisation: no address, symbol, poison or small number looks like the mark.
 */
import type { Ptr } from "atomics-sync";
import { kernel_static, kernel_symbol, symbol_call, symbol_name, type SymbolId } from "../debug/image.ts";
import { LOG_INFO, printk } from "../debug/dmesg.ts";
import { struct_layout } from "../debug/layout.ts";
import {
  debug_obj_type,
  debug_object_activate,
  debug_object_deactivate,
  type DebugObjType,
} from "../debug/objects.ts";
import { WARN } from "../debug/warn.ts";
import type { Cpu } from "../sched/cpu.ts";

export type RcuHeadPtr = Ptr<"rcu_head">;

/** Owned by RCU from call_rcu until the callback. */
export const RCU_HEAD_SIZE = 8;
/** Link in a list of callbacks. */
export const RCU_HEAD_NEXT = 0;
/** Queued: mark, offset / 8 (9 bits), symbol (15 bits). */
const FUNC = 4;

struct_layout("rcu_head", RCU_HEAD_SIZE, [
  ["next", RCU_HEAD_NEXT, 4],
  ["func", FUNC, 4],
]);

/** There is no taking back: a head whose memory was freed is lost. */
const RCU_HEAD_DEBUG: DebugObjType = debug_obj_type("rcu_head", 1);

const MARK = 0xbe000000 | 0;
const MARK_MASK = 0xff000000;
const OFFSET_SHIFT = 15;
const SYMBOL_MASK = 0x7fff;
/** Offsets are below this (is_kfree_rcu_offset). */
export const RCU_OFFSET_LIMIT = 4096;
/** rcu_head_init: nobody has queued it. */
const NEVER_QUEUED = -1;
/** Double calls told in full. */
const DOUBLE_FREES_TOLD = 3;

const DOUBLE_FREES = kernel_static("rcu_doublefrees", 4);
const LEAK_CALLBACK = kernel_symbol(rcu_leak_callback);

/** What a head gets whose callback nobody can trust any more: the object leaks. */
function rcu_leak_callback(): void {}

function queued_word(func: SymbolId, offset: number): number {
  return MARK | ((offset >> 3) << OFFSET_SHIFT) | func;
}

function is_queued(word: number): boolean {
  return (word & MARK_MASK) === MARK;
}

/**
 * Hands `head` to RCU; the callback will be `func(cpu, head, offset)`. False, after a report, when RCU has it
 * already: the caller must not queue it, and the callback of the first call is given up.
 */
export function rcu_head_queue(cpu: Cpu, head: number, func: SymbolId, offset: number): boolean {
  const word = cpu.mem.readOnce(head + FUNC);
  // Exchanged, so that of two CPUs that queue one head at once the second sees it.
  if (!is_queued(word) && cpu.mem.compareExchange(head + FUNC, word, queued_word(func, offset)) === word) {
    if (cpu.lockdep) debug_object_activate(cpu, head, RCU_HEAD_DEBUG, func);
    return true;
  }
  report_double_call(cpu, head);
  return false;
}

function report_double_call(cpu: Cpu, head: number): void {
  const word = cpu.mem.readOnce(head + FUNC);
  report_active(cpu, "activate", head, word);
  // The first three only: whoever does this does it often.
  if (cpu.mem.fetchAdd(DOUBLE_FREES, 1) < DOUBLE_FREES_TOLD) {
    const name = symbol_name(word & SYMBOL_MASK);
    printk(cpu, LOG_INFO, `call_rcu(): Double-freed CB 0x${head.toString(16)}->${name}()!!!`);
  }
  // Unless the callback has run meanwhile: the head would look queued for ever.
  if (is_queued(word)) cpu.mem.compareExchange(head + FUNC, word, queued_word(LEAK_CALLBACK, 0));
}

/** ODEBUG's sentence. */
function report_active(cpu: Cpu, what: string, head: number, word: number): void {
  WARN(
    cpu,
    true,
    `ODEBUG: ${what} active (active state 1) object: 0x${head.toString(16)} object type: rcu_head ` +
      `hint: ${symbol_name(word & SYMBOL_MASK)}`,
  );
}

/** Runs the callback. The head is its owner's again before, so the callback may free or queue it. */
export function rcu_head_invoke(cpu: Cpu, head: number): void {
  const word = cpu.mem.readOnce(head + FUNC);
  if (cpu.lockdep) debug_object_deactivate(cpu, head);
  cpu.mem.writeOnce(head + FUNC, 0);
  symbol_call(cpu, word & SYMBOL_MASK, head, ((word & ~MARK_MASK) >> OFFSET_SHIFT) << 3);
}

export function init_rcu_head(cpu: Cpu, head: number): void {
  cpu.mem.writeOnce(head + FUNC, 0);
}
export function init_rcu_head_on_stack(cpu: Cpu, head: number): void {
  init_rcu_head(cpu, head);
}

/** Before the head's stack goes: RCU must not own it any more. */
export function destroy_rcu_head_on_stack(cpu: Cpu, head: number): void {
  const word = cpu.mem.readOnce(head + FUNC);
  if (is_queued(word)) report_active(cpu, "free", head, word);
}

/** For rcu_head_after_call_rcu: says that nobody has queued this head yet. */
export function rcu_head_init(cpu: Cpu, head: number): void {
  cpu.mem.writeOnce(head + FUNC, NEVER_QUEUED);
}

/** Has the head, after rcu_head_init, been given to call_rcu with `func`? Warns if with another function. */
export function rcu_head_after_call_rcu(cpu: Cpu, head: number, func: SymbolId): boolean {
  const word = cpu.mem.readOnce(head + FUNC);
  if (word === queued_word(func, 0)) return true;
  WARN(cpu, word !== NEVER_QUEUED, "rcu_head_after_call_rcu: queued with another function");
  return false;
}
