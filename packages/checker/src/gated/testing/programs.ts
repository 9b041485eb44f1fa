/** Programs as users write them, plain code over a Memory, for both back-ends. Run untransformed by the gated one. */
import { mutexLock, mutexUnlock, SpscRing, spscBytes, spscInit } from "atomics-sync";
import type { Memory } from "atomics-sync/memory";
import type { Program } from "../../program.ts";

const X = 256;
const Y = 512;
const FLAG = 768;

function increment(memory: Memory): void {
  const x = memory.read(X);
  memory.write(X, x + 1);
}

export const lostUpdate: Program = {
  name: "lost update",
  threads: [increment, increment],
  after: (memory) => {
    if (memory.read(X) !== 2) throw new Error(`x is ${memory.read(X)}, not 2`);
  },
  outcome: (memory) => `x=${memory.read(X)}`,
};

/** Message passing, with a data choice and a bulk copy. */
export const messagePassing: Program = {
  name: "message passing",
  threads: [
    {
      name: "sender",
      body: (memory, thread) => {
        memory.write(X, 40 + thread.choose(3));
        memory.memcpy(Y, X, 8);
        memory.storeRelease(FLAG, 1);
        memory.notify(FLAG, 1);
      },
    },
    {
      name: "receiver",
      body: (memory, thread) => {
        if (memory.loadAcquire(FLAG) === 0) memory.wait(FLAG, 0, 50);
        const late = memory.now() >= 50;
        thread.assert(late || memory.read(X) === memory.read(Y), "the copy is the message");
      },
    },
  ],
  outcome: (memory) => `y=${memory.read(Y)}`,
};

const LOCK = 1024;

function locked(memory: Memory): void {
  mutexLock(memory, LOCK);
  memory.write(X, memory.read(X) + 1);
  mutexUnlock(memory, LOCK);
}

/** The futex mutex of atomics-sync; three threads, so that sleepers queue. */
export const futexMutex: Program = {
  name: "futex mutex",
  threads: [locked, locked, locked],
  after: (memory) => {
    if (memory.read(X) !== 3) throw new Error(`x is ${memory.read(X)}, not 3`);
  },
};

const RING = 2048;
const WORDS = 4;

/** A ring of two words: the producer has to wait for room, the consumer for words. */
export const ring: Program = {
  name: "spsc ring",
  bytes: 8192,
  setup: (memory) => {
    if (RING + spscBytes(2) > 8192 || !spscInit(memory, RING, 2)) throw new Error("no ring");
  },
  threads: [
    {
      name: "producer",
      body: (memory) => {
        const queue = new SpscRing(memory, RING);
        for (let i = 1; i <= WORDS; i++) queue.enqueue(i);
      },
    },
    {
      name: "consumer",
      body: (memory, thread) => {
        const queue = new SpscRing(memory, RING);
        for (let i = 1; i <= WORDS; i++) {
          const word = queue.dequeue();
          thread.assert(word === i, "words come in order");
        }
      },
    },
  ],
};

/** Half of its executions end in a deadlock: threads are thrown out in the middle, through a finally that writes. */
export const stuck: Program = {
  name: "stuck",
  threads: [
    (memory) => {
      try {
        if (memory.fetchAdd(X, 1) === 0) memory.wait(Y, 0, Number.POSITIVE_INFINITY);
      } finally {
        memory.write(FLAG, 1);
      }
    },
    (memory) => {
      if (memory.fetchAdd(X, 1) === 0) throw new Error("came first");
    },
  ],
};

/** Reaches past the verbs, where there is no gate. */
export const raw: Program = {
  name: "raw",
  threads: [
    (memory) => {
      new Int32Array(memory.wasm.buffer).fill(1);
    },
  ],
};

/** Never comes back, if first: blocks where no scheduler sees it. */
export const outside: Program = {
  name: "outside",
  threads: [
    {
      name: "rebel",
      body: (memory) => {
        // private: the thread's own word, to block on.
        if (memory.fetchAdd(X, 1) === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      },
    },
    {
      name: "other",
      body: (memory) => {
        memory.fetchAdd(X, 1);
      },
    },
  ],
};

/** Never comes back, if first: computes for ever. */
export const endless: Program = {
  name: "endless",
  threads: [
    {
      name: "spinner",
      body: (memory) => {
        const first = memory.fetchAdd(X, 1) === 0;
        while (first);
      },
    },
    {
      name: "other",
      body: (memory) => {
        memory.fetchAdd(X, 1);
      },
    },
  ],
};

function everyVerb(memory: Memory): void {
  memory.write8(X + 5, 0x181);
  memory.write16(X + 6, 0x18181);
  memory.write64(Y, 2 ** 40 + memory.read8(X + 5) + memory.read16(X + 6));
  memory.writeOnce(X, memory.readOnce(X) - 1);
  memory.storeRelease(Y + 8, memory.read64(Y) / 4096);
  memory.fetchOr(X, 0xf0);
  memory.fetchAnd(X, 0x7f);
  memory.fence();
  memory.fetchSub(X, 0xffffffff);
  memory.exchange(Y + 8, memory.compareExchange(X, 0x71, 0x80000000));
  memory.memset(FLAG, 0xab, 16);
  memory.write(Y + 16, memory.crc32c(FLAG, 16));
}

/** All verbs that touch memory, with values at the ends of their ranges. */
export const verbs: Program = {
  name: "every verb",
  threads: [everyVerb, everyVerb],
  outcome: (memory) => `${memory.crc32c(0, 4096)}`,
};
