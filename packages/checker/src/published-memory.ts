/**
 * PublishedMemory: the half of ControlledMemory that says what a thread is about to do. Each $verb publishes one op and
 * returns whether the scheduler wants a say before it.
 */
import { CheckedMemory } from "atomics-sync/checked-memory";
import {
  OP_COMPARE_EXCHANGE,
  OP_EXCHANGE,
  OP_FENCE,
  OP_FETCH_ADD,
  OP_FETCH_AND,
  OP_FETCH_OR,
  OP_FETCH_SUB,
  OP_FETCH_XOR,
  OP_LOAD_ACQUIRE,
  OP_NONE,
  OP_NOTIFY,
  OP_READ,
  OP_READ16,
  OP_READ64,
  OP_READ8,
  OP_READ_ONCE,
  OP_STORE_RELEASE,
  OP_WRITE,
  OP_WRITE16,
  OP_WRITE64,
  OP_WRITE8,
  OP_WRITE_ONCE,
  type OpKind,
} from "./op.ts";

/** Ops in one step after which the scheduler is asked all the same: a loop over sites that never yield. */
export const MAX_BLOCK = 20_000;

export class PublishedMemory extends CheckedMemory {
  /** The op published last: pending until executed. For bulk ops `a` is the source or byte, `b` the length. */
  kind: OpKind = OP_NONE;
  p: number = 0;
  a: number = 0;
  b: number = 0;
  site: number = 0;
  /** Ops since the scheduler was last asked. */
  block: number = 0;
  /** By site: 1 where the scheduler has a say. */
  gate: Uint8Array = new Uint8Array(0);

  /** Notes the site of the quiet verb that follows. */
  at(site: number): this {
    this.site = site;
    return this;
  }

  /** Publishes an op. True: yield before it. */
  protected publish(kind: OpKind, p: number, a: number, b: number, site: number): boolean {
    this.kind = kind;
    this.p = p;
    this.a = a;
    this.b = b;
    this.site = site;
    return this.gate[site] === 1 || ++this.block > MAX_BLOCK;
  }

  $read(p: number, site: number): boolean {
    return this.publish(OP_READ, p, 0, 0, site);
  }
  $write(p: number, value: number, site: number): boolean {
    return this.publish(OP_WRITE, p, value, 0, site);
  }
  $read8(p: number, site: number): boolean {
    return this.publish(OP_READ8, p, 0, 0, site);
  }
  $write8(p: number, value: number, site: number): boolean {
    return this.publish(OP_WRITE8, p, value, 0, site);
  }
  $read16(p: number, site: number): boolean {
    return this.publish(OP_READ16, p, 0, 0, site);
  }
  $write16(p: number, value: number, site: number): boolean {
    return this.publish(OP_WRITE16, p, value, 0, site);
  }
  $read64(p: number, site: number): boolean {
    return this.publish(OP_READ64, p, 0, 0, site);
  }
  $write64(p: number, value: number, site: number): boolean {
    return this.publish(OP_WRITE64, p, value, 0, site);
  }
  $readOnce(p: number, site: number): boolean {
    return this.publish(OP_READ_ONCE, p, 0, 0, site);
  }
  $writeOnce(p: number, value: number, site: number): boolean {
    return this.publish(OP_WRITE_ONCE, p, value, 0, site);
  }
  $loadAcquire(p: number, site: number): boolean {
    return this.publish(OP_LOAD_ACQUIRE, p, 0, 0, site);
  }
  $storeRelease(p: number, value: number, site: number): boolean {
    return this.publish(OP_STORE_RELEASE, p, value, 0, site);
  }
  $fetchAdd(p: number, value: number, site: number): boolean {
    return this.publish(OP_FETCH_ADD, p, value, 0, site);
  }
  $fetchSub(p: number, value: number, site: number): boolean {
    return this.publish(OP_FETCH_SUB, p, value, 0, site);
  }
  $fetchAnd(p: number, value: number, site: number): boolean {
    return this.publish(OP_FETCH_AND, p, value, 0, site);
  }
  $fetchOr(p: number, value: number, site: number): boolean {
    return this.publish(OP_FETCH_OR, p, value, 0, site);
  }
  $fetchXor(p: number, value: number, site: number): boolean {
    return this.publish(OP_FETCH_XOR, p, value, 0, site);
  }
  $exchange(p: number, value: number, site: number): boolean {
    return this.publish(OP_EXCHANGE, p, value, 0, site);
  }
  $compareExchange(p: number, expected: number, value: number, site: number): boolean {
    return this.publish(OP_COMPARE_EXCHANGE, p, value, expected, site);
  }
  $fence(site: number): boolean {
    return this.publish(OP_FENCE, 0, 0, 0, site);
  }
  $notify(p: number, count: number, site: number): boolean {
    return this.publish(OP_NOTIFY, p, count, 0, site);
  }
}
