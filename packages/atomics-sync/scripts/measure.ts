/**
 * Prints what the verbs and primitives cost here: `node packages/atomics-sync/scripts/measure.ts`, about 10 s.
 * Each figure is the best of several runs; the ring's runs use two threads.
 */
import { once } from "node:events";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import {
  CheckedMemory,
  createSharedMemory,
  Memory,
  mutexLock,
  mutexUnlock,
  semaphoreAcquire,
  semaphoreInit,
  semaphoreRelease,
  seqlockReadBegin,
  seqlockReadRetry,
  spscAwaitRoom,
  spscAwaitRecord,
  spscDequeue,
  spscEnqueue,
  spscInit,
  spscPublish,
  spscRelease,
  spscStage,
  spscTake,
  type WasmMemory,
} from "../src/index.ts";

const RING = 8192;
const CAPACITY = 4096;
const WORDS = 8_000_000;
const RUNS = 5;

function printCost(name: string, calls: number, work: (calls: number) => void): void {
  work(calls);
  let best = Infinity;
  for (let run = 0; run < RUNS; run++) {
    const start = performance.now();
    work(calls);
    best = Math.min(best, ((performance.now() - start) * 1e6) / calls);
  }
  console.log(`${name.padEnd(44)} ${best.toFixed(1).padStart(8)} ns`);
}

function measureOneThread(mem: Memory, suffix: string): void {
  printCost(`read${suffix}`, 1e7, (n) => {
    for (let i = 0; i < n; i++) mem.read((i & 1023) << 2);
  });
  printCost(`loadAcquire${suffix}`, 3e6, (n) => {
    for (let i = 0; i < n; i++) mem.loadAcquire(256);
  });
  printCost(`mutexLock + mutexUnlock, uncontended${suffix}`, 1e6, (n) => {
    for (let i = 0; i < n; i++) {
      mutexLock(mem, 256);
      mutexUnlock(mem, 256);
    }
  });
  semaphoreInit(mem, 512, 1);
  printCost(`semaphoreAcquire + Release, uncontended${suffix}`, 1e6, (n) => {
    for (let i = 0; i < n; i++) {
      semaphoreAcquire(mem, 512);
      semaphoreRelease(mem, 512);
    }
  });
  printCost(`seqlock read of one word${suffix}`, 1e6, (n) => {
    for (let i = 0; i < n; i++) {
      const seq = seqlockReadBegin(mem, 768);
      mem.loadAcquire(772);
      seqlockReadRetry(mem, 768, seq);
    }
  });
  printCost(`memcpy 4 KiB${suffix}`, 3e5, (n) => {
    for (let i = 0; i < n; i++) mem.memcpy((i & 63) << 12, (64 + (i & 63)) << 12, 4096);
  });
  printCost(`memset 4 KiB${suffix}`, 3e5, (n) => {
    for (let i = 0; i < n; i++) mem.memset((i & 63) << 12, 0, 4096);
  });
  printCost(`crc32c 4 KiB${suffix}`, 1e5, (n) => {
    for (let i = 0; i < n; i++) mem.crc32c((i & 63) << 12, 4096);
  });
}

function produce(mem: Memory, batch: number): void {
  for (let i = 0; i < WORDS; ) {
    if (batch === 1) {
      spscEnqueue(mem, RING, i++);
      continue;
    }
    const end = Math.min(i + batch, WORDS);
    while (i < end) {
      if (spscStage(mem, RING, i)) i++;
      else spscAwaitRoom(mem, RING, Infinity);
    }
    spscPublish(mem, RING);
  }
}

function consume(mem: Memory, batch: number): number {
  let sum = 0;
  for (let i = 0; i < WORDS; ) {
    if (batch === 1) {
      sum = (sum + (spscDequeue(mem, RING) as number)) | 0;
      i++;
      continue;
    }
    spscAwaitRecord(mem, RING, Infinity);
    for (let taken = 0; taken < batch; taken++) {
      const word = spscTake(mem, RING);
      if (word === undefined) break;
      sum = (sum + word) | 0;
      i++;
    }
    spscRelease(mem, RING);
  }
  return sum;
}

async function measureRing(batch: number): Promise<void> {
  const mem = new Memory(createSharedMemory(1 << 20));
  const worker = new Worker(new URL(import.meta.url), { workerData: { memory: mem.wasm, batch } });
  let best = 0;
  for (let run = 0; run < RUNS; run++) {
    spscInit(mem, RING, CAPACITY);
    worker.postMessage("go");
    await once(worker, "message");
    const start = performance.now();
    const ended = once(worker, "message");
    produce(mem, batch);
    await ended;
    best = Math.max(best, WORDS / (performance.now() - start) / 1000);
  }
  await worker.terminate();
  console.log(
    `${`SPSC ring of ${CAPACITY} words, batch ${batch}`.padEnd(44)} ${best.toFixed(1).padStart(8)} M words/s`,
  );
}

if (isMainThread) {
  console.log(`Node ${process.version}, V8 ${process.versions.v8}`);
  measureOneThread(new Memory(createSharedMemory(1 << 20)), "");
  for (const batch of [1, 8, 32]) await measureRing(batch);
  const shadow = CheckedMemory.createShadow(1 << 20);
  measureOneThread(new CheckedMemory(createSharedMemory(1 << 20), shadow, () => {}), ", checked");
} else {
  const { memory, batch } = workerData as { memory: WasmMemory; batch: number };
  const mem = new Memory(memory);
  parentPort?.on("message", () => {
    parentPort?.postMessage("ready");
    parentPort?.postMessage(consume(mem, batch));
  });
}
