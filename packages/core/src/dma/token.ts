/**
 * The token: common infrastructure for dma-buf in the I/O path (lib/io_dmabuf_token.c and
 * include/linux/io_dmabuf_token.h of the series "Add dmabuf read/write via io_uring", v3 05/10).
 *
 * A token binds a dma-buf to an importer for its lifetime. It hands out maps, one generation at a time: requests hold a
 * map by a percpu reference. Invalidation unpublishes the map, adds the map's fence to the reservation and kills the
 * reference; when the last request lets go, a work item signals the fence and unmaps.
 *
 * Invariants: at most one map is published; a map is published under the reservation lock; a killed map's fence is in
 * the reservation before the kill; the fence is signaled before the worker takes the reservation; the token outlives
 * its maps.
 *
 * Interface: io_dmabuf_token_create; then io_dmabuf_get_map (fast) or io_dmabuf_create_map (sleeps), drop each map;
 * io_dmabuf_token_release once, with no get or create in flight. The token and the map are the first members of objects
 * from kmalloc: this file frees them.
 *
 * config.variant: "v3" is the posted text; "v3-fixed" treats a pending fence in the recheck of create_map as pending.
 */
import { EAGAIN, EINVAL, ENOMEM, EOPNOTSUPP, ERR_PTR, IS_ERR, PTR_ERR } from "../debug/errno.ts";
import { kernel_symbol, symbol_call } from "../debug/image.ts";
import { WARN_ON_ONCE } from "../debug/warn.ts";
import { file_op, type FilePtr, FOP_CREATE_DMABUF_TOKEN } from "../fs/file.ts";
import { GFP_KERNEL, kfree, kzalloc } from "../mm/slab.ts";
import {
  get_state_synchronize_rcu,
  rcu_assign_pointer,
  rcu_dereference,
  rcu_dereference_protected,
  rcu_read_lock,
  rcu_read_unlock,
} from "../rcu/rcu.ts";
import {
  percpu_ref_exit,
  percpu_ref_get,
  percpu_ref_init,
  percpu_ref_kill,
  percpu_ref_put,
  type PercpuRefPtr,
  percpu_ref_tryget_live_rcu,
} from "../ref/percpu-ref.ts";
import { refcount_dec_and_test, refcount_inc, refcount_read, refcount_set } from "../ref/refcount.ts";
import type { Cpu } from "../sched/cpu.ts";
import { MAX_SCHEDULE_TIMEOUT } from "../sched/schedule.ts";
import { INIT_WORK, queue_work, system_wq, type WorkPtr } from "../sched/workqueue.ts";
import { dma_buf_put, type DmaBufPtr, dma_buf_resv, get_dma_buf } from "./buf.ts";
import {
  dma_fence_context_alloc,
  dma_fence_get,
  dma_fence_put,
  type DmaFencePtr,
  dma_fence_signal,
  dma_fence_wait,
} from "./fence.ts";
import { dma_fence_begin_signalling, dma_fence_end_signalling } from "./fence-lockdep.ts";
import {
  DMA_RESV_USAGE_KERNEL,
  dma_resv_add_fence,
  dma_resv_assert_held,
  dma_resv_held,
  dma_resv_lock,
  dma_resv_reserve_fences,
  dma_resv_unlock,
  dma_resv_wait_timeout,
} from "./resv.ts";
import { IO_DMABUF_FENCE_SIZE, io_dmabuf_fence_init } from "./token-fence.ts";
import * as oracle from "./token-oracle.ts";
import {
  DEV_OPS_MAP,
  DEV_OPS_RELEASE,
  DEV_OPS_UNMAP,
  dev_op,
  dev_ops_complete,
  DIR,
  DMABUF,
  FENCE_CTX,
  FENCE_SEQ,
  IO_DMABUF_TOKEN_SIZE,
  type IoDmabufMapPtr,
  type IoDmabufTokenPtr,
  io_dmabuf_token_dmabuf,
  MAP_RELEASE_WORK,
  NR_MAPS,
  NR_UNMAPS,
  TOKEN,
  TOKEN_REFS,
  TOKEN_RELEASE_WORK,
  UNPUBLISHED,
} from "./token-struct.ts";
import * as struct from "./token-struct.ts";

export {
  DEV_OPS_MAP,
  DEV_OPS_RELEASE,
  DEV_OPS_UNMAP,
  IO_DMABUF_MAP_SIZE,
  IO_DMABUF_TOKEN_SIZE,
  io_dmabuf_map_token,
  type IoDmabufMapPtr,
  io_dmabuf_token_dev_priv,
  io_dmabuf_token_dir,
  io_dmabuf_token_dmabuf,
  type IoDmabufTokenPtr,
  io_dmabuf_token_set_dev,
} from "./token-struct.ts";

// Hot: local copies, since a read of an imported constant costs several times as much.
const REFS = struct.REFS;
const MAP = struct.MAP;
const FENCE = struct.FENCE;

const TOKEN_DESTROY_WORK = kernel_symbol(io_dmabuf_token_destroy_work);
const TOKEN_RELEASE_WORK_FN = kernel_symbol(io_dmabuf_token_release_work);
const MAP_RELEASE_WORK_FN = kernel_symbol(io_dmabuf_map_release_work);
const MAP_REFS_RELEASE = kernel_symbol(io_dmabuf_map_refs_release);

function io_dmabuf_token_destroy_work(cpu: Cpu, work: WorkPtr): void {
  const token = (work - TOKEN_RELEASE_WORK) as IoDmabufTokenPtr;

  if (WARN_ON_ONCE(cpu, refcount_read(cpu, token + TOKEN_REFS) !== 0)) return;

  oracle.check_no_maps(cpu, cpu.mem.readOnce(token + NR_MAPS));
  symbol_call(cpu, dev_op(cpu, token, DEV_OPS_RELEASE), token);
  dma_buf_put(cpu, io_dmabuf_token_dmabuf(cpu, token));
  kfree(cpu, token);
  oracle.token_count(cpu, oracle.TOKEN_RELEASED);
}

function io_dmabuf_map_release_work(cpu: Cpu, work: WorkPtr): void {
  const map = (work - MAP_RELEASE_WORK) as IoDmabufMapPtr;
  const fence = cpu.mem.read(map + FENCE) as DmaFencePtr;
  const token = cpu.mem.read(map + TOKEN) as IoDmabufTokenPtr;
  const resv = dma_buf_resv(cpu, io_dmabuf_token_dmabuf(cpu, token));

  // The release path must wait for fences.
  if (WARN_ON_ONCE(cpu, refcount_read(cpu, token + TOKEN_REFS) === 0)) return;

  // For lockdep: what is taken from here to the signal may not be held by a waiter.
  const signalling = dma_fence_begin_signalling(cpu);
  // Keeps the token while we unmap: whoever waits for the fence may drop the last other reference.
  refcount_inc(cpu, token + TOKEN_REFS);

  // No request uses the map any more. Signal before taking the reservation: someone may be waiting for the
  // fence while holding it.
  dma_fence_signal(cpu, fence);
  dma_fence_end_signalling(cpu, signalling);

  dma_resv_lock(cpu, resv, 0);
  oracle.check_unmapped_once(cpu, cpu.mem.fetchAdd(map + NR_UNMAPS, 1));
  symbol_call(cpu, dev_op(cpu, token, DEV_OPS_UNMAP), token, map);
  dma_resv_unlock(cpu, resv);

  dma_fence_put(cpu, fence);
  percpu_ref_exit(cpu, (map + REFS) as PercpuRefPtr);
  oracle.check_grace_period(cpu, cpu.mem.read(map + UNPUBLISHED));
  kfree(cpu, map);
  oracle.token_count(cpu, oracle.TOKEN_UNMAPS);
  cpu.mem.fetchSub(token + NR_MAPS, 1);

  if (refcount_dec_and_test(cpu, token + TOKEN_REFS)) {
    // Destruction waits for I/O and fences; deferring it keeps the locking simple.
    INIT_WORK(cpu, token + TOKEN_RELEASE_WORK, TOKEN_DESTROY_WORK);
    queue_work(cpu, system_wq(cpu), token + TOKEN_RELEASE_WORK);
  }
}

/** Runs in whoever drops the last reference, often an RCU callback: it must not sleep. */
function io_dmabuf_map_refs_release(cpu: Cpu, ref: PercpuRefPtr): void {
  const map = (ref - REFS) as IoDmabufMapPtr;

  INIT_WORK(cpu, map + MAP_RELEASE_WORK, MAP_RELEASE_WORK_FN);
  queue_work(cpu, system_wq(cpu), map + MAP_RELEASE_WORK);
}

/** Initialises the generic part of a map: the importer's map operation calls it last. 0 or -ENOMEM. */
export function io_dmabuf_init_map(cpu: Cpu, token: IoDmabufTokenPtr, map: IoDmabufMapPtr): number {
  const fence = kzalloc(cpu, IO_DMABUF_FENCE_SIZE, GFP_KERNEL);
  if (fence === 0) return -ENOMEM;

  const ret = percpu_ref_init(cpu, (map + REFS) as PercpuRefPtr, MAP_REFS_RELEASE, 0, GFP_KERNEL);
  if (ret !== 0) {
    kfree(cpu, fence);
    return ret;
  }

  const seqno = cpu.mem.fetchAdd(token + FENCE_SEQ, 1) + 1;
  const context = cpu.mem.read64(token + FENCE_CTX);
  io_dmabuf_fence_init(cpu, fence, context, seqno);
  cpu.mem.write(map + FENCE, fence);
  cpu.mem.write(map + TOKEN, token);
  cpu.mem.write(map + NR_UNMAPS, 0);
  cpu.mem.write(map + UNPUBLISHED, 0);
  oracle.token_count(cpu, oracle.TOKEN_MAPS);
  cpu.mem.fetchAdd(token + NR_MAPS, 1);
  return 0;
}

/** The published map with a reference for the caller, or 0. Never sleeps. */
export function io_dmabuf_get_map(cpu: Cpu, token: IoDmabufTokenPtr): IoDmabufMapPtr {
  rcu_read_lock(cpu);
  let map = rcu_dereference(cpu, token + MAP) as IoDmabufMapPtr;
  if (map === 0 || !percpu_ref_tryget_live_rcu(cpu, (map + REFS) as PercpuRefPtr)) map = 0 as IoDmabufMapPtr;
  rcu_read_unlock(cpu);
  return map;
}

/** Lets go of a map from get or create. */
export function io_dmabuf_map_drop(cpu: Cpu, map: IoDmabufMapPtr): void {
  oracle.check_map_live(cpu, cpu.mem.read(map + FENCE) as DmaFencePtr);
  percpu_ref_put(cpu, (map + REFS) as PercpuRefPtr);
}

/** What the recheck under the lock takes for "a fence is pending": v3 tests for errors only. */
function recheck_pending(cpu: Cpu, ret: number): boolean {
  return cpu.config.variant === "v3" ? ret < 0 : ret <= 0;
}

/**
 * Gets the published map or makes one; the caller holds a reference to the result. Sleeps for fences and
 * the reservation. Error pointers: -ERESTARTSYS when interrupted, or the importer's error.
 */
export function io_dmabuf_create_map(cpu: Cpu, token: IoDmabufTokenPtr): IoDmabufMapPtr {
  const resv = dma_buf_resv(cpu, io_dmabuf_token_dmabuf(cpu, token));

  for (;;) {
    // Mapping needs the fences waited for. Be nice and wait without the reservation first.
    let ret = dma_resv_wait_timeout(cpu, resv, DMA_RESV_USAGE_KERNEL, true, MAX_SCHEDULE_TIMEOUT);
    if (ret === 0) ret = -EAGAIN;
    if (ret < 0) return ERR_PTR(ret) as IoDmabufMapPtr;

    dma_resv_lock(cpu, resv, 0);
    const published = io_dmabuf_get_map(cpu, token);
    if (published !== 0) {
      dma_resv_unlock(cpu, resv);
      return published;
    }

    ret = dma_resv_wait_timeout(cpu, resv, DMA_RESV_USAGE_KERNEL, true, 0);
    if (recheck_pending(cpu, ret)) {
      dma_resv_unlock(cpu, resv);
      oracle.token_count(cpu, oracle.TOKEN_RETRIES);
      continue;
    }

    const map = io_dmabuf_make_map(cpu, token, resv);
    dma_resv_unlock(cpu, resv);
    return map;
  }
}

/** Maps and publishes; the reservation is held. */
function io_dmabuf_make_map(cpu: Cpu, token: IoDmabufTokenPtr, resv: number): IoDmabufMapPtr {
  oracle.check_no_own_fence(cpu, resv, cpu.mem.read64(token + FENCE_CTX));
  const map = symbol_call(cpu, dev_op(cpu, token, DEV_OPS_MAP), token) as IoDmabufMapPtr;
  if (IS_ERR(map)) return ERR_PTR(PTR_ERR(map)) as IoDmabufMapPtr;

  oracle.check_unpublished(cpu, cpu.mem.read(token + MAP));
  percpu_ref_get(cpu, (map + REFS) as PercpuRefPtr);
  rcu_assign_pointer(cpu, token + MAP, map);
  return map;
}

/** Unpublishes the map, if any, and starts its end. The reservation is held. */
function io_dmabuf_drop_map(cpu: Cpu, token: IoDmabufTokenPtr): void {
  const resv = dma_buf_resv(cpu, io_dmabuf_token_dmabuf(cpu, token));

  dma_resv_assert_held(cpu, resv);

  const map = rcu_dereference_protected(cpu, token + MAP, dma_resv_held(cpu, resv)) as IoDmabufMapPtr;
  if (map === 0) return;
  rcu_assign_pointer(cpu, token + MAP, 0);
  cpu.mem.write(map + UNPUBLISHED, get_state_synchronize_rcu(cpu));

  const fence = cpu.mem.read(map + FENCE) as DmaFencePtr;
  const ret = dma_resv_reserve_fences(cpu, resv, 1);
  if (WARN_ON_ONCE(cpu, ret !== 0)) {
    dma_fence_get(cpu, fence);
    percpu_ref_kill(cpu, (map + REFS) as PercpuRefPtr);
    dma_fence_wait(cpu, fence, false);
    dma_fence_put(cpu, fence);
    return;
  }

  dma_resv_add_fence(cpu, resv, fence, DMA_RESV_USAGE_KERNEL);
  // Destruction waits until all requests that use the map are gone; it signals the fence then.
  percpu_ref_kill(cpu, (map + REFS) as PercpuRefPtr);
}

/** The exporter is about to move the buffer: no new request gets the old map. The reservation is held. */
export function io_dmabuf_token_invalidate_mappings(cpu: Cpu, token: IoDmabufTokenPtr): void {
  oracle.token_count(cpu, oracle.TOKEN_INVALIDATIONS);
  io_dmabuf_drop_map(cpu, token);
}

function io_dmabuf_token_release_work(cpu: Cpu, work: WorkPtr): void {
  const token = (work - TOKEN_RELEASE_WORK) as IoDmabufTokenPtr;
  const resv = dma_buf_resv(cpu, io_dmabuf_token_dmabuf(cpu, token));

  dma_resv_lock(cpu, resv, 0);
  // Removes the last map; there are no new ones from here on.
  io_dmabuf_drop_map(cpu, token);
  dma_resv_unlock(cpu, resv);

  // Waits until all maps are destroyed.
  const ret = dma_resv_wait_timeout(cpu, resv, DMA_RESV_USAGE_KERNEL, false, MAX_SCHEDULE_TIMEOUT);
  if (WARN_ON_ONCE(cpu, ret <= 0)) return;
  if (WARN_ON_ONCE(cpu, rcu_dereference_protected(cpu, token + MAP, true) !== 0)) return;

  if (refcount_dec_and_test(cpu, token + TOKEN_REFS)) io_dmabuf_token_destroy_work(cpu, work);
}

/** Lets go of the token; it is destroyed later, when its maps are. Call once. */
export function io_dmabuf_token_release(cpu: Cpu, token: IoDmabufTokenPtr): void {
  // Destruction waits for I/O and fences; deferring it keeps the locking simple.
  INIT_WORK(cpu, token + TOKEN_RELEASE_WORK, TOKEN_RELEASE_WORK_FN);
  queue_work(cpu, system_wq(cpu), token + TOKEN_RELEASE_WORK);
}

/**
 * Fills the caller's token for I/O on `file` into `dmabuf`. 0; -EOPNOTSUPP when the file cannot; the
 * importer's error; -EINVAL when the importer left out an operation, which leaks as the posted text does.
 */
export function io_dmabuf_token_create(
  cpu: Cpu,
  file: FilePtr,
  token: IoDmabufTokenPtr,
  dmabuf: DmaBufPtr,
  dir: number,
): number {
  const create = file_op(cpu, file, FOP_CREATE_DMABUF_TOKEN);
  if (create === 0) return -EOPNOTSUPP;

  cpu.mem.memset(token, 0, IO_DMABUF_TOKEN_SIZE);
  cpu.mem.write64(token + FENCE_CTX, dma_fence_context_alloc(cpu, 1));
  cpu.mem.write(token + DIR, dir);
  cpu.mem.write(token + DMABUF, dmabuf);
  refcount_set(cpu, token + TOKEN_REFS, 1);
  get_dma_buf(cpu, dmabuf);

  const ret = symbol_call(cpu, create, file, token);
  if (ret !== 0) {
    cpu.mem.memset(token, 0, IO_DMABUF_TOKEN_SIZE);
    dma_buf_put(cpu, dmabuf);
    return ret;
  }

  if (WARN_ON_ONCE(cpu, !dev_ops_complete(cpu, token))) return -EINVAL;

  oracle.token_count(cpu, oracle.TOKEN_CREATED);
  return ret;
}
