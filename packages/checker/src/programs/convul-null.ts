/**
 * Kernel bugs of the ConVul set where a pointer turns null under its reader, reduced to the accesses that matter:
 * CVE-2009-3547 (pipes), 2011-2183 (KSM), 2013-1792 and 2015-7550 (keys), 2016-7911 (I/O priorities).
 */
import type { Memory } from "atomics-sync/memory";
import type { ThreadContext } from "../program.ts";
import { type Benchmark, benchmark } from "./benchmark.ts";
import { mutexLock, mutexUnlock } from "./lock.ts";
import { notNull } from "./object.ts";

const M = 64;
const POINTER = 68;
const OBJECT = 256;

function pointToObject(memory: Memory): void {
  memory.write(POINTER, OBJECT);
}

/** pipe_write_open: the lock keeps nobody from having taken the pipe away before. */
function opensPipe(memory: Memory, thread: ThreadContext, looks: boolean): void {
  mutexLock(memory, M);
  const pipe = memory.read(POINTER);
  if (!looks || pipe !== 0) memory.write(notNull(thread, pipe), memory.read(pipe) + 1);
  mutexUnlock(memory, M);
}

function dropsPipe(memory: Memory): void {
  mutexLock(memory, M);
  memory.write(POINTER, 0);
  mutexUnlock(memory, M);
}

const cve20093547 = benchmark(
  "ConVul",
  "CVE-2009-3547",
  { setup: pointToObject, threads: [(memory, thread) => opensPipe(memory, thread, false), dropsPipe] },
  { setup: pointToObject, threads: [(memory, thread) => opensPipe(memory, thread, true), dropsPipe] },
);

/** The list of mm slots, whose head stands for itself when it is empty, and the scanner's place in it. */
const LIST_NEXT = 72;
const SCAN_SLOT = 76;
const HEAD = 128;
const SLOT = 160;
const SLOT_MM = 0;
const MM = 256;

function listOneSlot(memory: Memory): void {
  memory.write(LIST_NEXT, SLOT);
  memory.write(SLOT + SLOT_MM, MM);
  memory.write(SCAN_SLOT, HEAD);
}

/**
 * scan_get_next_rmap_item: finds the list not empty, and takes its first under the lock. `looks`: unless it is the
 * head.
 */
function scansNext(memory: Memory, thread: ThreadContext, looks: boolean): void {
  if (memory.read(LIST_NEXT) === HEAD) return;
  mutexLock(memory, M);
  const slot = memory.read(LIST_NEXT);
  memory.write(SCAN_SLOT, slot);
  mutexUnlock(memory, M);
  if (looks && slot === HEAD) return;
  const mm = notNull(thread, memory.read(slot + SLOT_MM));
  memory.read(mm);
  mutexLock(memory, M);
  memory.write(SCAN_SLOT, HEAD);
  mutexUnlock(memory, M);
}

/** __ksm_exit: takes the slot out unless the scanner is at it. */
function exitsMm(memory: Memory): void {
  mutexLock(memory, M);
  if (memory.read(SCAN_SLOT) !== SLOT) memory.write(LIST_NEXT, HEAD);
  mutexUnlock(memory, M);
}

const cve20112183 = benchmark(
  "ConVul",
  "CVE-2011-2183",
  { setup: listOneSlot, threads: [(memory, thread) => scansNext(memory, thread, false), exitsMm] },
  { setup: listOneSlot, threads: [(memory, thread) => scansNext(memory, thread, true), exitsMm] },
);

const UID_KEYRING = 80;
const SESSION_KEYRING = 84;

/** install_user_keyrings: takes one keyring for a sign of both. `both`: looks at both. */
function installsKeyrings(memory: Memory, both: boolean): void {
  if (memory.read(UID_KEYRING) !== 0 && (!both || memory.read(SESSION_KEYRING) !== 0)) return;
  mutexLock(memory, M);
  if (memory.read(UID_KEYRING) === 0) {
    memory.write(UID_KEYRING, OBJECT);
    memory.write(SESSION_KEYRING, OBJECT + 8);
  }
  mutexUnlock(memory, M);
}

function looksUpKey(memory: Memory, thread: ThreadContext, both: boolean): void {
  if (memory.read(SESSION_KEYRING) === 0) installsKeyrings(memory, both);
  const key = notNull(thread, memory.read(SESSION_KEYRING));
  memory.fetchAdd(key, 1);
}

const cve20131792 = benchmark(
  "ConVul",
  "CVE-2013-1792",
  {
    threads: [
      (memory, thread) => looksUpKey(memory, thread, false),
      (memory) => installsKeyrings(memory, false),
    ],
  },
  {
    threads: [
      (memory, thread) => looksUpKey(memory, thread, true),
      (memory) => installsKeyrings(memory, true),
    ],
  },
);

const KEY_FLAGS = 88;
const REVOKED = 1;

/** keyctl_read_key: asks whether the key is revoked before it has the lock; `inside`: when it has. */
function readsKey(memory: Memory, thread: ThreadContext, inside: boolean): void {
  if (!inside && memory.read(KEY_FLAGS) === REVOKED) return;
  mutexLock(memory, M);
  if (!inside || memory.read(KEY_FLAGS) !== REVOKED) {
    const keys = notNull(thread, memory.read(POINTER));
    memory.read(keys);
  }
  mutexUnlock(memory, M);
}

function revokesKey(memory: Memory): void {
  mutexLock(memory, M);
  memory.write(KEY_FLAGS, REVOKED);
  memory.write(POINTER, 0);
  mutexUnlock(memory, M);
}

const cve20157550 = benchmark(
  "ConVul",
  "CVE-2015-7550",
  { setup: pointToObject, threads: [revokesKey, (memory, thread) => readsKey(memory, thread, false)] },
  { setup: pointToObject, threads: [revokesKey, (memory, thread) => readsKey(memory, thread, true)] },
);

/** get_task_ioprio: looks at the pointer, and then follows it. */
function readsPriority(memory: Memory, thread: ThreadContext): void {
  if (memory.read(POINTER) === 0) return;
  const context = notNull(thread, memory.read(POINTER));
  memory.read(context);
}

function readsPriorityLocked(memory: Memory, thread: ThreadContext): void {
  mutexLock(memory, M);
  readsPriority(memory, thread);
  mutexUnlock(memory, M);
}

function exitsIoContext(memory: Memory): void {
  mutexLock(memory, M);
  const context = memory.read(POINTER);
  memory.write(POINTER, 0);
  mutexUnlock(memory, M);
  memory.fetchSub(context + 4, 1);
}

const cve20167911 = benchmark(
  "ConVul",
  "CVE-2016-7911",
  { setup: pointToObject, threads: [readsPriority, exitsIoContext] },
  { setup: pointToObject, threads: [readsPriorityLocked, exitsIoContext] },
);

export const CONVUL_NULL: readonly Benchmark[] = [
  ...cve20093547,
  ...cve20112183,
  ...cve20131792,
  ...cve20157550,
  ...cve20167911,
];
