/**
 * Heap: objects for programs that allocate, small enough to check, and honest about lifetime: every object has a
 * redzone before it, a freed one is poisoned, and the detectors hear of each alloc and free.
 *
 * Memory is never reused by default, so that every use after free is seen; `reuse: "eager"` hands the last freed object
 * of the same size out at once, which shows ABA. Under the checker alloc and free are no switch points, keep their
 * books unseen and make no order between threads, but for the free of an object before its next alloc; without reuse
 * addresses do not depend on the schedule. Works over any Memory, threads included: then a lock guards the books.
 *
 * Interface: `heapInit(memory)` once, in setup; then heapAlloc and heapFree on any thread; heapLeaks at the end. In
 * reports an alloc or free stands at the last site its thread came to: `heapAlloc(m.at(site), bytes)` names it.
 */
import { CheckedMemory, KASAN_SLAB_FREE, KASAN_SLAB_REDZONE } from "atomics-sync/checked-memory";
import type { Memory } from "atomics-sync/memory";
import { ControlledMemory } from "./controlled-memory.ts";

export interface HeapOptions {
  /** Bytes of the heap, the last ones of memory; default half of it. */
  readonly bytes?: number;
  readonly reuse?: "never" | "eager";
}

/** An object that is alive. */
export interface HeapObject {
  readonly address: number;
  readonly bytes: number;
}

/** The root: the last bytes of memory. */
const ROOT_BYTES = 64;
const MAGIC = 0;
const START = 4;
const EAGER = 8;
const LOCK = 12;
/** Newest free object, when eager. */
const FREE_LIST = 16;
const ARENAS = 20;
const ARENA_BYTES = 24;
const IS_HEAP = 0x48454150;

/** The header before each object, its redzone as well. */
const HEADER = 16;
const SIZE = 0;
const STATE = 4;
const NEXT_FREE = 8;
const IS_LIVE = 0x4c495645;
const IS_FREE = 0x46524545;

/** The first word of an arena: where its next object goes. An arena of its own for each controlled thread. */
const ARENA_NEXT = 0;
const ARENA_HEAD = 16;

/** Throws RangeError if the heap does not fit. */
export function heapInit(memory: Memory, options: HeapOptions = {}): void {
  const bytes = options.bytes ?? memory.size / 2;
  const arenas = memory instanceof ControlledMemory ? memory.world.names.length + 1 : 1;
  const arenaBytes = Math.floor((bytes - ROOT_BYTES) / arenas) & ~15;
  if (!(bytes <= memory.size) || arenaBytes < ARENA_HEAD + HEADER + 8)
    throw new RangeError(`heap of ${bytes} bytes in a memory of ${memory.size}`);
  const root = rootOf(memory);
  const start = (root - arenas * arenaBytes) & ~15;
  if (memory instanceof CheckedMemory) memory.poison(start, arenas * arenaBytes, KASAN_SLAB_REDZONE);
  keepBooks(memory, (books) => {
    books.write(root + START, start);
    books.write(root + EAGER, options.reuse === "eager" ? 1 : 0);
    books.write(root + FREE_LIST, 0);
    books.write(root + ARENAS, arenas);
    books.write(root + ARENA_BYTES, arenaBytes);
    for (let i = 0; i < arenas; i++) {
      const arena = start + i * arenaBytes;
      books.write(arena + ARENA_NEXT, arena + ARENA_HEAD);
    }
    books.write(root + MAGIC, IS_HEAP);
  });
}

/** An object of `bytes` bytes (1 ...), 8-aligned, contents undefined. Throws RangeError when the heap is full. */
export function heapAlloc(memory: Memory, bytes: number): number {
  if (!(bytes >= 1)) throw new RangeError(`heapAlloc of ${bytes} bytes`);
  const root = checkedRoot(memory);
  const p = keepBooks(memory, (books) => takeFree(books, root, bytes) || takeNew(memory, books, root, bytes));
  if (p === 0) throw new RangeError(`heap is full: no ${bytes} bytes left`);
  if (memory instanceof CheckedMemory) memory.unpoison(p, bytes);
  return p;
}

/** Frees what heapAlloc gave. A second free is a finding of the checker; elsewhere an Error. */
export function heapFree(memory: Memory, p: number): void {
  const root = checkedRoot(memory);
  const bytes = keepBooks(memory, (books) => giveBack(books, root, p));
  if (bytes > 0) {
    if (memory instanceof CheckedMemory) memory.poison(p, bytes, KASAN_SLAB_FREE);
    keepBooks(memory, (books) => offer(books, root, p));
    return;
  }
  const message = `double free of ${p}`;
  if (!(memory instanceof ControlledMemory)) throw new Error(message);
  // The lifetime detector knows who freed it first; this is for executions without it.
  memory.poison(p, -bytes, KASAN_SLAB_FREE);
  memory.world.find({ kind: "double-free", message, thread: memory.thread, site: memory.site });
}

/** What is alive. */
export function heapLeaks(memory: Memory): HeapObject[] {
  const root = checkedRoot(memory);
  return keepBooks(memory, (books) => {
    const alive: HeapObject[] = [];
    const arenaBytes = books.read(root + ARENA_BYTES);
    for (let i = 0; i < books.read(root + ARENAS); i++) {
      const arena = books.read(root + START) + i * arenaBytes;
      const end = books.read(arena + ARENA_NEXT);
      for (let header = arena + ARENA_HEAD; header < end; ) {
        const bytes = books.read(header + SIZE);
        if (books.read(header + STATE) === IS_LIVE) alive.push({ address: header + HEADER, bytes });
        header += HEADER + rounded(bytes);
      }
    }
    return alive;
  });
}

function rootOf(memory: Memory): number {
  return memory.size - ROOT_BYTES;
}

function checkedRoot(memory: Memory): number {
  const root = rootOf(memory);
  if (keepBooks(memory, (books) => books.read(root + MAGIC)) !== IS_HEAP)
    throw new Error("no heap in this memory: call heapInit first");
  return root;
}

/** Room an object takes: what a free one can be given out for again. */
function rounded(bytes: number): number {
  return (bytes + 15) & ~15;
}

/** The newest free object of the same room, eager only; 0: none. */
function takeFree(books: Memory, root: number, bytes: number): number {
  let link = root + FREE_LIST;
  for (let p = books.read(link); p !== 0; p = books.read(link)) {
    const header = p - HEADER;
    if (rounded(books.read(header + SIZE)) === rounded(bytes)) {
      books.write(link, books.read(header + NEXT_FREE));
      books.write(header + SIZE, bytes);
      books.write(header + STATE, IS_LIVE);
      return p;
    }
    link = header + NEXT_FREE;
  }
  return 0;
}

function takeNew(memory: Memory, books: Memory, root: number, bytes: number): number {
  const own = memory instanceof ControlledMemory ? memory.thread + 1 : 0;
  const arenaBytes = books.read(root + ARENA_BYTES);
  const arena = books.read(root + START) + own * arenaBytes;
  const header = books.read(arena + ARENA_NEXT);
  const next = header + HEADER + rounded(bytes);
  if (next > arena + arenaBytes) return 0;
  books.write(arena + ARENA_NEXT, next);
  books.write(header + SIZE, bytes);
  books.write(header + STATE, IS_LIVE);
  return header + HEADER;
}

/** Marks it free: its bytes; minus those, if it was. */
function giveBack(books: Memory, root: number, p: number): number {
  const start = books.read(root + START);
  const state = p >= start + HEADER && p < root && (p & 7) === 0 ? books.read(p - HEADER + STATE) : 0;
  if (state !== IS_LIVE && state !== IS_FREE)
    throw new RangeError(`heapFree of ${p}, which heapAlloc did not give`);
  const bytes = books.read(p - HEADER + SIZE);
  if (state === IS_FREE) return -bytes;
  books.write(p - HEADER + STATE, IS_FREE);
  return bytes;
}

/** Poisoned now: may be given out again. */
function offer(books: Memory, root: number, p: number): void {
  if (books.read(root + EAGER) === 0) return;
  books.write(p - HEADER + NEXT_FREE, books.read(root + FREE_LIST));
  books.write(root + FREE_LIST, p);
}

/** Runs `body` on the books: under the checker unseen, since nobody can come between; elsewhere under the lock. */
function keepBooks<T>(memory: Memory, body: (books: Memory) => T): T {
  if (memory instanceof ControlledMemory) {
    const { world } = memory;
    const books = world.alone;
    const { recorder } = world;
    world.recorder = undefined;
    books.checksOff();
    let result: T;
    try {
      result = body(books);
    } finally {
      books.checksOn();
      world.recorder = recorder;
    }
    // With reuse the order of allocs and frees decides on addresses: they depend on each other.
    if (world.follows && books.read(rootOf(memory) + EAGER) === 1) world.noteAccess(rootOf(memory), true);
    return result;
  }
  const lock = rootOf(memory) + LOCK;
  while (memory.exchange(lock, 1) !== 0) memory.wait(lock, 1, 1);
  if (memory instanceof CheckedMemory) memory.checksOff();
  try {
    return body(memory);
  } finally {
    if (memory instanceof CheckedMemory) memory.checksOn();
    memory.exchange(lock, 0);
    memory.notify(lock, 1);
  }
}
