import { expect, test } from "vitest";
import { EINVAL, ENOMEM, EOPNOTSUPP } from "../debug/errno.ts";
import { FAULT_CREATE_TOKEN, FAULT_MISSING_OPS, FAULT_SLAB, fault_arm } from "../debug/fault-inject.ts";
import { fput } from "../fs/file.ts";
import type { KernelConfig } from "../mm/memory-map.ts";
import { GFP_KERNEL, kfree, kzalloc } from "../mm/slab.ts";
import { kmem_leaks, kmem_mark } from "../mm/slab-report.ts";
import { rcu_barrier } from "../rcu/rcu.ts";
import type { Cpu } from "../sched/cpu.ts";
import { boot_solo, dmesg } from "../testing/solo.ts";
import { dma_buf_invalidate_mappings, dma_buf_put, type DmaBufPtr, dma_buf_resv } from "./buf.ts";
import { dma_fence_counters } from "./fence.ts";
import {
  DMA_RESV_USAGE_KERNEL,
  dma_resv_lock,
  dma_resv_test_signaled,
  dma_resv_unlock,
  dma_resv_wait_timeout,
} from "./resv.ts";
import {
  fixture_book,
  fixture_buffer,
  fixture_file,
  FIXTURE_MAPS,
  FIXTURE_RELEASES,
  FIXTURE_UNMAPS,
} from "./testing/token-fixture.ts";
import {
  IO_DMABUF_TOKEN_SIZE,
  io_dmabuf_create_map,
  io_dmabuf_get_map,
  io_dmabuf_map_drop,
  io_dmabuf_token_create,
  io_dmabuf_token_release,
  type IoDmabufTokenPtr,
} from "./token.ts";
import { token_counters } from "./token-oracle.ts";

interface Bench {
  readonly cpu: Cpu;
  readonly dmabuf: DmaBufPtr;
  readonly token: IoDmabufTokenPtr;
}

/** A solo kernel with a buffer and a token over it; the file is closed already. */
function bench(options: Partial<KernelConfig> = {}): Bench {
  const cpu = boot_solo(options);
  kmem_mark(cpu);
  const dmabuf = fixture_buffer(cpu, 65536);
  const token = kzalloc(cpu, IO_DMABUF_TOKEN_SIZE, GFP_KERNEL) as IoDmabufTokenPtr;
  const file = fixture_file(cpu, true);
  expect(io_dmabuf_token_create(cpu, file, token, dmabuf, 0)).toBe(0);
  fput(cpu, file);
  return { cpu, dmabuf, token };
}

function invalidate({ cpu, dmabuf }: Bench): void {
  dma_resv_lock(cpu, dma_buf_resv(cpu, dmabuf), 0);
  dma_buf_invalidate_mappings(cpu, dmabuf);
  dma_resv_unlock(cpu, dma_buf_resv(cpu, dmabuf));
}

function wait_idle({ cpu, dmabuf }: Bench): number {
  return dma_resv_wait_timeout(cpu, dma_buf_resv(cpu, dmabuf), DMA_RESV_USAGE_KERNEL, false, 5000);
}

/** Releases the token and the buffer; everything queued runs. */
function finish({ cpu, dmabuf, token }: Bench): void {
  io_dmabuf_token_release(cpu, token);
  settle(cpu);
  dma_buf_put(cpu, dmabuf);
  settle(cpu);
}

function settle(cpu: Cpu): void {
  for (let i = 0; i < 8; i++) rcu_barrier(cpu);
}

test("a token has no map until somebody creates one", () => {
  const b = bench();
  expect(io_dmabuf_get_map(b.cpu, b.token)).toBe(0);
  const map = io_dmabuf_create_map(b.cpu, b.token);
  expect(map).toBeGreaterThan(0);
  expect(io_dmabuf_get_map(b.cpu, b.token)).toBe(map);
  expect(io_dmabuf_create_map(b.cpu, b.token)).toBe(map);
  for (let i = 0; i < 3; i++) io_dmabuf_map_drop(b.cpu, map);
  finish(b);
  expect(dmesg(b.cpu)).toEqual([]);
});

test("an invalidated map is out of reach at once and unmapped after its last reference", () => {
  const b = bench();
  const map = io_dmabuf_create_map(b.cpu, b.token);
  invalidate(b);
  expect(io_dmabuf_get_map(b.cpu, b.token)).toBe(0);
  settle(b.cpu);
  expect(dma_resv_test_signaled(b.cpu, dma_buf_resv(b.cpu, b.dmabuf), DMA_RESV_USAGE_KERNEL)).toBe(false);
  expect(fixture_book(b.cpu, FIXTURE_UNMAPS)).toBe(0);
  io_dmabuf_map_drop(b.cpu, map);
  expect(wait_idle(b)).toBeGreaterThan(0);
  settle(b.cpu);
  expect(fixture_book(b.cpu, FIXTURE_UNMAPS)).toBe(1);
  finish(b);
  expect(dmesg(b.cpu)).toEqual([]);
});

test("create waits for the fence of the generation before", () => {
  const b = bench();
  io_dmabuf_map_drop(b.cpu, io_dmabuf_create_map(b.cpu, b.token));
  invalidate(b);
  const before = dma_fence_counters(b.cpu).signalled;
  const next = io_dmabuf_create_map(b.cpu, b.token);
  expect(next).toBeGreaterThan(0);
  expect(dma_fence_counters(b.cpu).signalled).toBe(before + 1);
  io_dmabuf_map_drop(b.cpu, next);
  finish(b);
  expect(dmesg(b.cpu)).toEqual([]);
});

test("nothing is left after release, whatever the percpu mode", () => {
  for (const percpu of ["atomic", "owner"] as const) {
    const b = bench({ percpu });
    for (let i = 0; i < 5; i++) {
      io_dmabuf_map_drop(b.cpu, io_dmabuf_create_map(b.cpu, b.token));
      invalidate(b);
    }
    io_dmabuf_map_drop(b.cpu, io_dmabuf_create_map(b.cpu, b.token));
    finish(b);
    const { created, released, maps, unmaps } = token_counters(b.cpu);
    expect([created, released, maps, unmaps]).toEqual([1, 1, 6, 6]);
    expect(fixture_book(b.cpu, FIXTURE_MAPS)).toBe(6);
    expect(fixture_book(b.cpu, FIXTURE_RELEASES)).toBe(1);
    const { initialised, signalled } = dma_fence_counters(b.cpu);
    expect(signalled).toBe(initialised);
    expect(kmem_leaks(b.cpu)).toEqual([]);
    expect(dmesg(b.cpu)).toEqual([]);
  }
});

test("release waits for the requests that hold a map", () => {
  const b = bench();
  const map = io_dmabuf_create_map(b.cpu, b.token);
  invalidate(b);
  settle(b.cpu);
  expect(fixture_book(b.cpu, FIXTURE_RELEASES)).toBe(0);
  io_dmabuf_map_drop(b.cpu, map);
  finish(b);
  expect(fixture_book(b.cpu, FIXTURE_RELEASES)).toBe(1);
});

test("a file without the operation does not take tokens: -EOPNOTSUPP", () => {
  const cpu = boot_solo();
  const token = kzalloc(cpu, IO_DMABUF_TOKEN_SIZE, GFP_KERNEL) as IoDmabufTokenPtr;
  const dmabuf = fixture_buffer(cpu, 4096);
  expect(io_dmabuf_token_create(cpu, fixture_file(cpu, false), token, dmabuf, 0)).toBe(-EOPNOTSUPP);
});

test("a failing driver leaves no reference behind", () => {
  const cpu = boot_solo();
  kmem_mark(cpu);
  const token = kzalloc(cpu, IO_DMABUF_TOKEN_SIZE, GFP_KERNEL) as IoDmabufTokenPtr;
  const dmabuf = fixture_buffer(cpu, 4096);
  const file = fixture_file(cpu, true);
  fault_arm(cpu, FAULT_CREATE_TOKEN, { after: 0, times: 1 });
  expect(io_dmabuf_token_create(cpu, file, token, dmabuf, 0)).toBe(-ENOMEM);
  kfree(cpu, token);
  fput(cpu, file);
  dma_buf_put(cpu, dmabuf);
  settle(cpu);
  expect(kmem_leaks(cpu)).toEqual([]);
});

test("a driver that leaves out an operation gets -EINVAL and a warning, and leaks the buffer as posted", () => {
  const cpu = boot_solo();
  const token = kzalloc(cpu, IO_DMABUF_TOKEN_SIZE, GFP_KERNEL) as IoDmabufTokenPtr;
  const dmabuf = fixture_buffer(cpu, 4096);
  fault_arm(cpu, FAULT_MISSING_OPS, { after: 0, times: 1 });
  kmem_mark(cpu);
  expect(io_dmabuf_token_create(cpu, fixture_file(cpu, true), token, dmabuf, 0)).toBe(-EINVAL);
  expect(dmesg(cpu).join()).toContain("io_dmabuf_token_create");
  expect(
    kmem_leaks(cpu)
      .map((leak) => leak.site)
      .join(),
  ).toContain("dma_buf_dynamic_attach");
});

test("a map that cannot be made is an error pointer and changes nothing", () => {
  const b = bench();
  fault_arm(b.cpu, FAULT_SLAB, { after: 0, times: 1 });
  expect(io_dmabuf_create_map(b.cpu, b.token)).toBe(-ENOMEM);
  expect(io_dmabuf_get_map(b.cpu, b.token)).toBe(0);
  const map = io_dmabuf_create_map(b.cpu, b.token);
  expect(map).toBeGreaterThan(0);
  io_dmabuf_map_drop(b.cpu, map);
  finish(b);
  expect(dmesg(b.cpu)).toEqual([]);
});
