/** A block device as a file: direct I/O, its edges, its errors, splitting, plugging, freezing. */
import { expect, test } from "vitest";
import { EAGAIN, EINVAL, EIO, EIOCBQUEUED, ENODATA, ENOSPC, ENXIO, EOPNOTSUPP } from "../debug/errno.ts";
import { FAULT_SLAB, FAULT_TAGS, fault_arm } from "../debug/fault-inject.ts";
import { kernel_static, kernel_symbol, symbol_call } from "../debug/image.ts";
import { BIO_VEC_SIZE, bvec_set_page, type BioVecPtr } from "../fs/bvec.ts";
import { close_fd, fget } from "../fs/fdtable.ts";
import {
  file_op,
  type FilePtr,
  FOP_CREATE_DMABUF_TOKEN,
  FOP_FSYNC,
  FOP_IOPOLL,
  FOP_READ_ITER,
  FOP_WRITE_ITER,
  fput,
  O_DIRECT,
  O_RDWR,
} from "../fs/file.ts";
import {
  iov_iter_bvec,
  iov_iter_count,
  iov_iter_dmabuf_map,
  IOV_ITER_SIZE,
  type IovIterPtr,
  ITER_DEST,
  ITER_SOURCE,
} from "../fs/iov-iter.ts";
import { init_kiocb, IOCB_HIPRI, IOCB_NOWAIT, KIOCB_SIZE, kiocb_pos, type KiocbPtr } from "../fs/kiocb.ts";
import { __get_free_pages } from "../mm/page-alloc.ts";
import { GFP_KERNEL, kmem_in_use, kzalloc } from "../mm/slab.ts";
import { rcu_barrier } from "../rcu/rcu.ts";
import { type Cpu, stack_push } from "../sched/cpu.ts";
import {
  ram_disk_add,
  ram_disk_bells,
  ram_disk_complete,
  ram_disk_defer,
  ram_disk_fail,
  ram_disk_flushes,
  ram_disk_issued,
  type RamDiskOptions,
  ram_disk_refuse,
  ram_disk_remove,
} from "../testing/ram-disk.ts";
import { msleep } from "../sched/delay.ts";
import { boot_solo, dmesg } from "../testing/solo.ts";
import { bio_alloc_cache_destroy } from "./bio.ts";
import { bdev_get_queue, disk_part0, type GendiskPtr } from "./disk.ts";
import { bdev_open } from "./fops.ts";
import { blk_finish_plug, blk_start_plug, blk_start_plug_nr_ios } from "./plug.ts";
import { blk_freeze_queue_start, blk_mq_freeze_queue, blk_mq_unfreeze_queue } from "./freeze.ts";
import { HCTX_TYPE_DEFAULT, queue_hctx } from "./queue.ts";
import { type HctxPtr, hctx_tags } from "./request.ts";
import { BLK_STS_IOERR, BLK_STS_MEDIUM, BLK_STS_RESOURCE } from "./status.ts";
import { blk_mq_tags_busy } from "./tags.ts";

/** Results of completed kiocbs, in order. */
const LOG = kernel_static("test_completions", 1024);
const DONE = kernel_symbol(note_completion);
function note_completion(cpu: Cpu, _kiocb: KiocbPtr, res: number): void {
  const n = cpu.mem.read(LOG) + 1;
  cpu.mem.write(LOG + 4 * n, res);
  cpu.mem.write(LOG, n);
}
function completions(cpu: Cpu): number[] {
  return Array.from({ length: cpu.mem.read(LOG) }, (_, i) => cpu.mem.read(LOG + 4 * (i + 1)));
}

class Bench {
  readonly cpu: Cpu;
  readonly disk: GendiskPtr;
  readonly file: FilePtr;
  /** 256 KiB of buffer. */
  readonly buffer: number;
  constructor(options: RamDiskOptions = {}, flags: number = O_RDWR | O_DIRECT) {
    this.cpu = boot_solo();
    this.disk = ram_disk_add(this.cpu, options);
    const fd = bdev_open(this.cpu, this.disk, flags);
    this.file = fget(this.cpu, fd);
    fput(this.cpu, this.file);
    this.buffer = __get_free_pages(this.cpu, GFP_KERNEL, 6);
    for (let i = 0; i < 65536; i++) {
      this.cpu.mem.write(this.cpu.map.media + 4 * i, i + 1);
      this.cpu.mem.write(this.buffer + 4 * i, 0);
    }
  }
  kiocb(pos: number, flags: number = 0, sync: boolean = false): KiocbPtr {
    const kiocb = kzalloc(this.cpu, KIOCB_SIZE, GFP_KERNEL) as KiocbPtr;
    init_kiocb(this.cpu, kiocb, this.file, pos, flags, sync ? 0 : DONE);
    return kiocb;
  }
  bvecs(dir: number, segments: readonly (readonly [offset: number, len: number])[]): IovIterPtr {
    const bvec = kzalloc(this.cpu, BIO_VEC_SIZE * (segments.length + 1), GFP_KERNEL);
    let count = 0;
    segments.forEach(([offset, len], i) => {
      const at = this.buffer + offset;
      bvec_set_page(this.cpu, (bvec + i * BIO_VEC_SIZE) as BioVecPtr, at & ~4095, len, at & 4095);
      count += len;
    });
    const iter = kzalloc(this.cpu, IOV_ITER_SIZE, GFP_KERNEL) as IovIterPtr;
    iov_iter_bvec(this.cpu, iter, dir, bvec as BioVecPtr, segments.length, count);
    return iter;
  }
  dmabuf(dir: number, offset: number, count: number): IovIterPtr {
    const iter = kzalloc(this.cpu, IOV_ITER_SIZE, GFP_KERNEL) as IovIterPtr;
    iov_iter_dmabuf_map(this.cpu, iter, dir, this.buffer, offset, count);
    return iter;
  }
  read(kiocb: KiocbPtr, iter: IovIterPtr): number {
    return symbol_call(this.cpu, file_op(this.cpu, this.file, FOP_READ_ITER), kiocb, iter);
  }
  write(kiocb: KiocbPtr, iter: IovIterPtr): number {
    return symbol_call(this.cpu, file_op(this.cpu, this.file, FOP_WRITE_ITER), kiocb, iter);
  }
  fsync(): number {
    return symbol_call(this.cpu, file_op(this.cpu, this.file, FOP_FSYNC), this.file, 0);
  }
  busy(): number {
    const q = bdev_get_queue(this.cpu, disk_part0(this.disk));
    return blk_mq_tags_busy(
      this.cpu,
      hctx_tags(this.cpu, queue_hctx(this.cpu, q, HCTX_TYPE_DEFAULT, 0) as HctxPtr),
    );
  }
  /** Whether `words` words at `offset` of the buffer are the media from `pos`. */
  holds(offset: number, pos: number, bytes: number): boolean {
    for (let i = 0; i < bytes; i += 4) {
      if (this.cpu.mem.read(this.buffer + offset + i) !== ((pos + i) >> 2) + 1) return false;
    }
    return true;
  }
}

test("an asynchronous read is queued, completes once, and brings the bytes", () => {
  const b = new Bench();
  const kiocb = b.kiocb(4096);
  expect(b.read(kiocb, b.bvecs(ITER_DEST, [[0, 8192]]))).toBe(-EIOCBQUEUED);
  expect(completions(b.cpu)).toEqual([8192]);
  expect(b.holds(0, 4096, 8192)).toBe(true);
  expect(kiocb_pos(b.cpu, kiocb)).toBe(12288);
  expect(b.busy()).toBe(0);
});

test("a synchronous read returns its bytes", () => {
  const b = new Bench();
  expect(b.read(b.kiocb(512, 0, true), b.bvecs(ITER_DEST, [[0, 512]]))).toBe(512);
  expect(b.holds(0, 512, 512)).toBe(true);
  expect(completions(b.cpu)).toEqual([]);
});

test("a write through a dma-buf offset lands on the sectors", () => {
  const b = new Bench();
  b.cpu.mem.memset(b.buffer + 512, 0xab, 1024);
  expect(b.write(b.kiocb(2048), b.dmabuf(ITER_SOURCE, 512, 1024))).toBe(-EIOCBQUEUED);
  const media = b.cpu.map.media;
  expect([
    b.cpu.mem.read8(media + 2047),
    b.cpu.mem.read8(media + 2048),
    b.cpu.mem.read8(media + 3071),
  ]).toEqual([0, 0xab, 0xab]);
});

test("positions and lengths off the logical block are -EINVAL", () => {
  const b = new Bench();
  expect(b.read(b.kiocb(100), b.bvecs(ITER_DEST, [[0, 512]]))).toBe(-EINVAL);
  expect(b.read(b.kiocb(512), b.bvecs(ITER_DEST, [[0, 500]]))).toBe(-EINVAL);
  expect(b.read(b.kiocb(512), b.bvecs(ITER_DEST, [[2, 512]]))).toBe(-EINVAL);
  expect(b.read(b.kiocb(512), b.dmabuf(ITER_DEST, 0, 100))).toBe(-EINVAL);
  expect(completions(b.cpu)).toEqual([]);
});

test("a dma-buf offset off the dma alignment fails when the bio is split, so through ki_complete", () => {
  const b = new Bench();
  for (const offset of [1, 2, 7])
    expect(b.read(b.kiocb(0), b.dmabuf(ITER_DEST, offset, 512))).toBe(-EIOCBQUEUED);
  expect(b.read(b.kiocb(0), b.dmabuf(ITER_DEST, 4, 512))).toBe(-EIOCBQUEUED);
  expect(completions(b.cpu)).toEqual([-EINVAL, -EINVAL, -EINVAL, 512]);
});

test("the end of the device: short read, read of nothing, short write, no space", () => {
  const b = new Bench({ sectors: 16 });
  const iter = b.bvecs(ITER_DEST, [[0, 4096]]);
  expect(b.read(b.kiocb(7168, 0, true), iter)).toBe(1024);
  expect(iov_iter_count(b.cpu, iter)).toBe(3072);
  expect(b.read(b.kiocb(8192), b.bvecs(ITER_DEST, [[0, 512]]))).toBe(0);
  expect(b.write(b.kiocb(7168, 0, true), b.bvecs(ITER_SOURCE, [[0, 4096]]))).toBe(1024);
  expect(b.write(b.kiocb(8192), b.bvecs(ITER_SOURCE, [[0, 512]]))).toBe(-ENOSPC);
  expect(b.read(b.kiocb(0), b.bvecs(ITER_DEST, []))).toBe(0);
});

test("without O_DIRECT there is no reading, no dma-buf, but flushing", () => {
  const b = new Bench({}, O_RDWR);
  expect(b.read(b.kiocb(0), b.bvecs(ITER_DEST, [[0, 512]]))).toBe(-EOPNOTSUPP);
  const token = stack_push(b.cpu, 4);
  expect(symbol_call(b.cpu, file_op(b.cpu, b.file, FOP_CREATE_DMABUF_TOKEN), b.file, token)).toBe(-EINVAL);
  expect(b.fsync()).toBe(0);
  expect(ram_disk_flushes(b.cpu)).toBe(1);
});

test("create_dmabuf_token of an O_DIRECT file reaches the driver with the queue", () => {
  const b = new Bench();
  const token = stack_push(b.cpu, 4);
  expect(symbol_call(b.cpu, file_op(b.cpu, b.file, FOP_CREATE_DMABUF_TOKEN), b.file, token)).toBe(0);
  expect(b.cpu.mem.read(token)).toBe(bdev_get_queue(b.cpu, disk_part0(b.disk)));
});

test("fsync without a write cache sends nothing", () => {
  const b = new Bench({ limits: { features: 0 } });
  expect(b.fsync()).toBe(0);
  expect(ram_disk_issued(b.cpu)).toBe(0);
});

test("a bio larger than the device takes is cut into requests and completes once", () => {
  const b = new Bench({ limits: { max_hw_bytes: 8192 } });
  expect(b.read(b.kiocb(512), b.dmabuf(ITER_DEST, 4096, 40960))).toBe(-EIOCBQUEUED);
  expect(ram_disk_issued(b.cpu)).toBe(5);
  expect(completions(b.cpu)).toEqual([40960]);
  expect(b.holds(4096, 512, 40960)).toBe(true);
});

test("vectors with gaps are cut where the device could not address them", () => {
  const b = new Bench();
  const segments = [
    [0, 4096],
    [4096, 1024],
    [8192, 4096],
    [13312, 512],
  ] as const;
  expect(b.read(b.kiocb(0), b.bvecs(ITER_DEST, segments))).toBe(-EIOCBQUEUED);
  expect(ram_disk_issued(b.cpu)).toBe(3);
  expect(completions(b.cpu)).toEqual([9728]);
  let pos = 0;
  for (const [offset, len] of segments) {
    expect(b.holds(offset, pos, len)).toBe(true);
    pos += len;
  }
});

test("any segments, any limits: the bytes arrive, in requests within the limits", () => {
  const b = new Bench({ limits: { max_hw_bytes: 12288, max_segments: 3 } });
  for (let trial = 0; trial < 60; trial++) {
    const segments: [number, number][] = [];
    let at = (b.cpu.random32() % 8) * 512;
    for (let n = 1 + (b.cpu.random32() % 8); n > 0; n--) {
      const len = (1 + (b.cpu.random32() % 16)) * 512;
      segments.push([at, len]);
      at += len + (b.cpu.random32() % 4) * 512;
    }
    const total = segments.reduce((sum, [, len]) => sum + len, 0);
    b.cpu.mem.write(LOG, 0);
    const pos = (b.cpu.random32() % 100) * 512;
    expect(b.read(b.kiocb(pos), b.bvecs(ITER_DEST, segments))).toBe(-EIOCBQUEUED);
    expect(completions(b.cpu)).toEqual([total]);
    let done = 0;
    for (const [offset, len] of segments) {
      expect(b.holds(offset, pos + done, len)).toBe(true);
      done += len;
    }
  }
  expect(b.busy()).toBe(0);
  expect(dmesg(b.cpu)).toEqual([]);
});

test("of a cut bio's errors the first one is reported, once, after all parts are done", () => {
  const b = new Bench({ limits: { max_hw_bytes: 4096 } });
  ram_disk_defer(b.cpu, true);
  expect(b.read(b.kiocb(0), b.dmabuf(ITER_DEST, 0, 16384))).toBe(-EIOCBQUEUED);
  ram_disk_complete(b.cpu, 1);
  ram_disk_fail(b.cpu, BLK_STS_MEDIUM, 1);
  ram_disk_complete(b.cpu, 1);
  ram_disk_fail(b.cpu, BLK_STS_IOERR, 1);
  ram_disk_complete(b.cpu, 1);
  expect(completions(b.cpu)).toEqual([]);
  ram_disk_complete(b.cpu, 1);
  expect(completions(b.cpu)).toEqual([-ENODATA]);
});

test("a failed request is an errno", () => {
  const b = new Bench();
  ram_disk_fail(b.cpu, BLK_STS_IOERR, 1);
  expect(b.read(b.kiocb(0, 0, true), b.bvecs(ITER_DEST, [[0, 512]]))).toBe(-EIO);
});

test("NOWAIT: -EAGAIN when a tag is missing, the bio must be cut, or the queue is frozen; nothing changes", () => {
  const b = new Bench({ depth: 2 });
  ram_disk_defer(b.cpu, true);
  for (let i = 0; i < 2; i++) b.read(b.kiocb(0), b.bvecs(ITER_DEST, [[0, 512]]));
  const iter = b.dmabuf(ITER_DEST, 512, 1024);
  expect(b.read(b.kiocb(0, IOCB_NOWAIT), iter)).toBe(-EAGAIN);
  expect(iov_iter_count(b.cpu, iter)).toBe(1024);
  ram_disk_complete(b.cpu, 2);
  expect(b.read(b.kiocb(0, IOCB_NOWAIT), b.dmabuf(ITER_DEST, 0, 65536))).toBe(-EAGAIN);
  expect(b.read(b.kiocb(0, IOCB_NOWAIT), iter)).toBe(-EIOCBQUEUED);
  ram_disk_complete(b.cpu, 1);
  const q = bdev_get_queue(b.cpu, disk_part0(b.disk));
  blk_mq_freeze_queue(b.cpu, q);
  expect(b.read(b.kiocb(0, IOCB_NOWAIT), b.dmabuf(ITER_DEST, 0, 512))).toBe(-EAGAIN);
  blk_mq_unfreeze_queue(b.cpu, q);
  expect(b.read(b.kiocb(0, IOCB_NOWAIT), b.dmabuf(ITER_DEST, 0, 512))).toBe(-EIOCBQUEUED);
  ram_disk_complete(b.cpu, 1);
  expect(completions(b.cpu)).toEqual([512, 512, 1024, 512]);
});

test("a plugged batch rings once; a full plug goes by itself; the tags taken ahead come back", () => {
  const b = new Bench({ depth: 100 });
  ram_disk_defer(b.cpu, true);
  const plug = blk_start_plug_nr_ios(b.cpu, 40);
  for (let i = 0; i < 31; i++) b.read(b.kiocb(0), b.bvecs(ITER_DEST, [[0, 512]]));
  expect([ram_disk_issued(b.cpu), b.busy()]).toEqual([0, 32]);
  for (let i = 0; i < 3; i++) b.read(b.kiocb(0), b.bvecs(ITER_DEST, [[0, 512]]));
  expect([ram_disk_issued(b.cpu), ram_disk_bells(b.cpu), b.busy()]).toEqual([32, 1, 40]);
  expect(blk_start_plug(b.cpu)).toBe(0);
  blk_finish_plug(b.cpu, plug);
  expect([ram_disk_issued(b.cpu), ram_disk_bells(b.cpu), b.busy()]).toEqual([34, 2, 34]);
  ram_disk_complete(b.cpu, 34);
  expect([completions(b.cpu).length, b.busy()]).toEqual([34, 0]);
});

test("a task that waits inside a plug sends it off first", () => {
  const b = new Bench();
  const plug = blk_start_plug(b.cpu);
  expect(b.read(b.kiocb(0, 0, true), b.bvecs(ITER_DEST, [[0, 512]]))).toBe(512);
  blk_finish_plug(b.cpu, plug);
});

test("schedule() sends a plug off, whatever the task waits for", () => {
  const b = new Bench();
  const plug = blk_start_plug_nr_ios(b.cpu, 8);
  b.read(b.kiocb(0), b.bvecs(ITER_DEST, [[0, 512]]));
  expect([completions(b.cpu).length, b.busy()]).toEqual([0, 8]);
  msleep(b.cpu, 2);
  expect([completions(b.cpu).length, b.busy()]).toEqual([1, 0]);
  blk_finish_plug(b.cpu, plug);
});

test("requests without resources wait and are tried again until they go", () => {
  const b = new Bench();
  ram_disk_refuse(b.cpu, BLK_STS_RESOURCE, 7);
  expect(b.read(b.kiocb(0, 0, true), b.bvecs(ITER_DEST, [[0, 512]]))).toBe(512);
  ram_disk_refuse(b.cpu, BLK_STS_RESOURCE, 2);
  const plug = blk_start_plug(b.cpu);
  for (let i = 0; i < 4; i++) b.read(b.kiocb(0), b.bvecs(ITER_DEST, [[0, 512]]));
  blk_finish_plug(b.cpu, plug);
  expect(b.fsync()).toBe(0);
  msleep(b.cpu, 20);
  expect(completions(b.cpu)).toEqual([512, 512, 512, 512]);
});

test("a polled read is found by iopoll, in a batch", () => {
  const b = new Bench({ poll_queues: 1 });
  ram_disk_defer(b.cpu, true);
  const kiocbs = [0, 1, 2].map((i) => b.kiocb(512 * i, IOCB_HIPRI));
  for (const kiocb of kiocbs) expect(b.read(kiocb, b.bvecs(ITER_DEST, [[0, 512]]))).toBe(-EIOCBQUEUED);
  expect(symbol_call(b.cpu, file_op(b.cpu, b.file, FOP_IOPOLL), kiocbs[0])).toBe(3);
  expect(completions(b.cpu)).toEqual([512, 512, 512]);
  expect(b.read(b.kiocb(0, IOCB_HIPRI, true), b.bvecs(ITER_DEST, [[0, 512]]))).toBe(512);
});

test("a polled bio that finds no tag polls for one", () => {
  const b = new Bench({ poll_queues: 1, depth: 1, limits: { max_hw_bytes: 512 } });
  ram_disk_defer(b.cpu, true);
  expect(b.read(b.kiocb(0, IOCB_HIPRI), b.dmabuf(ITER_DEST, 0, 4096))).toBe(-EIOCBQUEUED);
  expect(ram_disk_issued(b.cpu)).toBe(8);
});

test("freezes nest, and a frozen queue is empty", () => {
  const b = new Bench();
  const q = bdev_get_queue(b.cpu, disk_part0(b.disk));
  blk_mq_freeze_queue(b.cpu, q);
  blk_freeze_queue_start(b.cpu, q);
  expect(b.busy()).toBe(0);
  blk_mq_unfreeze_queue(b.cpu, q);
  expect(b.read(b.kiocb(0, IOCB_NOWAIT), b.dmabuf(ITER_DEST, 0, 512))).toBe(-EAGAIN);
  blk_mq_unfreeze_queue(b.cpu, q);
  expect(b.read(b.kiocb(0, 0, true), b.bvecs(ITER_DEST, [[0, 512]]))).toBe(512);
});

test("out of memory is -ENOMEM for the file and leaves nothing behind", () => {
  const b = new Bench();
  bio_alloc_cache_destroy(b.cpu);
  fault_arm(b.cpu, FAULT_SLAB, { times: 1 });
  expect(b.read(b.kiocb(0), b.bvecs(ITER_DEST, [[0, 512]]))).toBeLessThan(0);
  fault_arm(b.cpu, FAULT_TAGS, { times: 1 });
  expect(b.read(b.kiocb(0, IOCB_NOWAIT), b.bvecs(ITER_DEST, [[0, 512]]))).toBe(-EAGAIN);
  expect(b.busy()).toBe(0);
});

test("after removal there is no I/O and no open; the last close frees everything", () => {
  const cpu = boot_solo();
  const before = kmem_in_use(cpu);
  const disk = ram_disk_add(cpu, { queues: 2, poll_queues: 1 });
  const fd = bdev_open(cpu, disk, O_RDWR | O_DIRECT);
  const file = fget(cpu, fd);
  ram_disk_remove(cpu);
  expect(bdev_open(cpu, disk, O_RDWR)).toBe(-ENXIO);
  const kiocb = stack_push(cpu, KIOCB_SIZE) as KiocbPtr;
  init_kiocb(cpu, kiocb, file, 0, 0, DONE);
  const iter = stack_push(cpu, IOV_ITER_SIZE) as IovIterPtr;
  iov_iter_dmabuf_map(cpu, iter, ITER_DEST, cpu.map.vram, 0, 512);
  expect(symbol_call(cpu, file_op(cpu, file, FOP_READ_ITER), kiocb, iter)).toBe(-EIOCBQUEUED);
  expect(completions(cpu)).toEqual([-19]);
  fput(cpu, file);
  close_fd(cpu, fd);
  rcu_barrier(cpu);
  bio_alloc_cache_destroy(cpu);
  expect(kmem_in_use(cpu)).toEqual(before);
  expect(dmesg(cpu)).toEqual([]);
});
