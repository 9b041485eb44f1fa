/**
 * Flow: who wrote what an op reads, which earlier ops of others it conflicts with, and which notify woke it.
 *
 * Fed with every op in order of execution. Per word: its last writer and the readers since.
 */
import type { ControlledMemory } from "../controlled-memory.ts";
import { OP_ALLOC, OP_FREE, OP_MEMCPY, OP_NOTIFY, OP_WAKE, OP_WRITE64, OPS, READS, WRITES } from "../op.ts";

export interface FlowOp {
  readonly bytes: number;
  readonly source: number;
  readonly read: number;
  readonly written: number | undefined;
  readonly from: number;
  readonly causes: readonly number[];
}

interface Word {
  /** Last op that changed it, an alloc or free as well. */
  writer: number;
  writerThread: number;
  /** Last op that wrote its value, and that value. */
  source: number;
  value: number;
  /** Row and thread of reads since the last write, latest of each thread. */
  readers: number[];
  readerThreads: number[];
}

/** Words of a bulk op that are followed; the rest of a large copy tells nothing new. */
const BULK_WORDS = 1024;

export class Flow {
  private readonly words: Map<number, Word> = new Map();
  /** By place: row and thread of the last notify that woke anybody. */
  private readonly notified: Map<number, { row: number; thread: number }> = new Map();

  next(mem: ControlledMemory, row: number): FlowOp {
    const { kind, p, thread } = mem;
    const { access, bytes: size } = OPS[kind] as { access: number; bytes: number };
    const causes: number[] = [];
    const add = (cause: number, of: number): void => {
      if (cause >= 0 && of !== thread && !causes.includes(cause)) causes.push(cause);
    };
    if (kind === OP_NOTIFY && mem.result > 0) this.notified.set(p, { row, thread });
    if (kind === OP_WAKE) {
      const waker = mem.waitResult === "ok" ? this.notified.get(p) : undefined;
      if (waker !== undefined) add(waker.row, waker.thread);
      return { bytes: 0, source: 0, read: 0, written: undefined, from: waker?.row ?? -1, causes };
    }
    const bytes = size !== 0 || access === 0 ? size : mem.b;
    const source = kind === OP_MEMCPY ? mem.a : 0;
    const word = this.word(p >> 2);
    const from = access === 0 ? -1 : kind === OP_MEMCPY ? this.word(source >> 2).source : word.source;
    const old = word.value;
    const last = Math.min((p + Math.max(bytes, 1) - 1) >> 2, (p >> 2) + BULK_WORDS);
    if (kind === OP_MEMCPY) {
      for (let w = source >> 2; w <= last - (p >> 2) + (source >> 2); w++) this.reads(w, row, thread, add);
    }
    for (let w = p >> 2; access !== 0 && w <= last; w++) {
      if ((access & WRITES) !== 0 && !failedExchange(mem)) this.writes(w, row, thread, mem, add);
      else this.reads(w, row, thread, add);
    }
    const written = (access & WRITES) !== 0 && size !== 0 ? writtenBy(mem) : undefined;
    const read = (access & READS) !== 0 || access === 0 ? mem.result : old;
    return { bytes, source, read, written, from, causes };
  }

  private word(w: number): Word {
    let word = this.words.get(w);
    if (word === undefined) {
      word = { writer: -1, writerThread: -1, source: -1, value: Number.NaN, readers: [], readerThreads: [] };
      this.words.set(w, word);
    }
    return word;
  }

  private reads(w: number, row: number, thread: number, add: (row: number, thread: number) => void): void {
    const word = this.word(w);
    add(word.writer, word.writerThread);
    const at = word.readerThreads.indexOf(thread);
    if (at >= 0) word.readers[at] = row;
    else {
      word.readers.push(row);
      word.readerThreads.push(thread);
    }
  }

  private writes(
    w: number,
    row: number,
    thread: number,
    mem: ControlledMemory,
    add: (row: number, thread: number) => void,
  ): void {
    const word = this.word(w);
    add(word.writer, word.writerThread);
    for (let i = 0; i < word.readers.length; i++)
      add(word.readers[i] as number, word.readerThreads[i] as number);
    word.readers.length = 0;
    word.readerThreads.length = 0;
    word.writer = row;
    word.writerThread = thread;
    if (mem.kind === OP_FREE || mem.kind === OP_ALLOC) return;
    word.source = row;
    word.value = writtenBy(mem);
  }
}

/** A compareExchange that found another value writes nothing. */
export function failedExchange(mem: ControlledMemory): boolean {
  return OPS[mem.kind]?.name === "compareExchange" && mem.result !== (mem.b | 0);
}

function writtenBy(mem: ControlledMemory): number {
  const { kind, p, a } = mem;
  const { access, bytes } = OPS[kind] as { access: number; bytes: number };
  if (kind === OP_WRITE64 || bytes < 4 || (access & READS) === 0) return a;
  return mem.world.wordAt(p);
}
