/**
 * File operations of a block device (block/fops.c): direct I/O, flush, polling, dma-buf tokens. There is no
 * page cache, so a file opened without O_DIRECT can be flushed and polled but not read or written.
 *
 * One kiocb is one bio. Asynchronous: -EIOCBQUEUED, then ki_complete, in interrupt context or while polling.
 * With IOCB_NOWAIT, -EAGAIN is returned at once when the request would have slept (Linux may report that
 * through ki_complete instead).
 *
 * Interface: bdev_open gives a descriptor; the rest is reached through the file's operations.
 */
import { EAGAIN, EINVAL, EIOCBQUEUED, ENOMEM, ENOSPC, ENXIO, EOPNOTSUPP } from "../debug/errno.ts";
import { kernel_rodata, kernel_symbol, symbol_call } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { fd_install, get_unused_fd_flags, put_unused_fd } from "../fs/fdtable.ts";
import { anon_inode_getfile, file_flags, type FilePtr, file_private, O_DIRECT } from "../fs/file.ts";
import {
  iov_iter_alignment,
  iov_iter_count,
  iov_iter_is_dmabuf_map,
  type IovIterPtr,
  iov_iter_reexpand,
  iov_iter_revert,
  iov_iter_truncate,
} from "../fs/iov-iter.ts";
import {
  IOCB_DIRECT,
  IOCB_DSYNC,
  IOCB_HIPRI,
  IOCB_NOWAIT,
  is_sync_kiocb,
  ki_complete,
  kiocb_file,
  kiocb_flags,
  kiocb_advance,
  kiocb_pos,
  type KiocbPtr,
  kiocb_private,
  kiocb_set_private,
} from "../fs/kiocb.ts";
import { GFP_NOIO } from "../mm/slab.ts";
import {
  COMPLETION_SIZE,
  complete,
  completion_done,
  init_completion,
  wait_for_completion,
} from "../sched/completion.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
import { cond_resched } from "../sched/schedule.ts";
import {
  bio_alloc,
  bio_bdev,
  bio_iov_iter_get_pages,
  bio_opf,
  bio_pad,
  bio_private,
  type BioPtr,
  bio_put,
  bio_set_end_io,
  bio_set_empty,
  bio_set_sector,
  bio_status,
  REQ_FUA,
  REQ_IDLE,
  REQ_NOWAIT,
  REQ_OP_FLUSH,
  REQ_OP_READ,
  REQ_OP_WRITE,
  REQ_POLLED,
  REQ_PREFLUSH,
  REQ_SYNC,
} from "./bio.ts";
import {
  bdev_disk,
  bdev_get_queue,
  bdev_nr_bytes,
  type BlockDevicePtr,
  disk_part0,
  disk_try_get,
  type GendiskPtr,
  put_disk,
} from "./disk.ts";
import {
  queue_dma_alignment,
  queue_has_write_cache,
  queue_logical_block_size,
  SECTOR_SHIFT,
} from "./limits.ts";
import { blk_flush_plug } from "./plug.ts";
import { HCTX_TYPE_POLL, queue_mq_op, queue_nr_hctx, type RequestQueuePtr } from "./queue.ts";
import { BLK_MQ_OPS_CREATE_DMABUF_TOKEN, type HctxPtr } from "./request.ts";
import { BLK_STS_AGAIN, BLK_STS_OK, blk_status_to_errno } from "./status.ts";
import { __submit_bio, blk_mq_map_queue, blk_mq_poll, submit_bio } from "./submit.ts";

// Hot: local copies, since a read of an imported constant costs several times as much.
const DIRECT = IOCB_DIRECT;
const NOWAIT = IOCB_NOWAIT;
const HIPRI = IOCB_HIPRI;
const NOIO = GFP_NOIO;
const SHIFT = SECTOR_SHIFT;
const OPF_NOWAIT = REQ_NOWAIT;
const OPF_POLLED = REQ_POLLED;
const STS_OK = BLK_STS_OK;
const QUEUED = EIOCBQUEUED;

/** struct blkdev_dio, in the pad of its bio. */
const DIO_IOCB = 0;
const DIO_SIZE = 4;

struct_layout("blkdev_dio", 8, [
  ["iocb", DIO_IOCB, 4],
  ["size", DIO_SIZE, 4],
]);

const READ_FLAGS = REQ_OP_READ | REQ_SYNC;
const WRITE_FLAGS = REQ_OP_WRITE | REQ_SYNC | REQ_IDLE;

const END_IO_ASYNC = kernel_symbol(blkdev_bio_end_io_async);
const END_IO_WAIT = kernel_symbol(submit_bio_wait_endio);

/** def_blk_fops, in the order of file_operations (fs/file.ts). */
const DEF_BLK_FOPS = kernel_rodata("def_blk_fops", [
  kernel_symbol(blkdev_release),
  kernel_symbol(blkdev_read_iter),
  kernel_symbol(blkdev_write_iter),
  kernel_symbol(blkdev_fsync),
  kernel_symbol(blkdev_iopoll),
  kernel_symbol(blkdev_create_dmabuf_token),
]);

/** open(2): a descriptor, -ENXIO when the disk is gone, -EMFILE, -ENOMEM. */
export function bdev_open(cpu: Cpu, disk: GendiskPtr, flags: number): number {
  if (disk === 0 || !disk_try_get(cpu, disk)) return -ENXIO;
  const fd = get_unused_fd_flags(cpu, flags);
  if (fd < 0) {
    put_disk(cpu, disk);
    return fd;
  }
  const file = anon_inode_getfile(cpu, DEF_BLK_FOPS, disk_part0(disk), flags);
  if (file === 0) {
    put_unused_fd(cpu, fd);
    put_disk(cpu, disk);
    return -ENOMEM;
  }
  fd_install(cpu, fd, file);
  return fd;
}

function file_bdev(cpu: Cpu, file: FilePtr): BlockDevicePtr {
  return file_private(cpu, file) as BlockDevicePtr;
}

function blkdev_release(cpu: Cpu, file: FilePtr): void {
  put_disk(cpu, bdev_disk(cpu, file_bdev(cpu, file)));
}

/** Bytes read, 0 at the end of the device, -errno, -EIOCBQUEUED. */
function blkdev_read_iter(cpu: Cpu, iocb: KiocbPtr, to: IovIterPtr): number {
  return blkdev_rw_iter(cpu, iocb, to, READ_FLAGS, 0);
}

/** As read; -ENOSPC from the end of the device on. */
function blkdev_write_iter(cpu: Cpu, iocb: KiocbPtr, from: IovIterPtr): number {
  const opf = (kiocb_flags(cpu, iocb) & IOCB_DSYNC) !== 0 ? WRITE_FLAGS | REQ_FUA : WRITE_FLAGS;
  return blkdev_rw_iter(cpu, iocb, from, opf, -ENOSPC);
}

function blkdev_rw_iter(cpu: Cpu, iocb: KiocbPtr, iter: IovIterPtr, opf: number, at_end: number): number {
  const count = iov_iter_count(cpu, iter);
  if (count === 0) return 0;
  const flags = kiocb_flags(cpu, iocb);
  if ((flags & DIRECT) === 0) return -EOPNOTSUPP;
  const bdev = file_bdev(cpu, kiocb_file(cpu, iocb));
  const pos = kiocb_pos(cpu, iocb);
  const left = bdev_nr_bytes(cpu, bdev) - pos;
  if (left <= 0) return at_end;
  if (count <= left) return blkdev_direct_IO(cpu, iocb, iter, bdev, flags, opf, pos | 0, count);
  iov_iter_truncate(cpu, iter, left);
  const result = blkdev_direct_IO(cpu, iocb, iter, bdev, flags, opf, pos | 0, left);
  iov_iter_reexpand(cpu, iter, iov_iter_count(cpu, iter) + count - left);
  return result;
}

function blkdev_dio_invalid(
  cpu: Cpu,
  q: RequestQueuePtr,
  iter: IovIterPtr,
  pos: number,
  count: number,
): boolean {
  if (((pos | count) & (queue_logical_block_size(cpu, q) - 1)) !== 0) return true;
  // The offset of a dma-buf is looked at when the bio is split, as patch 04 does.
  if (iov_iter_is_dmabuf_map(cpu, iter)) return false;
  return (iov_iter_alignment(cpu, iter) & queue_dma_alignment(cpu, q)) !== 0;
}

/** `pos` and `count` are inside the device, and `flags` those of the kiocb. */
function blkdev_direct_IO(
  cpu: Cpu,
  iocb: KiocbPtr,
  iter: IovIterPtr,
  bdev: BlockDevicePtr,
  flags: number,
  op_flags: number,
  pos: number,
  count: number,
): number {
  const q = bdev_get_queue(cpu, bdev);
  if (blkdev_dio_invalid(cpu, q, iter, pos, count)) return -EINVAL;
  let opf = op_flags;
  if ((flags & (NOWAIT | HIPRI)) !== 0) {
    if ((flags & NOWAIT) !== 0) opf |= OPF_NOWAIT;
    if ((flags & HIPRI) !== 0 && queue_nr_hctx(cpu, q, HCTX_TYPE_POLL) !== 0) opf |= OPF_POLLED;
  }
  const bio = bio_alloc(cpu, bdev, opf, NOIO);
  if (bio === 0) return -ENOMEM;
  bio_set_sector(cpu, bio, pos >> SHIFT);
  bio_iov_iter_get_pages(cpu, bio, iter);
  if (is_sync_kiocb(cpu, iocb)) return blkdev_direct_IO_simple(cpu, iocb, iter, bio, count);
  cpu.mem.write(bio_pad(bio) + DIO_IOCB, iocb);
  cpu.mem.write(bio_pad(bio) + DIO_SIZE, count);
  bio_set_end_io(cpu, bio, END_IO_ASYNC, 0);
  if ((opf & OPF_POLLED) !== 0) kiocb_set_private(cpu, iocb, blk_mq_map_queue(cpu, q, opf));
  // From here on the kiocb may be complete and gone.
  if (__submit_bio(cpu, q, bio) === STS_OK) return -QUEUED;
  return would_block(cpu, iter, bio, count);
}

/** The NOWAIT bio was not taken: everything as before. */
function would_block(cpu: Cpu, iter: IovIterPtr, bio: BioPtr, size: number): number {
  bio_put(cpu, bio);
  iov_iter_revert(cpu, iter, size);
  return -EAGAIN;
}

function blkdev_bio_end_io_async(cpu: Cpu, bio: BioPtr): void {
  const pad = bio_pad(bio);
  const iocb = cpu.mem.read(pad + DIO_IOCB) as KiocbPtr;
  const size = cpu.mem.read(pad + DIO_SIZE);
  const status = bio_status(cpu, bio);
  bio_put(cpu, bio);
  if (status === STS_OK) {
    kiocb_advance(cpu, iocb, size);
    ki_complete(cpu, iocb, size);
  } else ki_complete(cpu, iocb, blk_status_to_errno(status));
}

/** Waits for the bio, and returns its size or -errno. */
function blkdev_direct_IO_simple(
  cpu: Cpu,
  iocb: KiocbPtr,
  iter: IovIterPtr,
  bio: BioPtr,
  size: number,
): number {
  const error = submit_bio_wait(cpu, bio);
  if (error === -EAGAIN) return would_block(cpu, iter, bio, size);
  bio_put(cpu, bio);
  if (error < 0) return error;
  kiocb_advance(cpu, iocb, size);
  return size;
}

/** Submits and sleeps, or polls, until the bio is done; it is the caller's again. 0 or -errno. */
function submit_bio_wait(cpu: Cpu, bio: BioPtr): number {
  const done = stack_push(cpu, COMPLETION_SIZE);
  init_completion(cpu, done);
  bio_set_end_io(cpu, bio, END_IO_WAIT, done);
  const opf = bio_opf(cpu, bio);
  const hctx = blk_mq_map_queue(cpu, bdev_get_queue(cpu, bio_bdev(cpu, bio) as BlockDevicePtr), opf);
  let error = -EAGAIN;
  if (submit_bio(cpu, bio) !== BLK_STS_AGAIN) {
    blk_flush_plug(cpu);
    while ((opf & OPF_POLLED) !== 0 && !completion_done(cpu, done)) {
      if (blk_mq_poll(cpu, hctx) === 0) cpu.mem.pause();
      cond_resched(cpu);
    }
    wait_for_completion(cpu, done);
    error = blk_status_to_errno(bio_status(cpu, bio));
  }
  stack_pop(cpu, done);
  return error;
}

function submit_bio_wait_endio(cpu: Cpu, bio: BioPtr): void {
  complete(cpu, bio_private(cpu, bio));
}

/** Everything written and completed before is on the medium afterwards. */
function blkdev_fsync(cpu: Cpu, file: FilePtr, _datasync: number): number {
  return blkdev_issue_flush(cpu, file_bdev(cpu, file));
}

function blkdev_issue_flush(cpu: Cpu, bdev: BlockDevicePtr): number {
  if (!queue_has_write_cache(cpu, bdev_get_queue(cpu, bdev))) return 0;
  const bio = bio_alloc(cpu, bdev, REQ_OP_FLUSH | REQ_SYNC | REQ_PREFLUSH, NOIO);
  if (bio === 0) return -ENOMEM;
  bio_set_empty(cpu, bio);
  const error = submit_bio_wait(cpu, bio);
  bio_put(cpu, bio);
  return error;
}

/** Looks for completions where this kiocb's will appear; returns how many it found. */
function blkdev_iopoll(cpu: Cpu, iocb: KiocbPtr): number {
  blk_flush_plug(cpu);
  const hctx = kiocb_private(cpu, iocb) as HctxPtr;
  if (hctx !== 0) return blk_mq_poll(cpu, hctx);
  // No polled queue: the completion comes by interrupt, which is taken at safe points.
  cond_resched(cpu);
  return 0;
}

/** Patch 06: only direct I/O can use dma-bufs, and only if the driver knows how. */
function blkdev_create_dmabuf_token(cpu: Cpu, file: FilePtr, token: number): number {
  if ((file_flags(cpu, file) & O_DIRECT) === 0) return -EINVAL;
  const q = bdev_get_queue(cpu, file_bdev(cpu, file));
  const create = queue_mq_op(cpu, q, BLK_MQ_OPS_CREATE_DMABUF_TOKEN);
  return create === 0 ? -EINVAL : symbol_call(cpu, create, q, token);
}
