/** The completion queue: liburing's test/cq-full.c, cq-overflow.c, cq-ready.c, cq-peek-batch.c, cq-size.c. */
import { EAGAIN, EBADR, EINVAL } from "@ringside/core/debug/errno";
import { FAULT_SLAB, fault_arm, fault_disarm } from "@ringside/core/debug/fault-inject";
import { stack_pop, stack_push } from "@ringside/core/sched/cpu";
import { expect, test } from "vitest";
import {
  IORING_SETUP_CQSIZE,
  IORING_SQ_CQ_OVERFLOW,
  PARAMS_CQ_ENTRIES,
  PARAMS_FLAGS,
  PARAMS_SIZE,
  type ParamsPtr,
} from "../abi/setup.ts";
import {
  io_uring_cq_advance,
  io_uring_cq_has_overflow,
  io_uring_cq_ready,
  io_uring_cqe_at,
  io_uring_cqe_seen,
  io_uring_get_events,
  io_uring_peek_batch_cqe,
  io_uring_peek_cqe,
  io_uring_queue_exit,
  io_uring_queue_init_params,
  io_uring_sqe_set_flags,
  io_uring_submit,
  io_uring_submit_and_wait,
  io_uring_wait_cqe,
  io_uring_wait_cqe_nr,
  IoUring,
} from "../liburing.ts";
import { IOSQE_CQE_SKIP_SUCCESS } from "../abi/sqe.ts";
import { boot, leftovers, open_ring, queue_nop, reap } from "../testing/ring-fixture.ts";
import type { CqePtr } from "../abi/cqe.ts";

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
const ok = (data: readonly number[]): [number, number][] => data.map((d) => [d, 0]);

// cq-full.c :: main
test("a full CQ keeps what it has, and the rest comes after a flush", () => {
  const cpu = boot();
  const ring = open_ring(cpu, 4);
  for (let i = 0; i < 12; i++) {
    queue_nop(cpu, ring, i);
    if (i % 4 === 3) expect(io_uring_submit(cpu, ring)).toBe(4);
  }
  expect(io_uring_cq_ready(cpu, ring)).toBe(8);
  expect(cpu.mem.read(ring.sq_kflags) & IORING_SQ_CQ_OVERFLOW).toBe(IORING_SQ_CQ_OVERFLOW);
  expect(cpu.mem.read(ring.cq_koverflow)).toBe(0);
  expect(reap(cpu, ring)).toEqual(ok(range(0, 8)));
  expect(io_uring_get_events(cpu, ring)).toBe(0);
  expect(reap(cpu, ring)).toEqual(ok(range(8, 12)));
  expect(io_uring_cq_has_overflow(cpu, ring)).toBe(false);
  io_uring_queue_exit(cpu, ring);
  expect(leftovers(cpu)).toEqual([]);
});

// cq-overflow.c :: test_overflow
test("overflown CQEs come in the order they were posted, also when room appears in between", () => {
  const cpu = boot();
  const ring = open_ring(cpu, 4);
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < 4; i++) queue_nop(cpu, ring, round * 4 + i);
    expect(io_uring_submit(cpu, ring)).toBe(4);
  }
  const seen: number[] = [];
  const wait = (): void => {
    const cqe = io_uring_wait_cqe(cpu, ring) as CqePtr;
    seen.push(cpu.mem.read(cqe));
    io_uring_cqe_seen(cpu, ring, cqe);
  };
  wait();
  wait();
  // There is room for two now, but two older ones still wait.
  queue_nop(cpu, ring, 16);
  io_uring_submit(cpu, ring);
  for (let i = 0; i < 15; i++) wait();
  expect(seen).toEqual(range(0, 17));
  expect(io_uring_peek_cqe(cpu, ring)).toBe(-EAGAIN);
  io_uring_queue_exit(cpu, ring);
  expect(leftovers(cpu)).toEqual([]);
});

// cq-overflow.c :: test_overflow, the variants with failing allocations
test("a CQE that found no memory is counted, and a wait that can get none says -EBADR once", () => {
  const cpu = boot();
  const ring = open_ring(cpu, 2);
  for (let round = 0; round < 2; round++) {
    queue_nop(cpu, ring, 1);
    queue_nop(cpu, ring, 2);
    io_uring_submit(cpu, ring);
  }
  fault_arm(cpu, FAULT_SLAB, { after: 0, times: -1 });
  queue_nop(cpu, ring, 3);
  expect(io_uring_submit(cpu, ring)).toBe(1);
  fault_disarm(cpu, FAULT_SLAB);
  expect(cpu.mem.read(ring.cq_koverflow)).toBe(1);
  // While there are CQEs the error is not told.
  expect(io_uring_submit_and_wait(cpu, ring, 1)).toBe(0);
  expect(reap(cpu, ring).length).toBe(4);
  expect(io_uring_submit_and_wait(cpu, ring, 1)).toBe(-EBADR);
  queue_nop(cpu, ring, 4);
  expect(io_uring_submit_and_wait(cpu, ring, 1)).toBe(1);
  expect(reap(cpu, ring)).toEqual([[4, 0]]);
  io_uring_queue_exit(cpu, ring);
  expect(leftovers(cpu)).toEqual([]);
});

test("a ring closed with overflown CQEs leaves nothing behind", () => {
  const cpu = boot();
  const ring = open_ring(cpu, 1);
  for (let i = 0; i < 9; i++) {
    queue_nop(cpu, ring, i);
    io_uring_submit(cpu, ring);
  }
  io_uring_queue_exit(cpu, ring);
  expect(leftovers(cpu)).toEqual([]);
});

// cq-ready.c :: main
test("cq_ready is exactly the number of CQEs not yet given back", () => {
  const cpu = boot();
  const ring = open_ring(cpu, 4);
  const submit = (n: number): void => {
    for (let i = 0; i < n; i++) queue_nop(cpu, ring, i);
    expect(io_uring_submit(cpu, ring)).toBe(n);
  };
  expect(io_uring_cq_ready(cpu, ring)).toBe(0);
  submit(4);
  expect(io_uring_cq_ready(cpu, ring)).toBe(4);
  io_uring_cq_advance(cpu, ring, 4);
  expect(io_uring_cq_ready(cpu, ring)).toBe(0);
  submit(4);
  io_uring_cq_advance(cpu, ring, 1);
  expect(io_uring_cq_ready(cpu, ring)).toBe(3);
  submit(2);
  expect(io_uring_cq_ready(cpu, ring)).toBe(5);
  io_uring_queue_exit(cpu, ring);
});

// cq-peek-batch.c :: main
test("peek_batch finds what is there, flushes an overflow when empty, and advances nothing", () => {
  const cpu = boot();
  const ring = open_ring(cpu, 4);
  const cqes: number[] = [];
  const peek = (n: number): number[] => {
    const nr = io_uring_peek_batch_cqe(cpu, ring, cqes, n);
    return cqes.slice(0, nr).map((cqe) => cpu.mem.read(cqe));
  };
  expect(peek(4)).toEqual([]);
  for (let i = 0; i < 4; i++) queue_nop(cpu, ring, i);
  io_uring_submit(cpu, ring);
  expect(peek(4)).toEqual([0, 1, 2, 3]);
  expect(peek(3)).toEqual([0, 1, 2]);
  for (let i = 4; i < 8; i++) queue_nop(cpu, ring, i);
  io_uring_submit(cpu, ring);
  io_uring_cq_advance(cpu, ring, 4);
  expect(peek(4)).toEqual([4, 5, 6, 7]);
  io_uring_cq_advance(cpu, ring, 4);
  for (let i = 8; i < 20; i++) {
    queue_nop(cpu, ring, i);
    io_uring_submit(cpu, ring);
  }
  expect(peek(20)).toEqual(range(8, 16));
  io_uring_cq_advance(cpu, ring, 8);
  expect(peek(20)).toEqual(range(16, 20));
  io_uring_queue_exit(cpu, ring);
});

// cq-size.c :: main
test("CQSIZE asks for at least that many CQEs, and not for none", () => {
  const cpu = boot();
  const params = stack_push(cpu, PARAMS_SIZE) as ParamsPtr;
  const init = (size: number): [number, number] => {
    const ring = new IoUring();
    cpu.mem.write(params + PARAMS_FLAGS, IORING_SETUP_CQSIZE);
    cpu.mem.write(params + PARAMS_CQ_ENTRIES, size);
    const ret = io_uring_queue_init_params(cpu, 4, ring, params);
    if (ret === 0) io_uring_queue_exit(cpu, ring);
    return [ret, ring.cq_entries];
  };
  expect(init(64)).toEqual([0, 64]);
  expect(init(65)).toEqual([0, 128]);
  expect(init(0)[0]).toBe(-EINVAL);
  expect(init(2)[0]).toBe(-EINVAL);
  stack_pop(cpu, params);
  expect(leftovers(cpu)).toEqual([]);
});

// submit-and-wait.c :: test; b5837bd5311d.c
test("wait_nr is honoured: a wait for n returns with n", () => {
  const cpu = boot();
  const ring = open_ring(cpu, 8);
  for (let i = 0; i < 5; i++) queue_nop(cpu, ring, i);
  expect(io_uring_submit_and_wait(cpu, ring, 5)).toBe(5);
  expect(io_uring_wait_cqe_nr(cpu, ring, 5)).toBe(ring.cqes);
  expect(reap(cpu, ring).length).toBe(5);
  io_uring_queue_exit(cpu, ring);
});

test("whatever is submitted and reaped, CQEs come in the order posted, and none is lost or overwritten", () => {
  const cpu = boot();
  const ring = open_ring(cpu, 16);
  const posted: number[] = [];
  const reaped: number[] = [];
  let overflows = 0;
  for (let data = 1; data < 4000; ) {
    const count = cpu.random32() % 17;
    for (let i = 0; i < count; i++, data++) {
      const skip = cpu.random32() % 4 === 0;
      io_uring_sqe_set_flags(cpu, queue_nop(cpu, ring, data), skip ? IOSQE_CQE_SKIP_SUCCESS : 0);
      if (!skip) posted.push(data);
    }
    expect(io_uring_submit(cpu, ring)).toBe(count);
    if (io_uring_cq_has_overflow(cpu, ring)) overflows++;
    const ready = io_uring_cq_ready(cpu, ring);
    expect(ready).toBeLessThanOrEqual(ring.cq_entries);
    // As many as are posted, about: the CQ is full as often as not.
    const take = Math.min(ready, cpu.random32() % 13);
    for (let i = 0; i < take; i++) reaped.push(cpu.mem.read(io_uring_cqe_at(ring, i)));
    io_uring_cq_advance(cpu, ring, take);
    if (cpu.random32() % 3 === 0) io_uring_get_events(cpu, ring);
  }
  do {
    io_uring_get_events(cpu, ring);
    reaped.push(...reap(cpu, ring).map(([data]) => data));
  } while (io_uring_cq_has_overflow(cpu, ring) || io_uring_cq_ready(cpu, ring) > 0);
  expect(reaped).toEqual(posted);
  expect(overflows).toBeGreaterThan(10);
  io_uring_queue_exit(cpu, ring);
  expect(leftovers(cpu)).toEqual([]);
});

// As __io_cqring_events has it: what seems to be in the ring is at most what the ring holds.
test.for([
  ["ahead of the tail", 1],
  ["far ahead of it", 0x7fff_0000],
  ["before the ring", -17],
] as const)("a CQ head %s leaves no room; a sound one brings what had to wait", ([, away]) => {
  const cpu = boot();
  const ring = open_ring(cpu, 8);
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 8; i++) queue_nop(cpu, ring, round * 8 + i);
    expect(io_uring_submit(cpu, ring)).toBe(8);
  }
  const tail = cpu.mem.read(ring.cq_ktail);
  cpu.mem.write(ring.cq_khead, tail + away);
  queue_nop(cpu, ring, 16);
  expect(io_uring_submit(cpu, ring)).toBe(1);
  expect(cpu.mem.read(ring.cq_ktail)).toBe(tail);
  expect(io_uring_cq_has_overflow(cpu, ring)).toBe(true);
  cpu.mem.write(ring.cq_khead, 0);
  expect(reap(cpu, ring)).toEqual(ok(range(0, 16)));
  io_uring_get_events(cpu, ring);
  expect(reap(cpu, ring)).toEqual(ok([16]));
  io_uring_queue_exit(cpu, ring);
  expect(leftovers(cpu)).toEqual([]);
});
