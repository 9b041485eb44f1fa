/**
 * A file for tests of io_uring alone: its bytes are those at map.media, and it completes as told: at once,
 * later by hand, from an interrupt of any CPU, only to callers that may wait, or by being polled.
 *
 * Interface: fake_file_open gives a descriptor; fake_file_mode steers all fake files of the machine.
 */
import { EAGAIN, EIO, EIOCBQUEUED } from "@ringside/core/debug/errno";
import {
  kernel_initcall,
  kernel_rodata,
  kernel_static,
  kernel_symbol,
  symbol_call,
} from "@ringside/core/debug/image";
import { fixture_file } from "@ringside/core/dma/testing/token-fixture";
import { violation } from "@ringside/core/debug/warn";
import { bvec_virt, type BioVecPtr } from "@ringside/core/fs/bvec";
import { fd_install, get_unused_fd_flags } from "@ringside/core/fs/fdtable";
import {
  anon_inode_getfile,
  file_op,
  type FilePtr,
  FOP_CREATE_DMABUF_TOKEN,
  fput,
  O_DIRECT,
  O_RDWR,
} from "@ringside/core/fs/file";
import {
  iov_iter_advance,
  iov_iter_count,
  iov_iter_is_dmabuf_map,
  iov_iter_offset,
  type IovIterPtr,
  iov_iter_pointer,
} from "@ringside/core/fs/iov-iter";
import { IOCB_NOWAIT, ki_complete, kiocb_flags, kiocb_pos, type KiocbPtr } from "@ringside/core/fs/kiocb";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "@ringside/core/lock/spinlock";
import { GFP_ATOMIC, kfree, kmalloc } from "@ringside/core/mm/slab";
import { irq_raise, request_irq } from "@ringside/core/sched/irq";
import type { Cpu } from "@ringside/core/sched/cpu";

/** Completes inside the call. */
export const FAKE_INLINE = 0;
/** Kept until fake_complete_all. */
export const FAKE_LATER = 1;
/** -EAGAIN to callers that must not wait, else inline. */
export const FAKE_NOWAIT = 2;
/** Queued; completes with -EAGAIN for callers that must not wait. */
export const FAKE_LATE_AGAIN = 3;
/** -EIO inside the call. */
export const FAKE_FAIL = 4;
/** Kept until the interrupt that it raises on CPU fake_irq_cpu. */
export const FAKE_IRQ = 5;

const STATE = kernel_static("fake_file", 128);
const MODE = 0;
const IRQ_CPU = 4;
const CALLS = 8;
const SYNCS = 12;
const CREATE_TOKEN = 16;
// Guarded by LOCK: kept kiocbs, a stack of { next, kiocb, res }.
const LOCK = 64;
const KEPT = 68;

const VECTOR = 1;
/** Rounds that a worker stays in the operation after it raised the interrupt. */
const LINGER = 3000;
const IRQ = kernel_symbol(fake_complete_all);
const FOPS = kernel_rodata("fake_fops", [
  0,
  kernel_symbol(fake_read_iter),
  kernel_symbol(fake_write_iter),
  kernel_symbol(fake_fsync),
  kernel_symbol(fake_iopoll),
  kernel_symbol(fake_create_token),
]);
const PLAIN_FOPS = kernel_rodata("fake_plain_fops", [0, kernel_symbol(fake_read_iter), 0, 0, 0, 0]);

kernel_initcall(fake_file_init);
function fake_file_init(cpu: Cpu): void {
  const driver = fixture_file(cpu, true);
  cpu.mem.write(STATE + CREATE_TOKEN, file_op(cpu, driver, FOP_CREATE_DMABUF_TOKEN));
  fput(cpu, driver);
  for (let id = 0; id < cpu.config.cpus; id++) request_irq(cpu, id, VECTOR, IRQ, 0);
}

/** A descriptor of a new fake file. `plain`: it can only be read, and takes no dma-bufs. */
export function fake_file_open(cpu: Cpu, flags: number = O_RDWR | O_DIRECT, plain: boolean = false): number {
  const fd = get_unused_fd_flags(cpu, 0);
  fd_install(cpu, fd, anon_inode_getfile(cpu, plain ? PLAIN_FOPS : FOPS, 1, flags));
  return fd;
}

export function fake_file_mode(cpu: Cpu, mode: number): void {
  cpu.mem.storeRelease(STATE + MODE, mode);
}
export function fake_irq_cpu(cpu: Cpu, id: number): void {
  cpu.mem.storeRelease(STATE + IRQ_CPU, id);
}
/** Calls of read_iter and write_iter so far. */
export function fake_calls(cpu: Cpu): number {
  return cpu.mem.loadAcquire(STATE + CALLS);
}
export function fake_syncs(cpu: Cpu): number {
  return cpu.mem.loadAcquire(STATE + SYNCS);
}

function fake_read_iter(cpu: Cpu, kiocb: KiocbPtr, iter: IovIterPtr): number {
  return fake_rw(cpu, kiocb, iter, false);
}
function fake_write_iter(cpu: Cpu, kiocb: KiocbPtr, iter: IovIterPtr): number {
  return fake_rw(cpu, kiocb, iter, true);
}

function fake_rw(cpu: Cpu, kiocb: KiocbPtr, iter: IovIterPtr, write: boolean): number {
  cpu.mem.fetchAdd(STATE + CALLS, 1);
  const nowait = (kiocb_flags(cpu, kiocb) & IOCB_NOWAIT) !== 0;
  const mode = cpu.mem.loadAcquire(STATE + MODE);
  if (mode === FAKE_FAIL) return -EIO;
  if (mode === FAKE_NOWAIT && nowait) return -EAGAIN;
  if (mode === FAKE_LATE_AGAIN && nowait) return keep(cpu, kiocb, -EAGAIN);
  const bytes = transfer(cpu, kiocb, iter, write);
  if (mode !== FAKE_LATER && mode !== FAKE_IRQ) return bytes;
  keep(cpu, kiocb, bytes);
  if (mode === FAKE_IRQ) {
    irq_raise(cpu, cpu.mem.loadAcquire(STATE + IRQ_CPU), VECTOR);
    if (!nowait) check_kept(cpu, kiocb);
  }
  return -EIOCBQUEUED;
}

/** A worker is still in the file's operation: the request must not be recycled for another SQE meanwhile. */
function check_kept(cpu: Cpu, kiocb: KiocbPtr): void {
  const pos = kiocb_pos(cpu, kiocb);
  for (let i = 0; i < LINGER; i++) {
    cpu.mem.pause();
    if (kiocb_pos(cpu, kiocb) !== pos)
      return violation(cpu, "recycled", "a request changed while it was issued");
  }
}

/** Copies at once; a short count at the end of the media. Nobody touches the bytes of a dma-buf. */
function transfer(cpu: Cpu, kiocb: KiocbPtr, iter: IovIterPtr, write: boolean): number {
  const size = cpu.map.media_end - cpu.map.media;
  const pos = kiocb_pos(cpu, kiocb);
  const bytes = Math.max(0, Math.min(iov_iter_count(cpu, iter), size - pos));
  if (!iov_iter_is_dmabuf_map(cpu, iter) && bytes > 0) {
    const start = bvec_virt(cpu, iov_iter_pointer(cpu, iter) as BioVecPtr) + iov_iter_offset(cpu, iter);
    if (write) cpu.mem.memcpy(cpu.map.media + pos, start, bytes);
    else cpu.mem.memcpy(start, cpu.map.media + pos, bytes);
  }
  iov_iter_advance(cpu, iter, bytes);
  return bytes;
}

function keep(cpu: Cpu, kiocb: KiocbPtr, res: number): number {
  const node = kmalloc(cpu, 12, GFP_ATOMIC);
  cpu.mem.write(node + 4, kiocb);
  cpu.mem.write(node + 8, res);
  spin_lock_irqsave(cpu, STATE + LOCK);
  cpu.mem.write(node, cpu.mem.read(STATE + KEPT));
  cpu.mem.write(STATE + KEPT, node);
  spin_unlock_irqrestore(cpu, STATE + LOCK);
  return -EIOCBQUEUED;
}

/** Completes what was kept, on this CPU. Returns how many. */
export function fake_complete_all(cpu: Cpu): number {
  spin_lock_irqsave(cpu, STATE + LOCK);
  let node = cpu.mem.read(STATE + KEPT);
  cpu.mem.write(STATE + KEPT, 0);
  spin_unlock_irqrestore(cpu, STATE + LOCK);
  let done = 0;
  while (node !== 0) {
    const next = cpu.mem.read(node);
    ki_complete(cpu, cpu.mem.read(node + 4) as KiocbPtr, cpu.mem.read(node + 8));
    kfree(cpu, node);
    node = next;
    done++;
  }
  return done;
}

function fake_fsync(cpu: Cpu, _file: FilePtr, datasync: number): number {
  cpu.mem.fetchAdd(STATE + SYNCS, datasync === 0 ? 1 : 100);
  return 0;
}

function fake_iopoll(cpu: Cpu, _kiocb: KiocbPtr): number {
  return fake_complete_all(cpu);
}

function fake_create_token(cpu: Cpu, file: FilePtr, token: number): number {
  return symbol_call(cpu, cpu.mem.read(STATE + CREATE_TOKEN), file, token);
}
