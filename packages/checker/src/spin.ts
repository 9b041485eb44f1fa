/**
 * Spin loops: a thread that goes round, reading the same values at the same sites in the same order, with no write of
 * its own in between, waits for somebody, whether it says pause or not. It is parked until something it read changes:
 * searching its rounds would find nothing but more of them. Without a pause that is a guess, which a proof does not
 * rest on: straight-line code that calls a function three times in a row looks the same.
 */
import type { ControlledMemory } from "./controlled-memory.ts";
import {
  OP_COMPARE_EXCHANGE,
  OP_EXCHANGE,
  OP_FETCH_AND,
  OP_FETCH_OR,
  OP_PAUSE,
  OP_READ64,
  OP_STORE_RELEASE,
  OP_WAIT,
  OP_WRITE,
  OP_WRITE_ONCE,
  OPS,
  READS,
} from "./op.ts";
import { ENDED, type Thread } from "./thread.ts";
import type { World } from "./world.ts";

/** Any odd number with many bits. */
const HASH = 0x9e3779b1;

/** Has anything the parked thread read changed since? */
export function hasChanged(world: World, thread: Thread): boolean {
  if (thread.parkedAt < 0) return true;
  if (thread.spinOverflow || thread.spinCount === 0) return world.version !== thread.parkedAt;
  for (let i = 0; i < thread.spinCount; i++) {
    if (world.wordAt(thread.spinPlace[i] as number) !== thread.spinValue[i]) return true;
  }
  return false;
}

/** Its next op is one of a spin loop: a pause, a read, a write that would leave memory as it is. */
export function isSpinning(world: World, thread: Thread): boolean {
  const { kind } = thread.mem;
  if (thread.state === ENDED || kind === OP_WAIT) return false;
  return kind === OP_PAUSE || accessOf(kind) === READS || isIdle(world, thread.mem);
}

/** Is its pending op one more round of a loop that waits, and not the first? */
export function spinsAgain(world: World, thread: Thread): boolean {
  const { mem } = thread;
  const access = accessOf(mem.kind);
  if (access === 0 || mem.site === 0 || (access !== READS && !isIdle(world, mem))) return false;
  return thread.goesRound(mem.p, seenBy(world, mem), mem.site);
}

/** The pending op is about to be executed: what does its thread spin on, should it come to a pause? */
export function noteForSpin(world: World, thread: Thread): void {
  const { mem } = thread;
  const access = accessOf(mem.kind);
  if (mem.kind === OP_PAUSE) thread.notePause();
  if (access === 0) return;
  if (access !== READS && !isIdle(world, mem)) thread.noteWrite();
  else {
    thread.noteRead(mem.p, world.wordAt(mem.p), mem.site);
    if (mem.kind === OP_READ64) thread.noteRead(mem.p + 4, world.wordAt(mem.p + 4), mem.site);
    thread.noteStep(mem.p, seenBy(world, mem), mem.site);
  }
}

/** What tells one look of this op from another: the word, of two words a hash. */
function seenBy(world: World, { kind, p }: ControlledMemory): number {
  const word = world.wordAt(p);
  return kind === OP_READ64 ? word ^ Math.imul(world.wordAt(p + 4), HASH) : word;
}

function accessOf(kind: number): number {
  return (OPS[kind] as { access: number }).access;
}

/** A write that would leave memory as it is: a store of what is there, a compareExchange that fails. */
function isIdle(world: World, { kind, p, a, b }: ControlledMemory): boolean {
  const word = world.wordAt(p);
  switch (kind) {
    case OP_COMPARE_EXCHANGE:
      return word !== (b | 0);
    case OP_WRITE:
    case OP_WRITE_ONCE:
    case OP_STORE_RELEASE:
    case OP_EXCHANGE:
      return word === (a | 0);
    case OP_FETCH_OR:
      return (word | a) === word;
    case OP_FETCH_AND:
      return (word & a) === word;
    default:
      return false;
  }
}
