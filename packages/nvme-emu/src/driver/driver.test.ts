/** The driver against the real controller, on one thread: probe, I/O of every kind, errors, removal. */
import { expect, test } from "vitest";
import { bio_alloc_cache_destroy } from "@ringside/core/block/bio";
import { bdev_get_queue, disk_part0 } from "@ringside/core/block/disk";
import { bdev_open } from "@ringside/core/block/fops";
import { blk_finish_plug, blk_start_plug_nr_ios } from "@ringside/core/block/plug";
import { HCTX_TYPE_DEFAULT, HCTX_TYPE_POLL, queue_hctx } from "@ringside/core/block/queue";
import { type HctxPtr, hctx_tags } from "@ringside/core/block/request";
import {
  BLK_STS_IOERR,
  BLK_STS_MEDIUM,
  BLK_STS_NOSPC,
  BLK_STS_NOTSUPP,
  BLK_STS_PROTECTION,
  BLK_STS_TARGET,
  BLK_STS_TRANSPORT,
} from "@ringside/core/block/status";
import { blk_mq_poll } from "@ringside/core/block/submit";
import { blk_mq_tags_busy } from "@ringside/core/block/tags";
import { EINVAL, EIOCBQUEUED, ENODEV, ENOMEM, ENXIO } from "@ringside/core/debug/errno";
import { symbol_call } from "@ringside/core/debug/image";
import {
  FAULT_CREATE_TOKEN,
  FAULT_DMA_MAP,
  FAULT_MISSING_OPS,
  FAULT_PAGES,
  FAULT_PRP_POOL,
  FAULT_SLAB,
  fault_arm,
  fault_disarm,
  fault_hits,
} from "@ringside/core/debug/fault-inject";
import {
  dma_buf_counters,
  dma_buf_invalidate_mappings,
  dma_buf_put,
  dma_buf_resv,
  type DmaBufPtr,
} from "@ringside/core/dma/buf";
import { udmabuf_create } from "@ringside/core/dma/exporters/udmabuf";
import { DMA_BIDIRECTIONAL, dma_counters } from "@ringside/core/dma/mapping";
import { dma_resv_lock, dma_resv_unlock } from "@ringside/core/dma/resv";
import {
  io_dmabuf_create_map,
  io_dmabuf_get_map,
  io_dmabuf_map_drop,
  IO_DMABUF_TOKEN_SIZE,
  io_dmabuf_token_create,
  io_dmabuf_token_release,
  type IoDmabufMapPtr,
  type IoDmabufTokenPtr,
} from "@ringside/core/dma/token";
import { file_op, FOP_READ_ITER, O_RDWR } from "@ringside/core/fs/file";
import { ITER_DEST } from "@ringside/core/fs/iov-iter";
import { IOCB_HIPRI } from "@ringside/core/fs/kiocb";
import { __get_free_pages, nr_free_pages } from "@ringside/core/mm/page-alloc";
import { GFP_KERNEL, kmem_in_use, kzalloc } from "@ringside/core/mm/slab";
import { rcu_barrier } from "@ringside/core/rcu/rcu";
import { flush_workqueue, system_wq } from "@ringside/core/sched/workqueue";
import { dmesg } from "@ringside/core/testing/solo";
import { NvmeController } from "../controller/controller.ts";
import { NVME_LOG_SMART } from "../spec/opcodes.ts";
import { DriverMachine } from "../testing/driver-machine.ts";
import { nvme_get_log } from "./admin.ts";
import { nvme_error_status } from "./complete.ts";
import { dev_queue, nvme_dev, nvme_disk } from "./dev.ts";
import { nvme_dmabuf_map_nr_entries } from "./dmabuf-map.ts";
import { nvme_probe, nvme_remove } from "./probe.ts";
import { nvme_cqe_pending, nvmeq_cq_head, nvmeq_cqes } from "./queue.ts";

const BUFFER_ORDER = 9;

/** 2 MiB of pages with a pattern of their own. */
function buffer(m: DriverMachine, seed: number): number {
  const pages = __get_free_pages(m.cpu, GFP_KERNEL, BUFFER_ORDER);
  for (let i = 0; i < (4096 << BUFFER_ORDER) / 4; i++)
    m.cpu.mem.write(pages + 4 * i, Math.imul(i + 1, seed) | 1);
  return pages;
}

function busy(m: DriverMachine): number {
  const q = bdev_get_queue(m.cpu, disk_part0(nvme_disk(m.cpu)));
  const hctx = queue_hctx(m.cpu, q, HCTX_TYPE_DEFAULT, 0) as HctxPtr;
  return blk_mq_tags_busy(m.cpu, hctx_tags(m.cpu, hctx));
}

/** Whether two stretches of memory hold the same bytes. */
function same(m: DriverMachine, a: number, b: number, bytes: number): boolean {
  return m.cpu.mem.crc32c(a, bytes) === m.cpu.mem.crc32c(b, bytes);
}

function make_token(m: DriverMachine, dmabuf: DmaBufPtr): IoDmabufTokenPtr {
  const token = kzalloc(m.cpu, IO_DMABUF_TOKEN_SIZE, GFP_KERNEL) as IoDmabufTokenPtr;
  expect(io_dmabuf_token_create(m.cpu, m.file, token, dmabuf, DMA_BIDIRECTIONAL)).toBe(0);
  return token;
}

/** Drops the map and has the exporter invalidate it; it is gone afterwards. */
function invalidate(m: DriverMachine, dmabuf: DmaBufPtr, map: IoDmabufMapPtr): void {
  io_dmabuf_map_drop(m.cpu, map);
  dma_resv_lock(m.cpu, dma_buf_resv(m.cpu, dmabuf), 0);
  dma_buf_invalidate_mappings(m.cpu, dmabuf);
  dma_resv_unlock(m.cpu, dma_buf_resv(m.cpu, dmabuf));
  quiesce(m);
}

/** Drops everything that waits for grace periods and workers. */
function quiesce(m: DriverMachine): void {
  for (let round = 0; round < 4; round++) {
    rcu_barrier(m.cpu);
    flush_workqueue(m.cpu, system_wq(m.cpu));
  }
}

for (const iommu of ["passthrough", "strict", "lazy"] as const) {
  test(`probe and removal leave nothing behind (${iommu})`, () => {
    const m = new DriverMachine({ iommu, cpus: 3 });
    const slabs = kmem_in_use(m.cpu);
    const pages: number[] = [];
    for (let round = 0; round < 3; round++) {
      expect(m.probe()).toBe(0);
      expect(m.open()).toBeGreaterThan(2);
      m.remove();
      bio_alloc_cache_destroy(m.cpu);
      expect(kmem_in_use(m.cpu)).toEqual(slabs);
      pages.push(nr_free_pages(m.cpu));
    }
    // The first round leaves empty slabs to the allocator.
    expect(pages[2]).toBe(pages[0]);
    expect(dmesg(m.cpu)).toEqual([]);
  });
}

test("what is written through any buffer is read back through any other", () => {
  const m = DriverMachine.started({ iommu: "strict" });
  const { cpu } = m;
  const source = buffer(m, 2654435761);
  const target = buffer(m, 97);
  for (let trial = 0; trial < 40; trial++) {
    const bytes = 512 * (1 + (cpu.random32() % (trial < 20 ? 32 : 2048)));
    const pos = 512 * (cpu.random32() % 4096);
    const from = source + 4 * (cpu.random32() % 65536);
    const to = target + 512 * (cpu.random32() % 512);
    expect(m.write(pos, { bvecs: [[from, bytes]] }, 0, true)).toBe(bytes);
    expect(same(m, cpu.map.media + pos, from, bytes)).toBe(true);
    expect(m.read(pos, { bvecs: [[to, bytes]] }, 0, true)).toBe(bytes);
    expect(same(m, to, from, bytes)).toBe(true);
  }
  expect(busy(m)).toBe(0);
  expect(dmesg(cpu)).toEqual([]);
});

test("a plugged batch completes in full, and rings wrap many times", () => {
  const m = DriverMachine.started();
  const memory = buffer(m, 3);
  for (let round = 0; round < 120; round++) {
    const plug = blk_start_plug_nr_ios(m.cpu, 32);
    for (let i = 0; i < 32; i++) {
      const pos = 512 * ((round * 32 + i) % 4096);
      expect(m.read(pos, { bvecs: [[memory + 512 * i, 512]] })).toBe(-EIOCBQUEUED);
    }
    blk_finish_plug(m.cpu, plug);
    m.settle();
    expect(m.completions()).toEqual(Array.from({ length: 32 }, () => 512));
  }
  expect(busy(m)).toBe(0);
});

test("a queue filled to its last tag loses nothing", () => {
  const m = DriverMachine.started();
  const memory = buffer(m, 3);
  for (let i = 0; i < 1023; i++) m.read(512 * i, { bvecs: [[memory, 512]] });
  expect(busy(m)).toBe(1023);
  m.settle();
  expect([m.completions().length, busy(m)]).toEqual([1023, 0]);
});

test("flush reaches the device", () => {
  const m = DriverMachine.started();
  expect(m.fsync()).toBe(0);
});

test("the SMART log counts what the host did", () => {
  const m = DriverMachine.started();
  const memory = buffer(m, 3);
  for (let i = 0; i < 7; i++) m.read(512 * i, { bvecs: [[memory, 512]] }, 0, true);
  for (let i = 0; i < 5; i++) m.write(512 * i, { bvecs: [[memory, 512]] }, 0, true);
  const log = kzalloc(m.cpu, 512, GFP_KERNEL);
  expect(nvme_get_log(m.cpu, nvme_dev(m.cpu), NVME_LOG_SMART, log, 512)).toBe(0);
  // Host read commands and host write commands.
  expect([m.cpu.mem.read64(log + 64), m.cpu.mem.read64(log + 80)]).toEqual([7, 5]);
});

test("polled queues complete without interrupts; ordinary I/O still has them", () => {
  const m = DriverMachine.started({ completion: "poll" });
  const memory = buffer(m, 3);
  expect(m.read(0, { bvecs: [[memory, 4096]] }, IOCB_HIPRI)).toBe(-EIOCBQUEUED);
  m.settle();
  expect(m.completions()).toEqual([]);
  expect(nvme_cqe_pending(m.cpu, dev_queue(m.cpu, nvme_dev(m.cpu), 2))).toBe(true);
  const q = bdev_get_queue(m.cpu, disk_part0(nvme_disk(m.cpu)));
  expect(blk_mq_poll(m.cpu, queue_hctx(m.cpu, q, HCTX_TYPE_POLL, 0) as HctxPtr)).toBe(1);
  expect(m.completions()).toEqual([4096]);
  expect(m.read(0, { bvecs: [[memory, 512]] })).toBe(-EIOCBQUEUED);
  m.settle();
  expect(m.completions()).toEqual([512]);
});

test("a dma-buf request uses the token's map: no mapping per I/O, the right bytes, at any offset", () => {
  const m = DriverMachine.started({ iommu: "strict" });
  const { cpu } = m;
  const memory = buffer(m, 5);
  const dmabuf = udmabuf_create(cpu, memory, 4096 << BUFFER_ORDER);
  const token = make_token(m, dmabuf);
  const map = io_dmabuf_create_map(cpu, token);
  expect(nvme_dmabuf_map_nr_entries(cpu, map)).toBe(512);
  const before = dma_counters(cpu);
  for (let trial = 0; trial < 60; trial++) {
    const bytes = 512 * (1 + (cpu.random32() % (trial < 30 ? 24 : 2048)));
    const offset = 4 * (cpu.random32() % ((((4096 << BUFFER_ORDER) - bytes) / 4) | 0));
    const pos = 512 * (cpu.random32() % 4096);
    expect(m.write(pos, { map, offset, bytes }, 0, true)).toBe(bytes);
    expect(same(m, cpu.map.media + pos, memory + offset, bytes)).toBe(true);
    cpu.mem.memset(memory + offset, 0, bytes);
    expect(m.read(pos, { map, offset, bytes }, 0, true)).toBe(bytes);
    expect(same(m, cpu.map.media + pos, memory + offset, bytes)).toBe(true);
  }
  const after = dma_counters(cpu);
  expect([after.maps, after.unmaps, after.faults]).toEqual([before.maps, before.unmaps, before.faults]);
  io_dmabuf_map_drop(cpu, map);
  io_dmabuf_token_release(cpu, token);
  quiesce(m);
  dma_buf_put(cpu, dmabuf);
  quiesce(m);
  const counts = dma_buf_counters(cpu);
  expect([counts.mapped, counts.attached, counts.exported]).toEqual([
    counts.unmapped,
    counts.detached,
    counts.released,
  ]);
  expect(dmesg(cpu)).toEqual([]);
});

test("invalidation: the next map is another one; the token's life leaves nothing", () => {
  const m = DriverMachine.started();
  const { cpu } = m;
  const memory = buffer(m, 5);
  m.read(0, { bvecs: [[memory, 512]] }, 0, true);
  quiesce(m);
  const slabs = kmem_in_use(cpu);
  const dmabuf = udmabuf_create(cpu, memory, 65536);
  const token = make_token(m, dmabuf);
  const maps: IoDmabufMapPtr[] = [];
  for (let generation = 0; generation < 3; generation++) {
    expect(io_dmabuf_get_map(cpu, token)).toBe(0);
    const map = io_dmabuf_create_map(cpu, token);
    maps.push(map);
    io_dmabuf_map_drop(cpu, map);
    dma_resv_lock(cpu, dma_buf_resv(cpu, dmabuf), 0);
    dma_buf_invalidate_mappings(cpu, dmabuf);
    dma_resv_unlock(cpu, dma_buf_resv(cpu, dmabuf));
  }
  io_dmabuf_token_release(cpu, token);
  dma_buf_put(cpu, dmabuf);
  quiesce(m);
  expect(dma_buf_counters(cpu).unmapped).toBe(3);
  expect(kmem_in_use(cpu)).toEqual(slabs);
  expect(dmesg(cpu)).toEqual([]);
});

test("a token that cannot be made is an errno, without leaks; one without its operations is WARNed about", () => {
  const m = DriverMachine.started();
  const { cpu } = m;
  const dmabuf = udmabuf_create(cpu, buffer(m, 5), 8192);
  const token = kzalloc(cpu, IO_DMABUF_TOKEN_SIZE, GFP_KERNEL) as IoDmabufTokenPtr;
  const slabs = kmem_in_use(cpu);
  fault_arm(cpu, FAULT_CREATE_TOKEN, {});
  expect(io_dmabuf_token_create(cpu, m.file, token, dmabuf, DMA_BIDIRECTIONAL)).toBe(-ENOMEM);
  // The driver's data, then the attachment.
  for (let after = 0; after < 2; after++) {
    fault_arm(cpu, FAULT_SLAB, { after });
    expect(io_dmabuf_token_create(cpu, m.file, token, dmabuf, DMA_BIDIRECTIONAL)).toBe(-ENOMEM);
  }
  expect(kmem_in_use(cpu)).toEqual(slabs);
  expect(dmesg(cpu).filter((line) => !line.includes("allocation"))).toEqual([]);
  fault_arm(cpu, FAULT_MISSING_OPS, {});
  expect(io_dmabuf_token_create(cpu, m.file, token, dmabuf, DMA_BIDIRECTIONAL)).toBe(-EINVAL);
  expect(dmesg(cpu).join()).toMatch(/WARNING.*io_dmabuf_token_create/);
});

test("a map that fails half-way is undone, whichever step fails", () => {
  const m = DriverMachine.started({ iommu: "strict" });
  const { cpu } = m;
  const memory = buffer(m, 5);
  const before = kmem_in_use(cpu);
  const dmabuf = udmabuf_create(cpu, memory, 1 << 20);
  const token = make_token(m, dmabuf);
  // A first generation, since what it leaves to the reservation object stays.
  invalidate(m, dmabuf, io_dmabuf_create_map(cpu, token));
  const slabs = kmem_in_use(cpu);
  const counts = dma_counters(cpu);
  for (const fault of [FAULT_SLAB, FAULT_PAGES, FAULT_DMA_MAP]) {
    let failed = 0;
    for (let struck = true; struck; failed++) {
      fault_arm(cpu, fault, { after: failed });
      const map = io_dmabuf_create_map(cpu, token);
      struck = fault_hits(cpu, fault) > 0;
      fault_disarm(cpu, fault);
      if (struck) expect(map).toBe(-ENOMEM);
      else invalidate(m, dmabuf, map);
      quiesce(m);
      // The reservation object may have got by with a shorter list.
      expect(kmem_in_use(cpu)).toBeLessThanOrEqual(slabs);
    }
    expect(failed).toBeLessThan(20);
  }
  const after = dma_counters(cpu);
  expect(after.maps - counts.maps).toBe(after.unmaps - counts.unmaps);
  io_dmabuf_token_release(cpu, token);
  dma_buf_put(cpu, dmabuf);
  quiesce(m);
  expect(kmem_in_use(cpu)).toBe(before);
});

test("no PRP list, or no mapping: the request waits and then goes through", () => {
  const m = DriverMachine.started({ iommu: "strict" });
  const memory = buffer(m, 3);
  for (const fault of [FAULT_PRP_POOL, FAULT_DMA_MAP]) {
    fault_arm(m.cpu, fault, { times: 5 });
    expect(m.write(0, { bvecs: [[memory, 65536]] }, 0, true)).toBe(65536);
    expect(fault_hits(m.cpu, fault)).toBe(5);
    expect(same(m, m.cpu.map.media, memory, 65536)).toBe(true);
  }
  fault_arm(m.cpu, FAULT_PRP_POOL, { after: 1, times: 2 });
  const plug = blk_start_plug_nr_ios(m.cpu, 4);
  for (let i = 0; i < 4; i++) m.read(0, { bvecs: [[memory, 65536]] });
  blk_finish_plug(m.cpu, plug);
  expect(m.fsync()).toBe(0);
  quiesce(m);
  m.settle();
  expect(m.completions()).toEqual([65536, 65536, 65536, 65536]);
  expect(dmesg(m.cpu)).toEqual([]);
});

test("a completion of an earlier generation, or for no tag, is reported and ignored", () => {
  const m = DriverMachine.started();
  const { cpu } = m;
  const memory = buffer(m, 3);
  m.read(0, { bvecs: [[memory, 512]] });
  while (m.controller.step());
  // The entry is there, the interrupt not taken: spoil its command id, then put the right one behind it.
  const nvmeq = dev_queue(cpu, nvme_dev(cpu), 1);
  const cqes = nvmeq_cqes(cpu, nvmeq);
  const dw3 = cpu.mem.read(cqes + 12);
  cpu.mem.write(cqes + 12, dw3 ^ 0x1000);
  cpu.mem.write(cqes + 16 + 12, (dw3 & ~0xffff) | 0x0fff);
  cpu.mem.write(cqes + 32 + 12, dw3);
  m.settle();
  expect(m.completions()).toEqual([512]);
  const log = dmesg(cpu).join("\n");
  expect(log).toMatch(/genctr mismatch/);
  expect(log).toMatch(/invalid id 4095 completed on queue 1/);
});

/** The device's next `failures` I/O completions carry `status`. */
function fail_completions(m: DriverMachine, status: number, failures: number): void {
  const nvmeq = dev_queue(m.cpu, nvme_dev(m.cpu), 1);
  const step = NvmeController.prototype.step.bind(m.controller);
  let left = failures;
  let spoiled = -1;
  m.controller.step = (audit) => {
    const worked = step(audit);
    const head = nvmeq_cq_head(m.cpu, nvmeq);
    if (left > 0 && head !== spoiled && nvme_cqe_pending(m.cpu, nvmeq)) {
      const dw3 = nvmeq_cqes(m.cpu, nvmeq) + 16 * head + 12;
      m.cpu.mem.write(dw3, m.cpu.mem.read(dw3) | (status << 17));
      spoiled = head;
      left--;
    }
    return worked;
  };
}

test("a command that fails without DNR is tried again, five times; with DNR at once an error", () => {
  const m = DriverMachine.started({ iommu: "strict" });
  const memory = buffer(m, 3);
  const INTERNAL = 0x006;
  for (const [status, failures, result] of [
    [INTERNAL, 5, 512],
    [INTERNAL, 6, -5],
    [INTERNAL | 0x4000, 1, -5],
    [0x281 | 0x4000, 1, -61],
    [INTERNAL, 1, 512],
  ] as const) {
    fail_completions(m, status, failures);
    expect(m.read(0, { bvecs: [[memory, 512]] }, 0, true)).toBe(result);
    expect(busy(m)).toBe(0);
  }
});

test("status codes become what Linux makes of them", () => {
  const table: readonly (readonly [number, number])[] = [
    [0x000, 0],
    [0x081, BLK_STS_NOSPC],
    [0x080, BLK_STS_TARGET],
    [0x082, BLK_STS_TARGET],
    [0x001, BLK_STS_NOTSUPP],
    [0x002, BLK_STS_NOTSUPP],
    [0x00b, BLK_STS_NOTSUPP],
    [0x280, BLK_STS_MEDIUM],
    [0x281, BLK_STS_MEDIUM],
    [0x287, BLK_STS_MEDIUM],
    [0x182, BLK_STS_MEDIUM],
    [0x282, BLK_STS_PROTECTION],
    [0x181, BLK_STS_PROTECTION],
    [0x370, BLK_STS_TRANSPORT],
    [0x004, BLK_STS_IOERR],
    [0x371, BLK_STS_IOERR],
  ];
  for (const [status, expected] of table) {
    expect(nvme_error_status(status)).toBe(expected);
    expect(nvme_error_status(status | 0x4000)).toBe(expected);
  }
});

test("a controller that does not answer is -ENODEV, and nothing leaks", () => {
  const m = new DriverMachine();
  const slabs = kmem_in_use(m.cpu);
  m.controller.step = () => false;
  expect(nvme_probe(m.cpu)).toBe(-ENODEV);
  quiesce(m);
  expect(kmem_in_use(m.cpu)).toEqual(slabs);
  expect(dmesg(m.cpu).join()).toMatch(/Device not ready; aborting initialisation/);
});

test("memory that runs out anywhere during probe is -ENOMEM, and nothing leaks", () => {
  for (const fault of [FAULT_SLAB, FAULT_PAGES, FAULT_DMA_MAP]) {
    for (let after = 0, struck = true; struck; after += 3) {
      const m = new DriverMachine({ iommu: "strict", cpus: 2 });
      const slabs = kmem_in_use(m.cpu);
      fault_arm(m.cpu, fault, { after });
      const error = m.probe();
      struck = fault_hits(m.cpu, fault) > 0;
      fault_disarm(m.cpu, fault);
      if (!struck) {
        expect(error).toBe(0);
        continue;
      }
      if (error === 0) m.remove();
      else expect(error).toBe(-ENOMEM);
      quiesce(m);
      expect(kmem_in_use(m.cpu)).toEqual(slabs);
    }
  }
});

test("after removal an open file gets -ENODEV, and its close frees the rest", () => {
  const m = new DriverMachine();
  const before = kmem_in_use(m.cpu);
  m.probe();
  m.open();
  const held = kmem_in_use(m.cpu);
  const kiocb = m.kiocb(0);
  const iter = m.iter(ITER_DEST, { bvecs: [[__get_free_pages(m.cpu, GFP_KERNEL, 0), 512]] });
  const extra = kmem_in_use(m.cpu) - held;
  nvme_remove(m.cpu);
  expect(bdev_open(m.cpu, nvme_disk(m.cpu), O_RDWR)).toBe(-ENXIO);
  expect(symbol_call(m.cpu, file_op(m.cpu, m.file, FOP_READ_ITER), kiocb, iter)).toBe(-EIOCBQUEUED);
  expect(m.completions()).toEqual([-ENODEV]);
  m.remove();
  bio_alloc_cache_destroy(m.cpu);
  expect(kmem_in_use(m.cpu)).toBe(before + extra);
  expect(dmesg(m.cpu)).toEqual([]);
});
