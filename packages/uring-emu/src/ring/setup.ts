/**
 * io_uring_setup(2) and mmap(2) of a ring (io_uring/io_uring.c): checks, memory, a file, a descriptor.
 *
 * Flags supported: IOPOLL, CQSIZE, CLAMP, NO_SQARRAY, SINGLE_ISSUER, COOP_TASKRUN. All others are -EINVAL, as
 * in a kernel that does not know them.
 */
import { EBADF, EFAULT, EINVAL, ENOMEM, EOPNOTSUPP } from "@ringside/core/debug/errno";
import { fd_install, fget, get_unused_fd_flags, put_unused_fd } from "@ringside/core/fs/fdtable";
import { anon_inode_getfile, file_private, fput, O_CLOEXEC, O_RDWR } from "@ringside/core/fs/file";
import { mutex_init } from "@ringside/core/lock/mutex";
import { INIT_LIST_HEAD } from "@ringside/core/mm/list";
import { alloc_pages_exact } from "@ringside/core/mm/page-alloc";
import { __GFP_ZERO, GFP_KERNEL, kfree, kzalloc } from "@ringside/core/mm/slab";
import type { Cpu } from "@ringside/core/sched/cpu";
import { current_task } from "@ringside/core/sched/task";
import { init_waitqueue_head } from "@ringside/core/sched/wait";
import {
  IORING_FEAT_CQE_SKIP,
  IORING_FEAT_EXT_ARG,
  IORING_FEAT_LINKED_FILE,
  IORING_FEAT_NATIVE_WORKERS,
  IORING_FEAT_NODROP,
  IORING_FEAT_RSRC_TAGS,
  IORING_FEAT_SINGLE_MMAP,
  IORING_FEAT_SUBMIT_STABLE,
  IORING_MAX_CQ_ENTRIES,
  IORING_MAX_ENTRIES,
  IORING_OFF_CQ_RING,
  IORING_OFF_SQ_RING,
  IORING_OFF_SQES,
  IORING_SETUP_CLAMP,
  IORING_SETUP_COOP_TASKRUN,
  IORING_SETUP_CQSIZE,
  IORING_SETUP_IOPOLL,
  IORING_SETUP_NO_SQARRAY,
  IORING_SETUP_SINGLE_ISSUER,
  PARAMS_CQ_ENTRIES,
  PARAMS_FEATURES,
  PARAMS_FLAGS,
  PARAMS_RESV,
  PARAMS_SIZE,
  PARAMS_SQ_ENTRIES,
  type ParamsPtr,
} from "../abi/setup.ts";
import { SQE_SIZE } from "../abi/sqe.ts";
import { io_compl_list_init } from "./complete.ts";
import {
  CTX_CQ_ENTRIES,
  CTX_CQ_WAIT,
  CTX_CQES,
  CTX_FLAGS,
  CTX_IOPOLL_LIST,
  CTX_RINGS,
  CTX_RINGS_BYTES,
  CTX_SIZE,
  CTX_SQ_ARRAY,
  CTX_SQ_ENTRIES,
  CTX_SQES,
  CTX_SQES_BYTES,
  CTX_SUBMITTER_TASK,
  CTX_URING_LOCK,
  io_is_uring_fops,
  io_uring_fops,
  type RingCtxPtr,
} from "./ctx.ts";
import { io_rings_free } from "./exit.ts";
import {
  RINGS_CQES,
  rings_fill_offsets,
  rings_init,
  rings_size,
  rings_sq_array_offset,
  type RingsPtr,
} from "./rings.ts";
import { access_ok } from "./user.ts";

const SETUP_FLAGS =
  IORING_SETUP_IOPOLL |
  IORING_SETUP_CQSIZE |
  IORING_SETUP_CLAMP |
  IORING_SETUP_COOP_TASKRUN |
  IORING_SETUP_SINGLE_ISSUER |
  IORING_SETUP_NO_SQARRAY;

const FEATURES =
  IORING_FEAT_SINGLE_MMAP |
  IORING_FEAT_NODROP |
  IORING_FEAT_SUBMIT_STABLE |
  IORING_FEAT_EXT_ARG |
  IORING_FEAT_NATIVE_WORKERS |
  IORING_FEAT_RSRC_TAGS |
  IORING_FEAT_CQE_SKIP |
  IORING_FEAT_LINKED_FILE;

/** Makes a ring and returns its descriptor, or -errno. Fills `params` in. */
export function io_uring_setup(cpu: Cpu, entries: number, params: ParamsPtr): number {
  if (!access_ok(cpu, params, PARAMS_SIZE, 8)) return -EFAULT;
  for (let i = 0; i < 3; i++) if (cpu.mem.read(params + PARAMS_RESV + 4 * i) !== 0) return -EINVAL;
  if ((cpu.mem.read(params + PARAMS_FLAGS) & ~SETUP_FLAGS) !== 0) return -EINVAL;
  const ret = io_uring_fill_params(cpu, entries, params);
  return ret < 0 ? ret : io_uring_create(cpu, params);
}

function roundup_pow_of_two(n: number): number {
  return n <= 1 ? 1 : 2 ** (32 - Math.clz32(n - 1));
}

/** Decides the sizes of both rings. 0 or -EINVAL. */
function io_uring_fill_params(cpu: Cpu, entries: number, params: ParamsPtr): number {
  const mem = cpu.mem;
  const flags = mem.read(params + PARAMS_FLAGS);
  const clamp = (flags & IORING_SETUP_CLAMP) !== 0;
  let sq = entries;
  if (sq <= 0) return -EINVAL;
  if (sq > IORING_MAX_ENTRIES) {
    if (!clamp) return -EINVAL;
    sq = IORING_MAX_ENTRIES;
  }
  sq = roundup_pow_of_two(sq);
  let cq = 2 * sq;
  if ((flags & IORING_SETUP_CQSIZE) !== 0) {
    cq = mem.read(params + PARAMS_CQ_ENTRIES) >>> 0;
    if (cq === 0) return -EINVAL;
    if (cq > IORING_MAX_CQ_ENTRIES) {
      if (!clamp) return -EINVAL;
      cq = IORING_MAX_CQ_ENTRIES;
    }
    cq = roundup_pow_of_two(cq);
    if (cq < sq) return -EINVAL;
  }
  mem.write(params + PARAMS_SQ_ENTRIES, sq);
  mem.write(params + PARAMS_CQ_ENTRIES, cq);
  return 0;
}

function io_uring_create(cpu: Cpu, params: ParamsPtr): number {
  const ctx = io_ring_ctx_alloc(cpu, params);
  if (ctx === 0) return -ENOMEM;
  const has_array = cpu.mem.read(ctx + CTX_SQ_ARRAY) !== 0;
  rings_fill_offsets(cpu, params, cpu.mem.read(ctx + CTX_CQ_ENTRIES), has_array);
  cpu.mem.write(params + PARAMS_FEATURES, FEATURES);

  const fd = get_unused_fd_flags(cpu, O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    io_ring_ctx_discard(cpu, ctx);
    return fd;
  }
  const file = anon_inode_getfile(cpu, io_uring_fops, ctx, O_RDWR | O_CLOEXEC);
  if (file === 0) {
    put_unused_fd(cpu, fd);
    io_ring_ctx_discard(cpu, ctx);
    return -ENOMEM;
  }
  fd_install(cpu, fd, file);
  return fd;
}

/** A ring that no file has ever named. */
function io_ring_ctx_discard(cpu: Cpu, ctx: RingCtxPtr): void {
  io_rings_free(cpu, ctx);
  kfree(cpu, ctx);
}

function io_ring_ctx_alloc(cpu: Cpu, params: ParamsPtr): RingCtxPtr {
  const mem = cpu.mem;
  const ctx = kzalloc(cpu, CTX_SIZE, GFP_KERNEL) as RingCtxPtr;
  if (ctx === 0) return ctx;
  const flags = mem.read(params + PARAMS_FLAGS);
  mem.write(ctx + CTX_FLAGS, flags);
  mem.write(ctx + CTX_SQ_ENTRIES, mem.read(params + PARAMS_SQ_ENTRIES));
  mem.write(ctx + CTX_CQ_ENTRIES, mem.read(params + PARAMS_CQ_ENTRIES));
  if ((flags & IORING_SETUP_SINGLE_ISSUER) !== 0) mem.write(ctx + CTX_SUBMITTER_TASK, current_task(cpu));
  mutex_init(cpu, ctx + CTX_URING_LOCK);
  INIT_LIST_HEAD(cpu, ctx + CTX_IOPOLL_LIST);
  io_compl_list_init(cpu, ctx);
  init_waitqueue_head(cpu, ctx + CTX_CQ_WAIT);
  if (io_allocate_scq_urings(cpu, ctx, (flags & IORING_SETUP_NO_SQARRAY) === 0)) return ctx;
  io_ring_ctx_discard(cpu, ctx);
  return 0 as RingCtxPtr;
}

/** The pages that user and kernel share. False when out of memory. */
function io_allocate_scq_urings(cpu: Cpu, ctx: RingCtxPtr, has_array: boolean): boolean {
  const mem = cpu.mem;
  const sq_entries = mem.read(ctx + CTX_SQ_ENTRIES);
  const cq_entries = mem.read(ctx + CTX_CQ_ENTRIES);
  const rings_bytes = rings_size(sq_entries, cq_entries, has_array);
  const sqes_bytes = sq_entries * SQE_SIZE;
  const rings = alloc_pages_exact(cpu, rings_bytes, GFP_KERNEL | __GFP_ZERO) as RingsPtr;
  mem.write(ctx + CTX_RINGS, rings);
  mem.write(ctx + CTX_RINGS_BYTES, rings_bytes);
  if (rings === 0) return false;
  rings_init(cpu, rings, sq_entries, cq_entries);
  mem.write(ctx + CTX_CQES, rings + RINGS_CQES);
  if (has_array) mem.write(ctx + CTX_SQ_ARRAY, rings + rings_sq_array_offset(cq_entries));
  mem.write(ctx + CTX_SQES, alloc_pages_exact(cpu, sqes_bytes, GFP_KERNEL | __GFP_ZERO));
  mem.write(ctx + CTX_SQES_BYTES, sqes_bytes);
  return mem.read(ctx + CTX_SQES) !== 0;
}

/** mmap(2) of a ring: the address of what `offset` (IORING_OFF_*) names, or -errno. */
export function io_uring_mmap(cpu: Cpu, fd: number, offset: number): number {
  const file = fget(cpu, fd);
  if (file === 0) return -EBADF;
  let address = -EOPNOTSUPP;
  if (io_is_uring_fops(cpu, file)) {
    const ctx = file_private(cpu, file);
    if (offset === IORING_OFF_SQ_RING || offset === IORING_OFF_CQ_RING)
      address = cpu.mem.read(ctx + CTX_RINGS);
    else address = offset === IORING_OFF_SQES ? cpu.mem.read(ctx + CTX_SQES) : -EINVAL;
  }
  fput(cpu, file);
  return address;
}
