/**
 * Ops: what a thread may ask the scheduler to do next, one per verb of Memory, and what the checker needs to know of
 * each: its name, how many bytes it touches, whether it reads or writes, and the order it declares.
 *
 * One *step* is one op. A step where the scheduler may choose another thread is a *switch point*.
 */

/** Kinds of op. 0 is none: the thread has not reached an op. */
export type OpKind = number;

export const OP_NONE = 0;
export const OP_READ = 1;
export const OP_WRITE = 2;
export const OP_READ8 = 3;
export const OP_WRITE8 = 4;
export const OP_READ16 = 5;
export const OP_WRITE16 = 6;
export const OP_READ64 = 7;
export const OP_WRITE64 = 8;
export const OP_READ_ONCE = 9;
export const OP_WRITE_ONCE = 10;
export const OP_LOAD_ACQUIRE = 11;
export const OP_STORE_RELEASE = 12;
export const OP_FETCH_ADD = 13;
export const OP_FETCH_SUB = 14;
export const OP_FETCH_AND = 15;
export const OP_FETCH_OR = 16;
export const OP_EXCHANGE = 17;
export const OP_COMPARE_EXCHANGE = 18;
export const OP_FENCE = 19;
/** Compares and joins the queue of sleepers, in one step. */
export const OP_WAIT = 20;
/** Comes back from a wait: woken, or timed out. */
export const OP_WAKE = 21;
export const OP_NOTIFY = 22;
/** cpu_relax in a spin loop: lets others run. */
export const OP_PAUSE = 23;
export const OP_MEMCPY = 24;
export const OP_MEMSET = 25;
export const OP_CRC32C = 26;
/** The free of an object: a write to all its bytes. */
export const OP_FREE = 27;
export const OP_ALLOC = 28;
/** Of raw Atomics only: Memory has no such verb. */
export const OP_FETCH_XOR = 29;
export const OP_KINDS = 30;

/** Declared orders, weakest first. */
export const ORDER_PLAIN = 0;
export const ORDER_ONCE = 1;
export const ORDER_ACQUIRE = 2;
export const ORDER_RELEASE = 3;
export const ORDER_FULL = 4;

export const READS = 1;
export const WRITES = 2;

export interface OpInfo {
  /** The verb, as in Memory. */
  readonly name: string;
  /** Bytes touched; 0: none, or given by the op (bulk). */
  readonly bytes: number;
  /** READS, WRITES, both or neither. */
  readonly access: number;
  readonly order: number;
}

function op(name: string, bytes: number, access: number, order: number): OpInfo {
  return { name, bytes, access, order };
}

const BOTH = READS | WRITES;

/** By kind. */
export const OPS: readonly OpInfo[] = [
  op("none", 0, 0, ORDER_PLAIN),
  op("read", 4, READS, ORDER_PLAIN),
  op("write", 4, WRITES, ORDER_PLAIN),
  op("read8", 1, READS, ORDER_PLAIN),
  op("write8", 1, WRITES, ORDER_PLAIN),
  op("read16", 2, READS, ORDER_PLAIN),
  op("write16", 2, WRITES, ORDER_PLAIN),
  op("read64", 8, READS, ORDER_PLAIN),
  op("write64", 8, WRITES, ORDER_PLAIN),
  op("readOnce", 4, READS, ORDER_ONCE),
  op("writeOnce", 4, WRITES, ORDER_ONCE),
  op("loadAcquire", 4, READS, ORDER_ACQUIRE),
  op("storeRelease", 4, WRITES, ORDER_RELEASE),
  op("fetchAdd", 4, BOTH, ORDER_FULL),
  op("fetchSub", 4, BOTH, ORDER_FULL),
  op("fetchAnd", 4, BOTH, ORDER_FULL),
  op("fetchOr", 4, BOTH, ORDER_FULL),
  op("exchange", 4, BOTH, ORDER_FULL),
  op("compareExchange", 4, BOTH, ORDER_FULL),
  op("fence", 0, 0, ORDER_FULL),
  op("wait", 4, READS, ORDER_FULL),
  op("wake", 4, 0, ORDER_FULL),
  op("notify", 4, 0, ORDER_FULL),
  op("pause", 0, 0, ORDER_PLAIN),
  op("memcpy", 0, BOTH, ORDER_PLAIN),
  op("memset", 0, WRITES, ORDER_PLAIN),
  op("crc32c", 0, READS, ORDER_PLAIN),
  op("free", 0, WRITES, ORDER_PLAIN),
  op("alloc", 0, WRITES, ORDER_PLAIN),
  op("fetchXor", 4, BOTH, ORDER_FULL),
];

/** By kind: the bits of an address that have to be 0. A 64-bit access is two of 32 bits. */
const MISALIGNED: Uint8Array = Uint8Array.from(OPS, ({ bytes }) => Math.max(0, Math.min(bytes, 4) - 1));

/** Is `p` no address for this kind of op: no integer, or not aligned? Memory would round it down, and say nothing. */
export function isMisplaced(kind: OpKind, p: number): boolean {
  return (p & (MISALIGNED[kind] as number)) !== 0 || (p !== (p | 0) && !Number.isInteger(p));
}

export function misplaced(kind: OpKind, p: number): RangeError {
  const { name, bytes } = OPS[kind] as OpInfo;
  return new RangeError(
    `${name} at ${p}: expected an address that is a multiple of ${Math.min(bytes, 4) || 1}`,
  );
}

/** Do two ops on one location conflict, so that their order matters? Waits and notifies share the queue of sleepers. */
export function conflicts(a: OpKind, b: OpKind): boolean {
  return changes(a) ? touches(b) : changes(b) && touches(a);
}

function changes(kind: OpKind): boolean {
  return (
    ((OPS[kind] as OpInfo).access & WRITES) !== 0 ||
    kind === OP_WAIT ||
    kind === OP_NOTIFY ||
    kind === OP_WAKE
  );
}

function touches(kind: OpKind): boolean {
  return (OPS[kind] as OpInfo).access !== 0 || kind === OP_NOTIFY || kind === OP_WAKE;
}
