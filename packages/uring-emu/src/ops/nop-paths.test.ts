/**
 * A plain NOP completes inside the submission loop, any other one through prep and issue. A NOP that is asked to
 * inject the result 0 must come to the same as a plain one, whatever surrounds it: so a ring that gets the one and a
 * ring that gets the other are told apart by nothing.
 */
import type { Cpu } from "@ringside/core/sched/cpu";
import { msleep } from "@ringside/core/sched/delay";
import { expect, test } from "vitest";
import { IORING_SETUP_IOPOLL } from "../abi/setup.ts";
import {
  IORING_NOP_FILE,
  IORING_NOP_INJECT_RESULT,
  IOSQE_ASYNC,
  IOSQE_BUFFER_SELECT,
  IOSQE_CQE_SKIP_SUCCESS,
  IOSQE_IO_DRAIN,
  IOSQE_IO_LINK,
  SQE_FLAGS,
  SQE_IOPRIO,
  SQE_LEN,
  SQE_OP_FLAGS,
  SQE_OPCODE,
  SQE_PERSONALITY,
} from "../abi/sqe.ts";
import {
  io_uring_cq_has_overflow,
  io_uring_cq_ready,
  io_uring_get_events,
  io_uring_queue_exit,
  io_uring_sq_ready,
  io_uring_submit,
  type IoUring,
} from "../liburing.ts";
import {
  boot,
  leftovers,
  open_ring,
  open_ring_with_array,
  queue_nop,
  reap,
} from "../testing/ring-fixture.ts";

const ENTRIES = 8;
const ROUNDS = 400;
/** Looks of a solo kernel after which every worker has run. */
const LOOKS = 8;

/** What an SQE says, besides user_data. */
interface Sqe {
  readonly opcode: number;
  readonly flags: number;
  readonly ioprio: number;
  readonly personality: number;
  readonly nop_flags: number;
  readonly len: number;
}

const PLAIN: Sqe = { opcode: 0, flags: 0, ioprio: 0, personality: 0, nop_flags: 0, len: 0 };

/** SQEs that are no plain NOP, each in its own way. */
const OTHERS: readonly Partial<Sqe>[] = [
  { flags: IOSQE_ASYNC },
  { flags: IOSQE_CQE_SKIP_SUCCESS },
  { flags: IOSQE_IO_LINK },
  { flags: IOSQE_IO_DRAIN },
  { flags: IOSQE_BUFFER_SELECT },
  { ioprio: 3 },
  { personality: 1 },
  { opcode: 200 },
  { nop_flags: IORING_NOP_INJECT_RESULT, len: 7 },
  { nop_flags: IORING_NOP_INJECT_RESULT, len: -5 },
  { nop_flags: IORING_NOP_INJECT_RESULT, len: -5, flags: IOSQE_CQE_SKIP_SUCCESS },
  { nop_flags: IORING_NOP_FILE },
  { nop_flags: IORING_NOP_FILE, flags: IOSQE_CQE_SKIP_SUCCESS },
  { nop_flags: 1 << 20 },
];

/** The same without the short way: plain NOPs inject the result 0. The length of a plain one says nothing. */
function the_long_way(sqe: Sqe): Sqe {
  const same = sqe.opcode === 0 && sqe.nop_flags === 0;
  return same ? { ...sqe, nop_flags: IORING_NOP_INJECT_RESULT, len: 0 } : sqe;
}

function queue_sqe(cpu: Cpu, ring: IoUring, sqe: Sqe, data: number): void {
  const p = queue_nop(cpu, ring, data);
  cpu.mem.write8(p + SQE_OPCODE, sqe.opcode);
  cpu.mem.write8(p + SQE_FLAGS, sqe.flags);
  cpu.mem.write16(p + SQE_IOPRIO, sqe.ioprio);
  cpu.mem.write16(p + SQE_PERSONALITY, sqe.personality);
  cpu.mem.write(p + SQE_OP_FLAGS, sqe.nop_flags);
  cpu.mem.write(p + SQE_LEN, sqe.len);
}

/** Submits them; what a program can see of it then. */
function submit(cpu: Cpu, ring: IoUring, sqes: readonly Sqe[], first: number): readonly unknown[] {
  sqes.forEach((sqe, i) => queue_sqe(cpu, ring, sqe, first + i));
  return [
    io_uring_submit(cpu, ring),
    io_uring_sq_ready(cpu, ring),
    io_uring_cq_ready(cpu, ring),
    io_uring_cq_has_overflow(cpu, ring),
    cpu.mem.read(ring.cq_koverflow),
  ];
}

/** All CQEs there are, those that overflowed included. */
function drain(cpu: Cpu, ring: IoUring): [number, number][] {
  const cqes: [number, number][] = [];
  for (let i = 0; i < LOOKS; i++) {
    cqes.push(...reap(cpu, ring));
    msleep(cpu, 1);
    io_uring_get_events(cpu, ring);
  }
  return cqes;
}

/** The array follows the CQEs. */
function sq_array(ring: IoUring): number {
  return (ring.cqes + ring.cq_entries * 16 + 127) & ~127;
}

const RINGS: readonly (readonly [string, (cpu: Cpu) => IoUring])[] = [
  ["default", (cpu) => open_ring(cpu, ENTRIES)],
  ["IOPOLL", (cpu) => open_ring(cpu, ENTRIES, IORING_SETUP_IOPOLL)],
  ["SQ array", (cpu) => open_ring_with_array(cpu, ENTRIES)],
];

function some_sqe(cpu: Cpu): Sqe {
  if (cpu.random32() % 3 !== 0) return { ...PLAIN, len: cpu.random32() % 100 };
  return { ...PLAIN, ...OTHERS[cpu.random32() % OTHERS.length] };
}

test.for(RINGS)(
  "a program cannot tell the short way of a plain NOP from the long one, %s ring",
  ([, open]) => {
    const cpu = boot();
    // Both are used up to the limit of their requests, wrap, and overflow: nobody reaps for several rounds.
    const short = open(cpu);
    const long = open(cpu);
    let overflows = 0;
    let data = 1;
    for (let round = 0; round < ROUNDS; round++) {
      const space = ENTRIES - io_uring_sq_ready(cpu, short);
      const sqes = Array.from({ length: cpu.random32() % (space + 1) }, () => some_sqe(cpu));
      const seen = submit(cpu, short, sqes, data);
      expect(seen).toEqual(submit(cpu, long, sqes.map(the_long_way), data));
      data += sqes.length;
      if (seen[3] === true) overflows++;
      if (round % 4 === 3) expect(drain(cpu, short)).toEqual(drain(cpu, long));
    }
    expect(overflows).toBeGreaterThan(0);
    io_uring_queue_exit(cpu, short);
    io_uring_queue_exit(cpu, long);
    expect(leftovers(cpu)).toEqual([]);
  },
);

test("control: the comparison sees a result, a CQE more, and an order", () => {
  const cpu = boot();
  const results = [[PLAIN, PLAIN], [PLAIN], [{ ...PLAIN, flags: IOSQE_ASYNC }, PLAIN]].map((sqes) => {
    const ring = open_ring(cpu, ENTRIES);
    submit(cpu, ring, sqes, 1);
    const cqes = drain(cpu, ring);
    io_uring_queue_exit(cpu, ring);
    return cqes;
  });
  expect(results).toEqual([
    [
      [1, 0],
      [2, 0],
    ],
    [[1, 0]],
    [
      [2, 0],
      [1, 0],
    ],
  ]);
});

test("an SQ array that names an SQE twice, or none: the short way stops where the long one does", () => {
  const cpu = boot();
  const arrays: readonly (readonly number[])[] = [
    [0, 0, 1, 1],
    [3, 2, 1, 0],
    [0, 1, ENTRIES, 2],
    [ENTRIES, 0, 1, 2],
    [-1, 0, 1, 2],
    [1 << 30, 0, 1, 2],
  ];
  for (const array of arrays) {
    const seen = [PLAIN, the_long_way(PLAIN)].map((sqe) => {
      const ring = open_ring_with_array(cpu, ENTRIES);
      for (let i = 0; i < 4; i++) queue_sqe(cpu, ring, sqe, i + 1);
      const at = sq_array(ring);
      array.forEach((index, i) => cpu.mem.write(at + 4 * i, index));
      const told = [io_uring_submit(cpu, ring), io_uring_sq_ready(cpu, ring), cpu.mem.read(ring.sq_kdropped)];
      told.push(...drain(cpu, ring).flat());
      io_uring_queue_exit(cpu, ring);
      return told;
    });
    expect(seen[0]).toEqual(seen[1]);
  }
  expect(leftovers(cpu)).toEqual([]);
});
