/**
 * A registered buffer is replaced while a request that uses it is in flight.
 *
 * The table holds one reference to the buffer's node and each request that looked it up another. The replaced node goes
 * when the last of them does: with the update when nothing is in flight, else with the request. The counts are plain
 * words, guarded by uring_lock. The worker of io-wq looks the node up late, beside the task that updates.
 */
import { kernel_static } from "@ringside/core/debug/image";
import { close_fd } from "@ringside/core/fs/fdtable";
import { __get_free_pages, free_pages } from "@ringside/core/mm/page-alloc";
import { GFP_KERNEL } from "@ringside/core/mm/slab";
import type { Cpu } from "@ringside/core/sched/cpu";
import { IOVEC_SIZE } from "@ringside/uring-emu/abi/register";
import { PARAMS_SIZE, type ParamsPtr } from "@ringside/uring-emu/abi/setup";
import { IOSQE_ASYNC } from "@ringside/uring-emu/abi/sqe";
import {
  io_uring_cqe_res,
  io_uring_cqe_seen,
  io_uring_get_sqe,
  io_uring_prep_read_fixed,
  io_uring_queue_exit,
  io_uring_queue_init_params,
  io_uring_queue_mmap,
  io_uring_register_buffers,
  io_uring_register_buffers_update_tag,
  io_uring_sqe_set_flags,
  io_uring_submit,
  io_uring_wait_cqe,
  IoUring,
  iovec_fill,
} from "@ringside/uring-emu/liburing";
import {
  fake_complete_all,
  fake_file_mode,
  fake_file_open,
  FAKE_LATER,
} from "@ringside/uring-emu/testing/fake-file";
import type { CqePtr } from "@ringside/uring-emu/abi/cqe";
import { claim } from "./claim.ts";
import type { KernelScenario } from "./scenario.ts";

const ENTRIES = 4;
const BYTES = 64;
// Constant after setup:
const RING_FD = kernel_static("check_ring_fd", 4);
const FILE_FD = kernel_static("check_file_fd", 4);
const PARAMS = kernel_static("check_ring_params", PARAMS_SIZE) as ParamsPtr;
const PAGES = kernel_static("check_ring_pages", 4);
/** The buffer in slot 0 at first, and after the update: longer. */
const IOVECS = kernel_static("check_ring_iovecs", 2 * IOVEC_SIZE);

function setup(cpu: Cpu): void {
  const ring = new IoUring();
  claim(io_uring_queue_init_params(cpu, ENTRIES, ring, PARAMS) === 0, "no ring");
  cpu.mem.write(RING_FD, ring.ring_fd);
  fake_file_mode(cpu, FAKE_LATER);
  cpu.mem.write(FILE_FD, fake_file_open(cpu));
  const pages = __get_free_pages(cpu, GFP_KERNEL, 0);
  cpu.mem.write(PAGES, pages);
  iovec_fill(cpu, IOVECS, pages, BYTES);
  iovec_fill(cpu, IOVECS + IOVEC_SIZE, pages, 2 * BYTES);
  claim(io_uring_register_buffers(cpu, ring, IOVECS, 1) === 0, "no buffer");
}

/** The ring for those who call register and close alone. */
function ring_here(cpu: Cpu): IoUring {
  const ring = new IoUring();
  ring.ring_fd = cpu.mem.read(RING_FD);
  return ring;
}

/** Reads into the buffer: the one that is in the slot by then. */
function read(cpu: Cpu, flags: number): void {
  const ring = new IoUring();
  claim(io_uring_queue_mmap(cpu, cpu.mem.read(RING_FD), PARAMS, ring) === 0, "no ring");
  const sqe = io_uring_get_sqe(cpu, ring);
  io_uring_prep_read_fixed(cpu, sqe, cpu.mem.read(FILE_FD), cpu.mem.read(PAGES), BYTES, 0, 0);
  io_uring_sqe_set_flags(cpu, sqe, flags);
  claim(io_uring_submit(cpu, ring) === 1, "not submitted");
  const cqe = io_uring_wait_cqe(cpu, ring) as CqePtr;
  const res = io_uring_cqe_res(cpu, cqe);
  claim(res === BYTES, `the request came to ${res}`);
  io_uring_cqe_seen(cpu, ring, cqe);
}

function reader(cpu: Cpu): void {
  read(cpu, 0);
}

/** Its request is issued by a worker. */
function async_reader(cpu: Cpu): void {
  read(cpu, IOSQE_ASYNC);
}

function updater(cpu: Cpu): void {
  const done = io_uring_register_buffers_update_tag(cpu, ring_here(cpu), 0, IOVECS + IOVEC_SIZE, 0, 1);
  claim(done === 1, `the update came to ${done}`);
}

function device(cpu: Cpu): void {
  while (fake_complete_all(cpu) === 0) cpu.mem.pause();
}

function lastly(cpu: Cpu): void {
  io_uring_queue_exit(cpu, ring_here(cpu));
  close_fd(cpu, cpu.mem.read(FILE_FD));
  free_pages(cpu, cpu.mem.read(PAGES), 0);
}

export const uring_buffer_update: KernelScenario = {
  kind: "kernel",
  name: "uring-buffer-update",
  summary: "a registered buffer is replaced while a request that uses it is in flight",
  setup,
  focus: [
    "packages/uring-emu/src/ring/complete",
    "packages/uring-emu/src/ring/tctx",
    "packages/uring-emu/src/ring/task-work",
    "packages/uring-emu/src/rsrc",
    "packages/uring-emu/src/testing",
    "packages/core/src/lock/mutex",
    "scenarios/src/check",
  ],
  forms: {
    correct: {
      summary: "the task issues the request itself",
      expect: "clean",
      threads: { reader, updater, device },
      lastly,
    },
    "correct-async": {
      summary: "a worker issues the request",
      expect: "clean",
      threads: { reader: async_reader, updater, device },
      lastly,
    },
    "node-not-held": {
      summary: "a request uses the node without a reference and puts the table's when it completes",
      expect: "use-after-free",
      mutant: "uring-node-not-held",
      threads: { reader, updater, device },
      lastly,
    },
    "node-held-late": {
      summary:
        "a worker finds the node under the lock and takes its reference after it: the update was faster",
      expect: "use-after-free or data-race",
      mutant: "uring-node-held-late",
      threads: { reader: async_reader, updater, device },
      lastly,
    },
    "lookup-unlocked": {
      summary: "a worker looks the buffer up without uring_lock",
      expect: "data-race or use-after-free",
      mutant: "uring-lookup-unlocked",
      threads: { reader: async_reader, updater, device },
      lastly,
    },
    "cleans-unlocked": {
      summary:
        "the completed request drops its node after uring_lock: both puts see the count before the other",
      expect: "data-race or use-after-free",
      mutant: "uring-cleans-unlocked",
      threads: { reader, updater, device },
      lastly,
    },
  },
};
