/**
 * The mailbox over Int32Array and Atomics, checked as it stands. Run it with:
 * node --import @ringside/checker/register examples/check-raw-mailbox.ts
 */
import { check, overView, type Program } from "@ringside/checker";

const STATE = 16;
const VALUE = 17;
const EMPTY = 0;
const FULL = 1;

export function put(words: Int32Array, value: number): void {
  while (Atomics.load(words, STATE) !== EMPTY) Atomics.wait(words, STATE, FULL);
  words[VALUE] = value;
  Atomics.store(words, STATE, FULL);
  Atomics.notify(words, STATE, 1);
}

export function take(words: Int32Array): number {
  while (Atomics.load(words, STATE) !== FULL) Atomics.wait(words, STATE, EMPTY);
  const value = words[VALUE] ?? 0;
  Atomics.store(words, STATE, EMPTY);
  Atomics.notify(words, STATE, 1);
  return value;
}

function sender(words: Int32Array): void {
  put(words, 1);
  put(words, 2);
}

function taker(words: Int32Array): void {
  take(words);
}

export const rawMailbox: Program = {
  name: "two takers, raw",
  threads: [overView(sender), overView(taker), overView(taker)],
};

if (import.meta.main) console.log(check(rawMailbox).text);
