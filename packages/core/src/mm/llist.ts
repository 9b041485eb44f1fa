/**
 * Lock-less lists (include/linux/llist.h): anyone pushes, one consumer takes the whole list. A list is one
 * word, its first entry; entries are linked through a word of theirs at a fixed offset. The newest entry is
 * first.
 *
 * Interface: llist_add; llist_del_all, then llist_reverse_order for oldest first. Entries taken belong to the
 * consumer alone.
 */
import type { Cpu } from "../sched/cpu.ts";

/** Pushes `entry`, linked at `entry + link`. True when the list was empty. */
export function llist_add(cpu: Cpu, head: number, entry: number, link: number): boolean {
  for (;;) {
    const first = cpu.mem.loadAcquire(head);
    cpu.mem.write(entry + link, first);
    // Full order: pairs with the exchange in llist_del_all. The consumer sees the entry filled in, and
    // whatever it does next is later than everything the pusher did before.
    if (cpu.mem.compareExchange(head, first, entry) === first) return first === 0;
  }
}

export function llist_empty(cpu: Cpu, head: number): boolean {
  return cpu.mem.loadAcquire(head) === 0;
}

/** Takes all entries, newest first; 0 when there are none. */
export function llist_del_all(cpu: Cpu, head: number): number {
  return llist_empty(cpu, head) ? 0 : cpu.mem.exchange(head, 0);
}

/** Turns a list taken around; returns its new first entry. */
export function llist_reverse_order(cpu: Cpu, first: number, link: number): number {
  let result = 0;
  let entry = first;
  while (entry !== 0) {
    const next = cpu.mem.read(entry + link);
    cpu.mem.write(entry + link, result);
    result = entry;
    entry = next;
  }
  return result;
}
