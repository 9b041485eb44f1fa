/**
 * The StringBuffer of JDK 1.4: append(other) asks other for its length and then for its characters, each under
 * other's lock, but not both under one; in between somebody may shorten it.
 */
import type { Memory } from "atomics-sync/memory";
import type { ThreadContext } from "../program.ts";
import { type Benchmark, benchmark } from "./benchmark.ts";
import { mutexLock, mutexUnlock } from "./lock.ts";

/** A buffer: lock, count, characters. */
const COUNT = 4;
const CHARACTERS = 8;
const SHARED = 64;
const OWN = 128;
const LENGTH = 3;

function lengthOf(memory: Memory, buffer: number): number {
  mutexLock(memory, buffer);
  const count = memory.read(buffer + COUNT);
  mutexUnlock(memory, buffer);
  return count;
}

/** Copies `length` characters; the caller holds the lock of `from`. */
function copyChars(memory: Memory, thread: ThreadContext, from: number, to: number, length: number): void {
  thread.assert(length <= memory.read(from + COUNT), "characters past the end of the buffer");
  memory.memcpy(to, from + CHARACTERS, length);
}

function appendBuffer(memory: Memory, thread: ThreadContext): void {
  mutexLock(memory, OWN);
  const length = lengthOf(memory, SHARED);
  const count = memory.read(OWN + COUNT);
  mutexLock(memory, SHARED);
  copyChars(memory, thread, SHARED, OWN + CHARACTERS + count, length);
  mutexUnlock(memory, SHARED);
  memory.write(OWN + COUNT, count + length);
  mutexUnlock(memory, OWN);
}

function appendBufferLocked(memory: Memory, thread: ThreadContext): void {
  mutexLock(memory, OWN);
  mutexLock(memory, SHARED);
  const length = memory.read(SHARED + COUNT);
  const count = memory.read(OWN + COUNT);
  copyChars(memory, thread, SHARED, OWN + CHARACTERS + count, length);
  mutexUnlock(memory, SHARED);
  memory.write(OWN + COUNT, count + length);
  mutexUnlock(memory, OWN);
}

function eraseAndAppend(memory: Memory): void {
  mutexLock(memory, SHARED);
  memory.write(SHARED + COUNT, memory.read(SHARED + COUNT) - LENGTH);
  mutexUnlock(memory, SHARED);
  mutexLock(memory, SHARED);
  memory.memset(SHARED + CHARACTERS, 97, LENGTH);
  memory.write(SHARED + COUNT, memory.read(SHARED + COUNT) + LENGTH);
  mutexUnlock(memory, SHARED);
}

function fill(memory: Memory): void {
  memory.write(SHARED + COUNT, LENGTH);
  memory.memset(SHARED + CHARACTERS, 97, LENGTH);
}

export const STRINGBUFFER: readonly Benchmark[] = benchmark(
  "CB",
  "CB/stringbuffer-jdk1.4",
  { setup: fill, threads: [eraseAndAppend, appendBuffer] },
  { setup: fill, threads: [eraseAndAppend, appendBufferLocked] },
);
