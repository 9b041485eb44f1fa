/**
 * Prints what io_uring costs on one thread, files and devices apart, and how many atomic operations it
 * takes: `node packages/uring-emu/scripts/measure.ts`, about 10 s. A batch is filled, submitted with
 * io_uring_submit_and_wait for all of it, and reaped.
 *
 * READ_FIXED goes to a file that completes every request before its read_iter returns -EIOCBQUEUED, as a
 * device would that is infinitely fast.
 */
import { EIOCBQUEUED } from "@ringside/core/debug/errno";
import { kernel_rodata, kernel_symbol, symbol_call } from "@ringside/core/debug/image";
import { dma_buf_fd } from "@ringside/core/dma/buf";
import { fixture_buffer, fixture_file } from "@ringside/core/dma/testing/token-fixture";
import { fd_install, get_unused_fd_flags } from "@ringside/core/fs/fdtable";
import {
  anon_inode_getfile,
  file_op,
  type FilePtr,
  FOP_CREATE_DMABUF_TOKEN,
  O_DIRECT,
  O_RDWR,
} from "@ringside/core/fs/file";
import { ki_complete, type KiocbPtr } from "@ringside/core/fs/kiocb";
import { __get_free_pages } from "@ringside/core/mm/page-alloc";
import { GFP_KERNEL } from "@ringside/core/mm/slab";
import { type Cpu, stack_pop, stack_push } from "@ringside/core/sched/cpu";
import { boot_solo } from "@ringside/core/testing/solo";
import { Memory } from "atomics-sync";
import { performance } from "node:perf_hooks";
import { IORING_SETUP_NO_SQARRAY, IORING_SETUP_SINGLE_ISSUER } from "../src/abi/setup.ts";
import {
  io_uring_cq_advance,
  io_uring_cq_ready,
  io_uring_cqe_at,
  io_uring_cqe_get_data,
  io_uring_cqe_res,
  io_uring_get_sqe,
  io_uring_prep_nop,
  io_uring_prep_read_fixed,
  io_uring_queue_exit,
  io_uring_queue_init,
  io_uring_register_buffers_sparse,
  io_uring_register_buffers_update_tag,
  io_uring_register_dmabuf,
  io_uring_sqe_set_data,
  io_uring_submit_and_wait,
  iovec_fill,
  IoUring,
} from "../src/liburing.ts";

const BATCHES = 500;
const DEPTHS = [1, 8, 32, 128];

const FOPS = kernel_rodata("measure_fops", [
  0,
  kernel_symbol(instant_read_iter),
  0,
  0,
  0,
  kernel_symbol(instant_create_token),
]);

function instant_read_iter(cpu: Cpu, kiocb: KiocbPtr): number {
  ki_complete(cpu, kiocb, 512);
  return -EIOCBQUEUED;
}

function instant_create_token(cpu: Cpu, file: FilePtr, token: number): number {
  return symbol_call(cpu, file_op(cpu, fixture_file(cpu, true), FOP_CREATE_DMABUF_TOKEN), file, token);
}

/** Fills one SQE. */
type Prep = (cpu: Cpu, sqe: ReturnType<typeof io_uring_get_sqe>) => void;

function batch(cpu: Cpu, ring: IoUring, depth: number, prep: Prep): number {
  for (let i = 0; i < depth; i++) {
    const sqe = io_uring_get_sqe(cpu, ring);
    prep(cpu, sqe);
    io_uring_sqe_set_data(cpu, sqe, i);
  }
  const ret = io_uring_submit_and_wait(cpu, ring, depth);
  if (ret !== depth) throw new Error(`submitted ${ret} of ${depth}`);
  const ready = io_uring_cq_ready(cpu, ring);
  let sum = 0;
  for (let i = 0; i < ready; i++) {
    const cqe = io_uring_cqe_at(ring, i);
    const res = io_uring_cqe_res(cpu, cqe);
    if (res < 0) throw new Error(`res ${res}`);
    sum += io_uring_cqe_get_data(cpu, cqe) + res;
  }
  io_uring_cq_advance(cpu, ring, ready);
  return sum;
}

/** CPU time of this thread: other load on the machine counts less than in wall time. */
function cpu_ms(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

function run(cpu: Cpu, ring: IoUring, depth: number, prep: Prep, ms: number): number {
  const end = performance.now() + ms;
  const start = cpu_ms();
  let done = 0;
  while (performance.now() < end) {
    for (let i = 0; i < BATCHES; i++) batch(cpu, ring, depth, prep);
    done += BATCHES * depth;
  }
  return done / (cpu_ms() - start) / 1000;
}

const VERBS = [
  "loadAcquire",
  "storeRelease",
  "fetchAdd",
  "fetchSub",
  "fetchAnd",
  "fetchOr",
  "exchange",
].concat(["compareExchange", "fence"]);

type Verb = (...args: number[]) => number;

/** Atomic operations while `work` runs, by verb. */
function count_atomics(work: () => void): Map<string, number> {
  const counts = new Map<string, number>();
  const verbs = Memory.prototype as unknown as Record<string, Verb>;
  const kept = new Map<string, Verb>();
  for (const verb of VERBS) {
    const original = verbs[verb];
    if (original === undefined) throw new Error(`Memory has no ${verb}`);
    kept.set(verb, original);
    verbs[verb] = function counted(this: Memory, ...args: number[]): number {
      counts.set(verb, (counts.get(verb) ?? 0) + 1);
      return original.apply(this, args);
    };
  }
  work();
  for (const [verb, original] of kept) verbs[verb] = original;
  return counts;
}

function sum(counts: Map<string, number>): number {
  return [...counts.values()].reduce((total, n) => total + n, 0);
}

/** A batch costs fixed + depth x each: from the difference of two depths. */
function print_atomics(cpu: Cpu, ring: IoUring, name: string, prep: Prep): void {
  const rounds = 64;
  const at = (depth: number): Map<string, number> =>
    count_atomics(() => {
      for (let i = 0; i < rounds; i++) batch(cpu, ring, depth, prep);
    });
  const [small, large] = [at(32), at(96)];
  const per_io = (a: number, b: number): number => Math.round((10 * (b - a)) / rounds / 64) / 10;
  const each = per_io(sum(small), sum(large));
  const verbs = VERBS.map((v) => [v, per_io(small.get(v) ?? 0, large.get(v) ?? 0)] as const)
    .filter(([, n]) => n !== 0)
    .map(([v, n]) => `${v} ${n}`);
  const fixed = Math.round(sum(small) / rounds - 32 * each);
  console.log(`${name}: ${each} atomics an I/O (${verbs.join(", ")}), ${fixed} a batch`);
}

function print_rates(cpu: Cpu, ring: IoUring, name: string, prep: Prep): void {
  for (const depth of DEPTHS) run(cpu, ring, depth, prep, 100);
  for (const depth of DEPTHS) {
    const best = Math.max(...[1, 2, 3].map(() => run(cpu, ring, depth, prep, 150)));
    console.log(`${name} depth ${depth}: ${best.toFixed(2)} M/s`);
  }
}

const cpu = boot_solo({ lockdep: false });
const fd = get_unused_fd_flags(cpu, 0);
fd_install(cpu, fd, anon_inode_getfile(cpu, FOPS, 1, O_RDWR | O_DIRECT));
const page = __get_free_pages(cpu, GFP_KERNEL, 0);
const ring = new IoUring();
const error = io_uring_queue_init(cpu, 128, ring, IORING_SETUP_NO_SQARRAY | IORING_SETUP_SINGLE_ISSUER);
if (error !== 0) throw new Error(`queue_init: ${error}`);
io_uring_register_buffers_sparse(cpu, ring, 2);
const iov = stack_push(cpu, 16);
iovec_fill(cpu, iov, page, 4096);
io_uring_register_buffers_update_tag(cpu, ring, 0, iov, 0, 1);
stack_pop(cpu, iov);
const dmabuf_fd = dma_buf_fd(cpu, fixture_buffer(cpu, 65536));
if (io_uring_register_dmabuf(cpu, ring, 1, dmabuf_fd, fd) !== 1) throw new Error("register_dmabuf");

const WORKLOADS: readonly [string, Prep][] = [
  ["NOP", io_uring_prep_nop],
  ["READ_FIXED, pages", (on, sqe) => io_uring_prep_read_fixed(on, sqe, fd, page, 512, 0, 0)],
  ["READ_FIXED, dma-buf", (on, sqe) => io_uring_prep_read_fixed(on, sqe, fd, 0, 512, 0, 1)],
];
for (const [, prep] of WORKLOADS) batch(cpu, ring, 128, prep);
for (const [name, prep] of WORKLOADS) {
  print_rates(cpu, ring, name, prep);
}
for (const [name, prep] of WORKLOADS) print_atomics(cpu, ring, name, prep);
io_uring_queue_exit(cpu, ring);
