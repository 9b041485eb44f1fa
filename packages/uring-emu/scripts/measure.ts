/**
 * Prints what a NOP costs at several depths, on one thread: `node packages/uring-emu/scripts/measure.ts`.
 * A batch is filled, submitted with io_uring_submit_and_wait for all of it, and reaped.
 */
import { performance } from "node:perf_hooks";
import { boot_solo } from "@ringside/core/testing/solo";
import type { Cpu } from "@ringside/core/sched/cpu";
import { IORING_SETUP_NO_SQARRAY, IORING_SETUP_SINGLE_ISSUER } from "../src/abi/setup.ts";
import {
  io_uring_cq_advance,
  io_uring_cq_ready,
  io_uring_cqe_at,
  io_uring_cqe_get_data,
  io_uring_cqe_res,
  io_uring_get_sqe,
  io_uring_prep_nop,
  io_uring_queue_exit,
  io_uring_queue_init,
  io_uring_sqe_set_data,
  io_uring_submit_and_wait,
  IoUring,
} from "../src/liburing.ts";

function batch(cpu: Cpu, ring: IoUring, depth: number): number {
  for (let i = 0; i < depth; i++) {
    const sqe = io_uring_get_sqe(cpu, ring);
    io_uring_prep_nop(cpu, sqe);
    io_uring_sqe_set_data(cpu, sqe, i);
  }
  const ret = io_uring_submit_and_wait(cpu, ring, depth);
  if (ret !== depth) throw new Error(`submitted ${ret} of ${depth}`);
  const ready = io_uring_cq_ready(cpu, ring);
  let sum = 0;
  for (let i = 0; i < ready; i++) {
    const cqe = io_uring_cqe_at(ring, i);
    sum += io_uring_cqe_get_data(cpu, cqe) + io_uring_cqe_res(cpu, cqe);
  }
  io_uring_cq_advance(cpu, ring, ready);
  return sum;
}

/** CPU time of this thread: other load on the machine counts less than in wall time. */
function cpu_ms(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

function run(cpu: Cpu, ring: IoUring, depth: number, ms: number): number {
  const end = performance.now() + ms;
  const start = cpu_ms();
  let done = 0;
  while (performance.now() < end) {
    for (let i = 0; i < 1000; i++) batch(cpu, ring, depth);
    done += 1000 * depth;
  }
  return done / (cpu_ms() - start) / 1000;
}

const cpu = boot_solo({ percpu: "atomic" });
for (const flags of [0, IORING_SETUP_NO_SQARRAY | IORING_SETUP_SINGLE_ISSUER]) {
  const ring = new IoUring();
  const ret = io_uring_queue_init(cpu, 128, ring, flags);
  if (ret !== 0) throw new Error(`queue_init: ${ret}`);
  for (const depth of [1, 32, 128]) run(cpu, ring, depth, 300);
  for (const depth of [1, 8, 32, 128]) {
    const best = Math.max(run(cpu, ring, depth, 300), run(cpu, ring, depth, 300), run(cpu, ring, depth, 300));
    console.log(`nop flags 0x${flags.toString(16)} depth ${depth}: ${best.toFixed(2)} M/s`);
  }
  io_uring_queue_exit(cpu, ring);
}
