/**
 * Raw Atomics under control: what the loader makes of `Atomics.add(view, i, 1)` and `view[i]` in a program's own code.
 *
 * The op goes to the memory of the thread that runs, at view.byteOffset + i * BYTES_PER_ELEMENT, and is a step like a
 * verb of Memory. Views are over the program's shared memory. Atomics are over Int32Array and Uint32Array; plain
 * accesses over all views of integers of up to 32 bits. In terms of Memory, a load is an acquire, a store a release,
 * and everything else is fully ordered: that is all the synchronisation the language's memory model has.
 * Outside an execution, and for `x[i]` of anything else, the language's own operation is done.
 *
 * Interface: `overView(body)`, a thread over a view. The rest is for transformed code: `$Atomics.$op(site, ...)` says
 * whether to yield, `$Atomics.$go()` executes; `get`, `set` are for where nothing yields.
 */
import type { Memory } from "atomics-sync/memory";
import type { ControlledMemory } from "./controlled-memory.ts";
import { $isCo, siteText } from "./runtime.ts";

interface Running {
  /** The memory of the thread whose step it is; undefined between executions. Set by Execution. */
  mem: ControlledMemory | undefined;
  /** This is a gated thread: it runs untransformed, so its raw Atomics would not be seen. */
  gated: boolean;
}

export const running: Running = { mem: undefined, gated: false };

type Words = Int32Array | Uint32Array;
type View = Words | Int16Array | Uint16Array | Int8Array | Uint8Array;

// How the result of the pending op reads.
const AS_IS = 0;
const AS_U32 = 1;
const AS_I16 = 2;
const AS_I8 = 3;

/** What Atomics makes of an operand. */
function integer(value: number): number {
  return Math.trunc(value) || 0;
}

class ControlledAtomics {
  /** Set from an op that was not controlled to the $go that follows it at once. */
  private done: boolean = false;
  private value: unknown = undefined;

  $load(site: number, view: Words, i: number): boolean {
    const { mem } = running;
    if (mem === undefined) return this.native(Atomics.load(view, i));
    return mem.$loadAcquire(this.word(mem, "load", site, view, i), site);
  }
  $store(site: number, view: Words, i: number, value: number): boolean {
    const { mem } = running;
    if (mem === undefined) return this.native(Atomics.store(view, i, value));
    const p = this.word(mem, "store", site, view, i);
    mem.reading = AS_IS;
    return mem.$storeRelease(p, integer(value), site);
  }
  $add(site: number, view: Words, i: number, value: number): boolean {
    const { mem } = running;
    if (mem === undefined) return this.native(Atomics.add(view, i, value));
    return mem.$fetchAdd(this.word(mem, "add", site, view, i), integer(value), site);
  }
  $sub(site: number, view: Words, i: number, value: number): boolean {
    const { mem } = running;
    if (mem === undefined) return this.native(Atomics.sub(view, i, value));
    return mem.$fetchSub(this.word(mem, "sub", site, view, i), integer(value), site);
  }
  $and(site: number, view: Words, i: number, value: number): boolean {
    const { mem } = running;
    if (mem === undefined) return this.native(Atomics.and(view, i, value));
    return mem.$fetchAnd(this.word(mem, "and", site, view, i), integer(value), site);
  }
  $or(site: number, view: Words, i: number, value: number): boolean {
    const { mem } = running;
    if (mem === undefined) return this.native(Atomics.or(view, i, value));
    return mem.$fetchOr(this.word(mem, "or", site, view, i), integer(value), site);
  }
  $xor(site: number, view: Words, i: number, value: number): boolean {
    const { mem } = running;
    if (mem === undefined) return this.native(Atomics.xor(view, i, value));
    return mem.$fetchXor(this.word(mem, "xor", site, view, i), integer(value), site);
  }
  $exchange(site: number, view: Words, i: number, value: number): boolean {
    const { mem } = running;
    if (mem === undefined) return this.native(Atomics.exchange(view, i, value));
    return mem.$exchange(this.word(mem, "exchange", site, view, i), integer(value), site);
  }
  $compareExchange(site: number, view: Words, i: number, expected: number, value: number): boolean {
    const { mem } = running;
    if (mem === undefined) return this.native(Atomics.compareExchange(view, i, expected, value));
    const p = this.word(mem, "compareExchange", site, view, i);
    return mem.$compareExchange(p, integer(expected), integer(value), site);
  }
  $wait(site: number, view: Int32Array, i: number, expected: number, timeoutMs?: number): boolean {
    const { mem } = running;
    if (mem === undefined) return this.native(Atomics.wait(view, i, expected, timeoutMs));
    const p = this.word(mem, "wait", site, view, i);
    mem.reading = AS_IS;
    const ms = timeoutMs === undefined || Number.isNaN(timeoutMs) ? Number.POSITIVE_INFINITY : timeoutMs;
    return mem.$wait(p, integer(expected) | 0, Math.max(ms, 0), site);
  }
  $notify(site: number, view: Int32Array, i: number, count?: number): boolean {
    const { mem } = running;
    if (mem === undefined) return this.native(Atomics.notify(view, i, count));
    const p = this.word(mem, "notify", site, view, i);
    mem.reading = AS_IS;
    return mem.$notify(p, count === undefined ? Number.POSITIVE_INFINITY : integer(count), site);
  }
  $pause(site: number): boolean {
    const { mem } = running;
    if (mem === undefined) return this.native(undefined);
    mem.reading = AS_IS;
    return mem.$pause(site);
  }

  /** `view[i]` */
  $get(site: number, view: View, i: number): boolean {
    const { mem } = running;
    const p = mem === undefined ? -1 : this.place(mem, site, view, i);
    if (mem === undefined || p < 0) return this.native(view[i]);
    const bytes = view.BYTES_PER_ELEMENT;
    return bytes === 4 ? mem.$read(p, site) : bytes === 2 ? mem.$read16(p, site) : mem.$read8(p, site);
  }
  /** `view[i] = value`; the value of that is `value`, whatever fits into the view. */
  $set(site: number, view: View, i: number, value: number): boolean {
    const { mem } = running;
    const p = mem === undefined ? -1 : this.place(mem, site, view, i);
    if (mem === undefined || p < 0) {
      view[i] = value;
      return this.native(value);
    }
    mem.reading = AS_IS;
    const bytes = view.BYTES_PER_ELEMENT;
    if (bytes === 4) return mem.$write(p, value, site);
    return bytes === 2 ? mem.$write16(p, value, site) : mem.$write8(p, value, site);
  }
  /** As $get, at once. */
  get(site: number, view: View, i: number): unknown {
    this.$get(site, view, i);
    return this.$go();
  }
  set(site: number, view: View, i: number, value: number): unknown {
    this.$set(site, view, i, value);
    return this.$go();
  }
  /** A view where its elements may be used by a thread in ways that cannot be controlled. */
  still<T>(site: number, view: T): T {
    const { mem } = running;
    if (mem !== undefined && mem.thread >= 0 && bufferOf(view) === mem.buffer) {
      throw new Error(
        `${siteText(site)}: elements of shared memory are used where no thread can be suspended, or by a method ` +
          "of the view: use view[i] in a loop, in a function that the thread calls",
      );
    }
    return view;
  }

  /** Executes the op that was published last, or gives the result of the one that was not controlled. */
  // oxlint-disable-next-line typescript/no-explicit-any -- transformed code uses it as the operation's own result
  $go(): any {
    if (this.done) {
      this.done = false;
      return this.value;
    }
    const mem = running.mem as ControlledMemory;
    const result: unknown = mem.$go();
    switch (mem.reading) {
      case AS_U32:
        return (result as number) >>> 0;
      case AS_I16:
        return ((result as number) << 16) >> 16;
      case AS_I8:
        return ((result as number) << 24) >> 24;
      default:
        return result;
    }
  }

  private native(value: unknown): boolean {
    this.done = true;
    this.value = value;
    return false;
  }

  /** Address of a word that Atomics may use. */
  private word(mem: ControlledMemory, verb: string, site: number, view: Words, i: number): number {
    if (view instanceof Int32Array) mem.reading = AS_IS;
    else if (view instanceof Uint32Array) mem.reading = AS_U32;
    else throw new Error(`${siteText(site)}: Atomics.${verb} over ${kindOf(view)}: ${WORDS}`);
    if (view.buffer !== mem.buffer) throw new Error(`${siteText(site)}: Atomics.${verb}: ${ELSEWHERE}`);
    const at = integer(i);
    if (at < 0 || at >= view.length)
      throw new RangeError(`${siteText(site)}: Atomics.${verb} at index ${i} of ${view.length}`);
    return view.byteOffset + 4 * at;
  }

  /** Address of an element; -1 if it is no element, or of something else than the program's memory. */
  private place(mem: ControlledMemory, site: number, view: View, i: number): number {
    if (bufferOf(view) !== mem.buffer || !(i >= 0 && i < view.length) || !Number.isInteger(i)) return -1;
    if (view instanceof Int32Array || view instanceof Uint8Array || view instanceof Uint16Array)
      mem.reading = AS_IS;
    else if (view instanceof Uint32Array) mem.reading = AS_U32;
    else if (view instanceof Int16Array) mem.reading = AS_I16;
    else if (view instanceof Int8Array) mem.reading = AS_I8;
    else throw new Error(`${siteText(site)}: an element of ${kindOf(view)}: ${INTEGERS}`);
    return view.byteOffset + view.BYTES_PER_ELEMENT * i;
  }
}

const WORDS = "the checker knows Atomics over Int32Array and Uint32Array";
const INTEGERS = "the checker knows views of integers of 8, 16 and 32 bits";
const ELSEWHERE =
  "the view is not over the program's memory: make views of memory.wasm.buffer, or write the thread with overView";

function kindOf(view: unknown): string {
  return Object.prototype.toString.call(view).slice("[object ".length, -1);
}

/** What a view is over; undefined of anything else. */
function bufferOf(view: unknown): unknown {
  return ArrayBuffer.isView(view) ? view.buffer : undefined;
}

/** Stands for Atomics in transformed code. */
export const $Atomics: ControlledAtomics = new ControlledAtomics();

const views = new WeakMap<Memory, Int32Array<SharedArrayBuffer>>();

/**
 * A thread, or setup, after and outcome, over a view of the whole memory: index 0 is address 0. For code that has no
 * Memory but Atomics.
 */
export function overView<Rest extends readonly unknown[]>(
  body: (view: Int32Array<SharedArrayBuffer>, ...rest: Rest) => unknown,
): (memory: Memory, ...rest: Rest) => unknown {
  const thread = (memory: Memory, ...rest: Rest): unknown => {
    if (running.gated)
      throw new Error(`${body.name || "a thread"}: gated threads are seen through Memory only`);
    let view = views.get(memory);
    if (view === undefined) {
      view = new Int32Array(memory.wasm.buffer);
      views.set(memory, view);
    }
    const result = body(view, ...rest);
    // A thread that the loader has not seen: one op of Memory that nobody scheduled makes the execution say so.
    if (!$isCo(result) && memory === running.mem && running.mem.thread >= 0) memory.fence();
    return result;
  };
  return Object.defineProperty(thread, "name", { value: body.name });
}
