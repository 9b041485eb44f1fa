/**
 * Kernel bugs of the ConVul set about lifetime, reduced to the accesses that matter: CVE-2016-9806 (netlink, double
 * free), 2017-6346 (packet fanout, double free or use after free), 2017-15265 (ALSA sequencer ports, use after free).
 */
import type { Memory } from "atomics-sync/memory";
import type { ThreadContext } from "../program.ts";
import { type Benchmark, benchmark } from "./benchmark.ts";
import { mutexLock, mutexUnlock } from "./lock.ts";
import { freeObject, newObject } from "./object.ts";

const M = 64;
const ARENA = 68;
const POINTER = 72;
const FIRST_OBJECT = 256;

function openArena(memory: Memory): void {
  memory.write(ARENA, FIRST_OBJECT);
}

/** netlink_dump: stores its buffer under the lock, and frees the one that is stored after it. `inside`: before. */
function dumps(memory: Memory, thread: ThreadContext, inside: boolean): void {
  mutexLock(memory, M);
  const buffer = newObject(memory, ARENA);
  memory.write(buffer, 1);
  memory.write(POINTER, buffer);
  if (inside) freeObject(memory, thread, memory.read(POINTER));
  mutexUnlock(memory, M);
  if (!inside) freeObject(memory, thread, memory.read(POINTER));
}

const cve20169806 = benchmark(
  "ConVul",
  "CVE-2016-9806",
  {
    setup: openArena,
    threads: [
      (memory, thread) => dumps(memory, thread, false),
      (memory, thread) => dumps(memory, thread, false),
    ],
  },
  {
    setup: openArena,
    threads: [
      (memory, thread) => dumps(memory, thread, true),
      (memory, thread) => dumps(memory, thread, true),
    ],
  },
);

/** fanout_add, which fails: its new rollover is in the socket from the start, and freed from there. */
function addsFanout(memory: Memory, thread: ThreadContext): void {
  memory.write(POINTER, newObject(memory, ARENA));
  memory.write(memory.read(POINTER), 0);
  mutexLock(memory, M);
  mutexUnlock(memory, M);
  freeObject(memory, thread, memory.read(POINTER));
}

/** Keeps it to itself until it has succeeded. */
function addsOwnFanout(memory: Memory, thread: ThreadContext): void {
  const rollover = newObject(memory, ARENA);
  memory.write(rollover, 0);
  mutexLock(memory, M);
  mutexUnlock(memory, M);
  freeObject(memory, thread, rollover);
}

const cve20176346 = benchmark(
  "ConVul",
  "CVE-2017-6346",
  { setup: openArena, threads: [addsFanout, addsFanout] },
  { setup: openArena, threads: [addsOwnFanout, addsOwnFanout] },
);

const PORTS_MUTEX = 76;
const PORTS_LOCK = 80;
/** Of a port: its type, and how many use it. */
const TYPE = 0;
const USERS = 4;

/** snd_seq_create_port: lists the new port, and sets its type afterwards. `counts`: as one who uses it. */
function createsPort(memory: Memory, counts: boolean): void {
  const port = newObject(memory, ARENA);
  if (counts) memory.write(port + USERS, 1);
  mutexLock(memory, PORTS_MUTEX);
  mutexLock(memory, PORTS_LOCK);
  memory.write(POINTER, port);
  mutexUnlock(memory, PORTS_LOCK);
  mutexUnlock(memory, PORTS_MUTEX);
  memory.write(port + TYPE, 7);
  if (counts && memory.fetchSub(port + USERS, 1) === 1) memory.notify(port + USERS, 1);
}

/** snd_seq_delete_port: takes the port off the list and frees it, `waits`: when nobody uses it. */
function deletesPort(memory: Memory, thread: ThreadContext, waits: boolean): void {
  mutexLock(memory, PORTS_MUTEX);
  mutexLock(memory, PORTS_LOCK);
  const port = memory.read(POINTER);
  if (port !== 0) memory.write(POINTER, 0);
  mutexUnlock(memory, PORTS_LOCK);
  mutexUnlock(memory, PORTS_MUTEX);
  if (port === 0) return;
  while (waits && memory.loadAcquire(port + USERS) !== 0)
    memory.wait(port + USERS, 1, Number.POSITIVE_INFINITY);
  freeObject(memory, thread, port);
}

const cve201715265 = benchmark(
  "ConVul",
  "CVE-2017-15265",
  {
    setup: openArena,
    threads: [(memory) => createsPort(memory, false), (memory, thread) => deletesPort(memory, thread, false)],
  },
  {
    setup: openArena,
    threads: [(memory) => createsPort(memory, true), (memory, thread) => deletesPort(memory, thread, true)],
  },
);

export const CONVUL_LIFETIME: readonly Benchmark[] = [...cve20169806, ...cve20176346, ...cve201715265];
