/**
 * spsc: messages of 16 bytes from one thread to another. Our SPSC ring, beside what people send messages with in
 * Node, a published ring, and a ring in C. Two rounds: each message for itself, and in batches of 32.
 */
import { MessageChannel } from "node:worker_threads";
import { createSharedMemory, Memory, spscBytes, spscInit } from "atomics-sync";
import { Piscina } from "piscina";
import type { Bench, Comparison, Subject } from "../bench.ts";
import { crew } from "../crew.ts";
import { nativePeer } from "../peers.ts";
import { ringbufStorage } from "./ringbuf-loops.ts";
import type { RingData } from "./spsc-loops.ts";

const EXTENSION = import.meta.url.endsWith(".ts") ? "ts" : "js";
const OURS = here("spsc-loops");
const RINGBUF = here("ringbuf-loops");
const MESSAGES = here("message-loops");
const PISCINA_TASK = here("piscina-task");

const CAPACITY = 4096;
const RECORD_BYTES = 16;
/** Past the null page of the ring's memory. */
const RING = 65_536;
const BATCH = 32;
/** Enough to keep the receiver busy, little enough not to fill memory. */
const IN_FLIGHT = 1024;
const CALLS_IN_FLIGHT = 64;
const BASE = { unit: "messages/s", better: "higher" } as const;

function here(module: string): URL {
  return new URL(`./${module}.${EXTENSION}`, import.meta.url);
}

export const spsc: Bench = {
  name: "spsc",
  what: "SPSC ring between two threads, beside postMessage, comlink, piscina, ringbuf.js and C",
  comparisons: async () => [await single(), await batched()],
};

async function single(): Promise<Comparison> {
  const messages = posted("postMessage", 1);
  const awaited = called("comlink call, awaited", 1);
  const overlapped = called(`comlink calls, ${CALLS_IN_FLIGHT} in flight`, CALLS_IN_FLIGHT);
  return {
    ...BASE,
    name: "16 B messages, one at a time",
    ours: ring("SPSC ring", 1),
    peers: [messages, awaited, overlapped, piscinaRun(), ringbuf("ringbuf.js", 1), await native("C ring", 1)],
    targets: [
      { of: messages.name, atLeast: 50 },
      { of: awaited.name, atLeast: 100 },
      { of: overlapped.name, atLeast: 100 },
    ],
  };
}

async function batched(): Promise<Comparison> {
  const messages = posted("postMessage", 1);
  const awaited = called("comlink call, awaited", 1);
  return {
    ...BASE,
    name: `16 B messages, batches of ${BATCH}`,
    ours: ring(`SPSC ring, batches of ${BATCH}`, BATCH),
    peers: [
      messages,
      posted(`postMessage, arrays of ${BATCH}`, BATCH),
      awaited,
      ringbuf(`ringbuf.js, pushes of ${BATCH}`, BATCH),
      await native(`C ring, batches of ${BATCH}`, BATCH),
    ],
    targets: [
      { of: messages.name, atLeast: 50 },
      { of: awaited.name, atLeast: 100 },
    ],
  };
}

/** The last member is the one whose figure counts. */
function last(figures: readonly number[]): number {
  return figures.at(-1) as number;
}

function first(figures: readonly number[]): number {
  return figures[0] as number;
}

function ring(name: string, batch: number): Subject {
  const wasm = createSharedMemory(RING + spscBytes(CAPACITY, RECORD_BYTES));
  spscInit(new Memory(wasm), RING, CAPACITY, RECORD_BYTES);
  const data: RingData = { wasm, ring: RING, batch };
  const ends = [
    { loop: "send", data },
    { loop: "receive", data },
  ];
  return crew(name, OURS, ends, last);
}

function ringbuf(name: string, batch: number): Subject {
  const data = { buffer: ringbufStorage(), batch };
  const ends = [
    { loop: "send", data },
    { loop: "receive", data },
  ];
  return crew(name, RINGBUF, ends, last);
}

/** Caller and listener, over a channel of their own. */
function overPorts(name: string, loops: readonly [string, string], batch: number, inFlight: number): Subject {
  const { port1, port2 } = new MessageChannel();
  const member = (loop: string, port: typeof port1): Parameters<typeof crew>[2][number] => ({
    loop,
    data: { port, batch, inFlight },
    transfer: [port],
  });
  const subject = crew(name, MESSAGES, [member(loops[0], port1), member(loops[1], port2)], first);
  return {
    ...subject,
    close: async () => {
      await subject.close?.();
      // Still here if no run has handed them over.
      port1.close();
      port2.close();
    },
  };
}

function posted(name: string, batch: number): Subject {
  return overPorts(name, ["post", "listen"], batch, IN_FLIGHT);
}

function called(name: string, inFlight: number): Subject {
  return overPorts(name, ["call", "expose"], 1, inFlight);
}

/** From this thread, as people run it. */
function piscinaRun(): Subject {
  let pool: Piscina | undefined;
  return {
    name: `piscina.run, ${CALLS_IN_FLIGHT} in flight`,
    measure: async (ms) => {
      const filename = PISCINA_TASK.href;
      pool ??= new Piscina({ filename, minThreads: 1, maxThreads: 1, maxQueue: CALLS_IN_FLIGHT });
      const running = pool;
      const start = performance.now();
      let calls = 0;
      const loop = async (): Promise<void> => {
        while (performance.now() < start + ms) {
          await running.run({ op: 1, id: calls, address: calls + 1, length: calls + 2 });
          calls++;
        }
      };
      await Promise.all(Array.from({ length: CALLS_IN_FLIGHT }, loop));
      return calls / ((performance.now() - start) / 1000);
    },
    close: async () => await pool?.destroy(),
  };
}

async function native(name: string, batch: number): ReturnType<typeof nativePeer> {
  return await nativePeer({ name, source: "spsc.c", libraries: ["pthread"], args: [String(batch)] });
}
