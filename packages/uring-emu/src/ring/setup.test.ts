/**
 * io_uring_setup and io_uring_enter with bad and odd arguments, and the submission queue: liburing's
 * test/io_uring_setup.c, io_uring_enter.c, sq-full.c, sq-space_left.c.
 */
import { EBADF, EEXIST, EFAULT, EINVAL, EMFILE, ENOMEM, EOPNOTSUPP, ETIME } from "@ringside/core/debug/errno";
import { FAULT_PAGES, FAULT_SLAB, fault_arm, fault_disarm } from "@ringside/core/debug/fault-inject";
import { close_fd, fget, get_unused_fd_flags, put_unused_fd } from "@ringside/core/fs/fdtable";
import { file_op, file_private, FOP_READ_ITER, fput } from "@ringside/core/fs/file";
import { stack_pop, stack_push, type Cpu } from "@ringside/core/sched/cpu";
import {
  clear_thread_flag,
  current_task,
  set_tsk_thread_flag,
  TIF_SIGPENDING,
} from "@ringside/core/sched/task";
import { EINTR } from "@ringside/core/debug/errno";
import { afterEach, expect, test } from "vitest";
import {
  GETEVENTS_ARG_PAD,
  GETEVENTS_ARG_SIZE,
  GETEVENTS_ARG_TS,
  IORING_ENTER_EXT_ARG,
  IORING_ENTER_GETEVENTS,
  TIMESPEC_NSEC,
  TIMESPEC_SEC,
} from "../abi/enter.ts";
import {
  IORING_FEAT_NODROP,
  IORING_OFF_CQ_RING,
  IORING_OFF_SQ_RING,
  IORING_OFF_SQES,
  IORING_SETUP_CLAMP,
  IORING_SETUP_CQSIZE,
  IORING_SETUP_NO_SQARRAY,
  IORING_SETUP_SINGLE_ISSUER,
  IORING_SETUP_SQ_AFF,
  PARAMS_CQ_ENTRIES,
  PARAMS_FEATURES,
  PARAMS_FLAGS,
  PARAMS_RESV,
  PARAMS_SIZE,
  PARAMS_SQ_ENTRIES,
  PARAMS_SQ_OFF,
  type ParamsPtr,
  SQ_OFF_ARRAY,
} from "../abi/setup.ts";
import { SQE_OPCODE } from "../abi/sqe.ts";
import {
  io_uring_get_sqe,
  io_uring_queue_exit,
  io_uring_queue_init_params,
  io_uring_register_buffers_sparse,
  io_uring_sq_ready,
  io_uring_sq_space_left,
  io_uring_submit,
  IoUring,
} from "../liburing.ts";
import {
  boot,
  leftovers,
  open_ring,
  open_ring_with_array,
  queue_nop,
  reap,
} from "../testing/ring-fixture.ts";
import { CTX_SUBMITTER_TASK } from "./ctx.ts";
import { io_uring_enter } from "./enter.ts";
import { io_uring_mmap, io_uring_setup } from "./setup.ts";

let cpu: Cpu;
afterEach(() => expect(leftovers(cpu)).toEqual([]));

/** io_uring_setup with these flags and CQ entries; closes the ring. The params stay readable. */
function setup(entries: number, flags: number, cq = 0, resv = 0): { ret: number; sq: number; cq: number } {
  const params = stack_push(cpu, PARAMS_SIZE) as ParamsPtr;
  cpu.mem.write(params + PARAMS_FLAGS, flags);
  cpu.mem.write(params + PARAMS_CQ_ENTRIES, cq);
  cpu.mem.write(params + PARAMS_RESV, resv);
  const ret = io_uring_setup(cpu, entries, params);
  if (ret >= 0) close_fd(cpu, ret);
  const got = {
    ret,
    sq: cpu.mem.read(params + PARAMS_SQ_ENTRIES),
    cq: cpu.mem.read(params + PARAMS_CQ_ENTRIES),
  };
  stack_pop(cpu, params);
  return got;
}

// io_uring_setup.c :: main
test("bad arguments of setup have their errors", () => {
  cpu = boot();
  expect(setup(0, 0).ret).toBe(-EINVAL);
  expect(io_uring_setup(cpu, 1, 0 as ParamsPtr)).toBe(-EFAULT);
  expect(setup(1, 0, 0, 1).ret).toBe(-EINVAL);
  expect(setup(1, -1).ret).toBe(-EINVAL);
  expect(setup(1, IORING_SETUP_SQ_AFF).ret).toBe(-EINVAL);
  expect(setup(32769, 0).ret).toBe(-EINVAL);
  expect(setup(4, IORING_SETUP_CQSIZE, 65537).ret).toBe(-EINVAL);
  // read(2) of a ring fails: it has no such operation.
  const ring = open_ring(cpu, 1);
  const file = fget(cpu, ring.ring_fd);
  expect(file_op(cpu, file, FOP_READ_ITER)).toBe(0);
  fput(cpu, file);
  io_uring_queue_exit(cpu, ring);
});

test("sizes are rounded up to powers of two, the CQ is twice the SQ, CLAMP cuts", () => {
  cpu = boot({ kasan: false, ram: 32 << 20 });
  expect(setup(5, 0)).toMatchObject({ sq: 8, cq: 16 });
  expect(setup(1, 0)).toMatchObject({ sq: 1, cq: 2 });
  expect(setup(8, IORING_SETUP_CQSIZE, 9)).toMatchObject({ sq: 8, cq: 16 });
  const clamp = IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE;
  expect(setup(1 << 20, clamp, 1 << 20)).toMatchObject({ sq: 32768, cq: 65536 });
  expect(setup(1 << 20, IORING_SETUP_CLAMP)).toMatchObject({ sq: 32768, cq: 65536 });
});

test("setup that fails halfway leaves nothing, whatever failed", () => {
  cpu = boot();
  for (let after = 0; after < 2; after++) {
    fault_arm(cpu, FAULT_SLAB, { after, times: 1 });
    expect(setup(4, 0).ret).toBe(-ENOMEM);
    fault_arm(cpu, FAULT_PAGES, { after, times: 1 });
    expect(setup(4, 0).ret).toBe(-ENOMEM);
  }
  fault_disarm(cpu, FAULT_SLAB);
  fault_disarm(cpu, FAULT_PAGES);
  const fds: number[] = [];
  for (let fd = get_unused_fd_flags(cpu, 0); fd >= 0; fd = get_unused_fd_flags(cpu, 0)) fds.push(fd);
  expect(setup(4, 0).ret).toBe(-EMFILE);
  for (const fd of fds) put_unused_fd(cpu, fd);
});

test("one mapping holds both rings, another the SQEs; features say what is there", () => {
  cpu = boot();
  const params = stack_push(cpu, PARAMS_SIZE) as ParamsPtr;
  cpu.mem.write(params + PARAMS_FLAGS, IORING_SETUP_NO_SQARRAY);
  const ring = new IoUring();
  expect(io_uring_queue_init_params(cpu, 4, ring, params)).toBe(0);
  expect(cpu.mem.read(params + PARAMS_SQ_OFF + SQ_OFF_ARRAY)).toBe(0);
  expect(cpu.mem.read(params + PARAMS_FEATURES) & IORING_FEAT_NODROP).toBe(IORING_FEAT_NODROP);
  const rings = io_uring_mmap(cpu, ring.ring_fd, IORING_OFF_SQ_RING);
  expect(io_uring_mmap(cpu, ring.ring_fd, IORING_OFF_CQ_RING)).toBe(rings);
  expect(io_uring_mmap(cpu, ring.ring_fd, IORING_OFF_SQES)).not.toBe(rings);
  expect(io_uring_mmap(cpu, ring.ring_fd, 4096)).toBe(-EINVAL);
  expect(io_uring_mmap(cpu, 0, IORING_OFF_SQES)).toBe(-EOPNOTSUPP);
  expect(io_uring_mmap(cpu, 77, IORING_OFF_SQES)).toBe(-EBADF);
  io_uring_queue_exit(cpu, ring);
  stack_pop(cpu, params);
});

// io_uring_enter.c :: main
test("bad arguments of enter have their errors, in the order of the checks", () => {
  cpu = boot();
  const ring = open_ring(cpu, 4);
  expect(io_uring_enter(cpu, -1, 1, 0, -1, 0, 0)).toBe(-EINVAL);
  expect(io_uring_enter(cpu, -1, 1, 0, 0, 0, 0)).toBe(-EBADF);
  expect(io_uring_enter(cpu, 0, 1, 0, 0, 0, 0)).toBe(-EOPNOTSUPP);
  expect(io_uring_enter(cpu, ring.ring_fd, 0, 0, 0, 0, 0)).toBe(0);
  // Asked for more than there is: what there is.
  expect(io_uring_enter(cpu, ring.ring_fd, 4, 0, 0, 0, 0)).toBe(0);
  io_uring_queue_exit(cpu, ring);
});

// io_uring_enter.c :: main, "dropped"
test("an SQ array entry out of range is dropped: counted, consumed, no CQE", () => {
  cpu = boot();
  const ring = open_ring_with_array(cpu, 4);
  queue_nop(cpu, ring, 1);
  queue_nop(cpu, ring, 2);
  queue_nop(cpu, ring, 3);
  // The array follows the CQEs.
  const array = (ring.cqes + ring.cq_entries * 16 + 127) & ~127;
  cpu.mem.write(array + 4, 4);
  expect(io_uring_submit(cpu, ring)).toBe(1);
  expect(cpu.mem.read(ring.sq_kdropped)).toBe(1);
  expect(reap(cpu, ring)).toEqual([[1, 0]]);
  expect(io_uring_submit(cpu, ring)).toBe(1);
  expect(reap(cpu, ring)).toEqual([[3, 0]]);
  cpu.mem.write(array + 12, -1);
  queue_nop(cpu, ring, 4);
  expect(io_uring_submit(cpu, ring)).toBe(0);
  expect(cpu.mem.read(ring.sq_kdropped)).toBe(2);
  io_uring_queue_exit(cpu, ring);
});

test("a bad SQE is consumed with a CQE, and those after it stay in the ring", () => {
  cpu = boot();
  const ring = open_ring(cpu, 8);
  queue_nop(cpu, ring, 1);
  cpu.mem.write8(queue_nop(cpu, ring, 2) + SQE_OPCODE, 250);
  queue_nop(cpu, ring, 3);
  expect(io_uring_submit(cpu, ring)).toBe(2);
  expect(io_uring_sq_ready(cpu, ring)).toBe(1);
  expect(reap(cpu, ring)).toEqual([
    [1, 0],
    [2, -EINVAL],
  ]);
  expect(io_uring_submit(cpu, ring)).toBe(1);
  expect(reap(cpu, ring)).toEqual([[3, 0]]);
  io_uring_queue_exit(cpu, ring);
});

test("a tail beyond the ring submits what the ring holds, and no more", () => {
  cpu = boot();
  const ring = open_ring(cpu, 4);
  cpu.mem.storeRelease(ring.sq_ktail, 1_000_000);
  expect(io_uring_enter(cpu, ring.ring_fd, 1_000_000, 0, 0, 0, 0)).toBe(4);
  expect(reap(cpu, ring).length).toBe(4);
  io_uring_queue_exit(cpu, ring);
});

// sq-full.c :: main
test("get_sqe gives exactly as many SQEs as the ring has, then none", () => {
  cpu = boot();
  const ring = open_ring(cpu, 8);
  for (let i = 0; i < 8; i++) expect(io_uring_get_sqe(cpu, ring)).not.toBe(0);
  expect(io_uring_get_sqe(cpu, ring)).toBe(0);
  io_uring_queue_exit(cpu, ring);
});

// sq-space_left.c :: test_left
test("space_left and ready always add up to the size, also when the indexes wrap", () => {
  cpu = boot();
  const ring = open_ring(cpu, 8);
  for (let round = 0; round < 5; round++) {
    for (let i = 0; i < 8; i++) {
      expect(io_uring_sq_space_left(cpu, ring)).toBe(8 - i);
      expect(io_uring_sq_ready(cpu, ring)).toBe(i);
      queue_nop(cpu, ring, i);
    }
    expect(io_uring_sq_space_left(cpu, ring)).toBe(0);
    expect(io_uring_submit(cpu, ring)).toBe(8);
    expect(io_uring_sq_space_left(cpu, ring)).toBe(8);
    reap(cpu, ring);
  }
  io_uring_queue_exit(cpu, ring);
});

test("only the task that made a SINGLE_ISSUER ring may submit and register", () => {
  cpu = boot();
  const ring = open_ring(cpu, 4, IORING_SETUP_SINGLE_ISSUER);
  queue_nop(cpu, ring, 1);
  expect(io_uring_submit(cpu, ring)).toBe(1);
  const file = fget(cpu, ring.ring_fd);
  const ctx = file_private(cpu, file);
  fput(cpu, file);
  // As if another task had made it.
  cpu.mem.write(ctx + CTX_SUBMITTER_TASK, current_task(cpu) + 4096);
  queue_nop(cpu, ring, 2);
  expect(io_uring_submit(cpu, ring)).toBe(-EEXIST);
  expect(io_uring_register_buffers_sparse(cpu, ring, 1)).toBe(-EEXIST);
  io_uring_queue_exit(cpu, ring);
});

// timeout-new.c :: test_return_before_timeout and its kind, by io_uring_enter alone
test("a wait with a timeout ends with -ETIME, and without an error when a CQE is there", () => {
  cpu = boot();
  const ring = open_ring(cpu, 4);
  const arg = stack_push(cpu, GETEVENTS_ARG_SIZE + 16);
  const ts = arg + GETEVENTS_ARG_SIZE;
  cpu.mem.write64(arg + GETEVENTS_ARG_TS, ts);
  cpu.mem.write64(ts + TIMESPEC_SEC, 1);
  cpu.mem.write64(ts + TIMESPEC_NSEC, 5_000_000);
  const flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
  const before = cpu.now();
  expect(io_uring_enter(cpu, ring.ring_fd, 0, 1, flags, arg, GETEVENTS_ARG_SIZE)).toBe(-ETIME);
  expect(cpu.now() - before).toBeGreaterThanOrEqual(1005);
  expect(io_uring_enter(cpu, ring.ring_fd, 0, 1, flags, arg, 8)).toBe(-EINVAL);
  expect(io_uring_enter(cpu, ring.ring_fd, 0, 1, flags, 8, GETEVENTS_ARG_SIZE)).toBe(-EFAULT);
  cpu.mem.write(arg + GETEVENTS_ARG_PAD, 1);
  expect(io_uring_enter(cpu, ring.ring_fd, 0, 1, flags, arg, GETEVENTS_ARG_SIZE)).toBe(-EINVAL);
  cpu.mem.write(arg + GETEVENTS_ARG_PAD, 0);
  queue_nop(cpu, ring, 1);
  io_uring_submit(cpu, ring);
  expect(io_uring_enter(cpu, ring.ring_fd, 0, 2, flags, arg, GETEVENTS_ARG_SIZE)).toBe(0);
  stack_pop(cpu, arg);
  io_uring_queue_exit(cpu, ring);
});

test("a signal ends a wait with -EINTR, and hides behind what was submitted", () => {
  cpu = boot();
  const ring = open_ring(cpu, 4);
  set_tsk_thread_flag(cpu, current_task(cpu), TIF_SIGPENDING);
  expect(io_uring_enter(cpu, ring.ring_fd, 0, 1, IORING_ENTER_GETEVENTS, 0, 0)).toBe(-EINTR);
  queue_nop(cpu, ring, 1);
  cpu.mem.storeRelease(ring.sq_ktail, 1);
  expect(io_uring_enter(cpu, ring.ring_fd, 1, 2, IORING_ENTER_GETEVENTS, 0, 0)).toBe(1);
  clear_thread_flag(cpu, TIF_SIGPENDING);
  io_uring_queue_exit(cpu, ring);
});
