/** What tests of io_uring have in common: a kernel with a ring, reaping, and an end that finds leaks. */
import { kmem_leaks, kmem_mark } from "@ringside/core/mm/slab-report";
import type { KernelConfig } from "@ringside/core/mm/memory-map";
import { rcu_barrier } from "@ringside/core/rcu/rcu";
import { type Cpu, stack_pop, stack_push } from "@ringside/core/sched/cpu";
import { boot_solo, dmesg } from "@ringside/core/testing/solo";
import { open_fd_count } from "@ringside/core/fs/fdtable";
import type { CqePtr } from "../abi/cqe.ts";
import {
  io_uring_cq_advance,
  io_uring_cq_ready,
  io_uring_cqe_at,
  io_uring_cqe_get_data64,
  io_uring_cqe_res,
  io_uring_get_sqe,
  io_uring_prep_nop,
  io_uring_queue_init,
  io_uring_queue_mmap,
  io_uring_sqe_set_data64,
  IoUring,
} from "../liburing.ts";
import { PARAMS_SIZE, type ParamsPtr } from "../abi/setup.ts";
import type { SqePtr } from "../abi/sqe.ts";
import { io_uring_setup } from "../ring/setup.ts";

/** A solo kernel in which every allocation from here on has to be freed. */
export function boot(config: Partial<KernelConfig> = {}): Cpu {
  const cpu = boot_solo({ kasan: true, ...config });
  kmem_mark(cpu);
  return cpu;
}

export function open_ring(cpu: Cpu, entries: number, flags: number = 0): IoUring {
  const ring = new IoUring();
  const ret = io_uring_queue_init(cpu, entries, ring, flags);
  if (ret !== 0) throw new Error(`queue_init: ${ret}`);
  return ring;
}

/** As open_ring, with an SQ array: liburing asks for none where the kernel can do without. */
export function open_ring_with_array(cpu: Cpu, entries: number): IoUring {
  const ring = new IoUring();
  const params = stack_push(cpu, PARAMS_SIZE) as ParamsPtr;
  const ret = io_uring_queue_mmap(cpu, io_uring_setup(cpu, entries, params), params, ring);
  stack_pop(cpu, params);
  if (ret !== 0) throw new Error(`queue_mmap: ${ret}`);
  return ring;
}

/** What is left when everything was closed: empty when all is well. */
export function leftovers(cpu: Cpu): string[] {
  for (let i = 0; i < 8; i++) rcu_barrier(cpu);
  const leaks = kmem_leaks(cpu).map((leak) => `leak: ${JSON.stringify(leak)}`);
  const files = open_fd_count(cpu) === 0 ? [] : [`${open_fd_count(cpu)} open files`];
  return [...leaks, ...files, ...dmesg(cpu)];
}

/** The next SQE, which must exist. */
export function sqe_of(cpu: Cpu, ring: IoUring): SqePtr {
  const sqe = io_uring_get_sqe(cpu, ring);
  if (sqe === 0) throw new Error("SQ full");
  return sqe;
}

/** Queues a NOP with this user_data. */
export function queue_nop(cpu: Cpu, ring: IoUring, data: number): SqePtr {
  const sqe = sqe_of(cpu, ring);
  io_uring_prep_nop(cpu, sqe);
  io_uring_sqe_set_data64(cpu, sqe, data);
  return sqe;
}

/** Takes all ready CQEs, without entering the kernel: [user_data, res] each. */
export function reap(cpu: Cpu, ring: IoUring): [number, number][] {
  const ready = io_uring_cq_ready(cpu, ring);
  const found: [number, number][] = [];
  for (let i = 0; i < ready; i++) {
    const cqe: CqePtr = io_uring_cqe_at(ring, i);
    found.push([io_uring_cqe_get_data64(cpu, cqe), io_uring_cqe_res(cpu, cqe)]);
  }
  io_uring_cq_advance(cpu, ring, ready);
  return found;
}
