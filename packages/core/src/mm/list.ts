/**
 * Doubly linked lists inside structs (include/linux/list.h): a list_head is {next, prev}, two words.
 * Callers hold whatever lock guards the list. As in Linux, whether a list is empty may be asked without it: what
 * changes a head's next is a writeOnce.
 */
import type { Cpu } from "../sched/cpu.ts";

export const LIST_HEAD_SIZE = 8;
const NEXT = 0;
const PREV = 4;

export function INIT_LIST_HEAD(cpu: Cpu, list: number): void {
  cpu.mem.writeOnce(list + NEXT, list);
  cpu.mem.write(list + PREV, list);
}

export function list_empty(cpu: Cpu, list: number): boolean {
  return cpu.mem.readOnce(list + NEXT) === list;
}

export function list_next(cpu: Cpu, entry: number): number {
  return cpu.mem.read(entry + NEXT);
}

export function list_prev(cpu: Cpu, entry: number): number {
  return cpu.mem.read(entry + PREV);
}

function list_insert(cpu: Cpu, entry: number, prev: number, next: number): void {
  cpu.mem.write(next + PREV, entry);
  cpu.mem.write(entry + NEXT, next);
  cpu.mem.write(entry + PREV, prev);
  cpu.mem.writeOnce(prev + NEXT, entry);
}

/** Inserts after `head`: a stack's push. */
export function list_add(cpu: Cpu, entry: number, head: number): void {
  list_insert(cpu, entry, head, cpu.mem.read(head + NEXT));
}

/** Inserts before `head`: a queue's append. Also inserts before any entry. */
export function list_add_tail(cpu: Cpu, entry: number, head: number): void {
  list_insert(cpu, entry, cpu.mem.read(head + PREV), head);
}

/** Unlinks and leaves null pointers behind, so that a second list_del faults in checked memory. */
export function list_del(cpu: Cpu, entry: number): void {
  list_unlink(cpu, entry);
  cpu.mem.write(entry + NEXT, 0);
  cpu.mem.write(entry + PREV, 0);
}

export function list_del_init(cpu: Cpu, entry: number): void {
  list_unlink(cpu, entry);
  INIT_LIST_HEAD(cpu, entry);
}

export function list_move_tail(cpu: Cpu, entry: number, head: number): void {
  list_unlink(cpu, entry);
  list_add_tail(cpu, entry, head);
}

/** Moves every entry of `list` to the front of `head`; `list` is empty afterwards. */
export function list_splice_init(cpu: Cpu, list: number, head: number): void {
  if (list_empty(cpu, list)) return;
  const first = cpu.mem.read(list + NEXT);
  const last = cpu.mem.read(list + PREV);
  const at = cpu.mem.read(head + NEXT);
  cpu.mem.write(first + PREV, head);
  cpu.mem.write(head + NEXT, first);
  cpu.mem.write(last + NEXT, at);
  cpu.mem.write(at + PREV, last);
  INIT_LIST_HEAD(cpu, list);
}

function list_unlink(cpu: Cpu, entry: number): void {
  const next = cpu.mem.read(entry + NEXT);
  const prev = cpu.mem.read(entry + PREV);
  cpu.mem.write(next + PREV, prev);
  cpu.mem.writeOnce(prev + NEXT, next);
}
