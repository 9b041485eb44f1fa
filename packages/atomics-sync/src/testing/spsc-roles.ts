/** The two ends of an SPSC ring under test. Each word says its own place in the sequence. */
import type { Memory } from "../memory.ts";
import {
  spscAdvance,
  spscAwaitRecord,
  spscAwaitRoom,
  spscCommit,
  spscPublish,
  spscRelease,
} from "../spsc.ts";
import { spscDequeue, spscEnqueue, spscStage, spscTake } from "../spsc-words.ts";
import { PRIMITIVE } from "./layout.ts";
import { makeRandom } from "./random.ts";
import type { RoleArguments } from "./roles.ts";
import { nap, passGate, WAIT_MS } from "./steps.ts";

/** A value unlike its neighbours, negative for half of them. */
function wordAt(i: number): number {
  return Math.imul(i, 0x9e3779b1);
}

/** Sends words singly and in batches of random size; how many it could not send. */
export function spscProducer(mem: Memory, args: RoleArguments): number {
  passGate(mem, args.threads);
  const random = makeRandom(7);
  let next = 0;
  while (next < args.rounds) {
    let batch = random() % 9;
    while (batch > 0 && next < args.rounds && spscStage(mem, PRIMITIVE, wordAt(next))) {
      next++;
      batch--;
    }
    spscPublish(mem, PRIMITIVE);
    if (next === args.rounds) break;
    if (!spscEnqueue(mem, PRIMITIVE, wordAt(next), WAIT_MS)) return args.rounds - next;
    next++;
    if (args.sleepInside === true && random() % 512 === 0) nap(mem);
  }
  return 0;
}

/** Receives words singly and in batches; how many were wrong or missing. */
export function spscConsumer(mem: Memory, args: RoleArguments): number {
  passGate(mem, args.threads);
  const random = makeRandom(8);
  let next = 0;
  let wrong = 0;
  while (next < args.rounds) {
    const word = spscDequeue(mem, PRIMITIVE, WAIT_MS);
    if (word === undefined) return wrong + args.rounds - next;
    if (word !== wordAt(next++)) wrong++;
    for (let batch = random() % 5; batch > 0; batch--) {
      const more = spscTake(mem, PRIMITIVE);
      if (more === undefined) break;
      if (more !== wordAt(next++)) wrong++;
    }
    // Often not released here: the next spscDequeue must do it before it sleeps.
    if (random() % 2 === 0) spscRelease(mem, PRIMITIVE);
    if (args.sleepInside === true && random() % 512 === 0) nap(mem);
  }
  return wrong;
}

/** Wrong on purpose: gives the record back before reading it. How many words were not the expected ones. */
export function spscEarlyReleaser(mem: Memory, args: RoleArguments): number {
  passGate(mem, args.threads);
  let wrong = 0;
  for (let next = 0; next < args.rounds; next++) {
    const slot = spscAwaitRecord(mem, PRIMITIVE, WAIT_MS);
    if (slot === 0) return wrong;
    spscAdvance(mem, PRIMITIVE);
    spscRelease(mem, PRIMITIVE);
    nap(mem);
    if (mem.read(slot) !== wordAt(next)) wrong++;
  }
  return wrong;
}

/** Words of a record in the tests of larger records. */
export const RECORD_WORDS: number = 6;

/** Sends records of several words, published in threes; how many it could not send. */
export function recordSender(mem: Memory, args: RoleArguments): number {
  passGate(mem, args.threads);
  for (let i = 0; i < args.rounds; i++) {
    const slot = spscAwaitRoom(mem, PRIMITIVE, WAIT_MS);
    if (slot === 0) return args.rounds - i;
    for (let word = 0; word < RECORD_WORDS; word++) mem.write(slot + word * 4, wordAt(i));
    spscCommit(mem, PRIMITIVE);
    if (i % 3 === 0) spscPublish(mem, PRIMITIVE);
  }
  spscPublish(mem, PRIMITIVE);
  return 0;
}

/** Receives them, released in fives; how many were wrong or missing. */
export function recordReceiver(mem: Memory, args: RoleArguments): number {
  passGate(mem, args.threads);
  let wrong = 0;
  for (let i = 0; i < args.rounds; i++) {
    const slot = spscAwaitRecord(mem, PRIMITIVE, WAIT_MS);
    if (slot === 0) return wrong + args.rounds - i;
    let good = true;
    for (let word = 0; word < RECORD_WORDS; word++) good &&= mem.read(slot + word * 4) === wordAt(i);
    if (!good) wrong++;
    spscAdvance(mem, PRIMITIVE);
    if (i % 5 === 0) spscRelease(mem, PRIMITIVE);
  }
  return wrong;
}
