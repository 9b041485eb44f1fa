/**
 * struct bio (include/linux/blk_types.h, block/bio.c): one transfer between a range of sectors and memory.
 *
 * Its memory is either a vector of bio_vecs, or (BIO_DMABUF_MAP, patch 04 of the dma-buf series) bytes of a
 * dma-buf behind an io_dmabuf_map: then bi_vcnt is 0 and bi_bvec_done is the byte offset into the dma-buf.
 * The bio takes no reference on the map: the one reference of the submitter covers every bio made from it.
 *
 * bi_end_io runs exactly once; the first error wins. A chained bio completes when its children and itself
 * have. Free bios are kept in a list per CPU, so the data path allocates nothing.
 *
 * Interface: bio_alloc, set memory, submit_bio; bio_endio calls bi_end_io, which does bio_put.
 */
import type { Ptr } from "atomics-sync";
import { kernel_exitcall, kernel_symbol, percpu_static, symbol_call, type SymbolId } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import { BIO_VEC_SIZE, bvec_len, type BioVecPtr } from "../fs/bvec.ts";
import {
  iov_iter_advance,
  iov_iter_count,
  iov_iter_is_dmabuf_map,
  iov_iter_nr_segs,
  iov_iter_offset,
  iov_iter_pointer,
  type IovIterPtr,
} from "../fs/iov-iter.ts";
import { kfree, kmalloc } from "../mm/slab.ts";
import { type Cpu, nr_cpu_ids, per_cpu_ptr, this_cpu_ptr } from "../sched/cpu.ts";
import { SECTOR_SHIFT } from "./limits.ts";
import { BLK_STS_OK } from "./status.ts";

// Hot: local copies, since a read of an imported constant costs several times as much.
const STS_OK = BLK_STS_OK;
const VEC_SIZE = BIO_VEC_SIZE;

export type BioPtr = Ptr<"bio">;

/** bi_opf: operation in the low 8 bits, then flags; the values of Linux. */
export const REQ_OP_MASK = 0xff;
export const REQ_OP_READ = 0;
export const REQ_OP_WRITE = 1;
export const REQ_OP_FLUSH = 2;
export const REQ_SYNC: number = 1 << 11;
const NOMERGE = 1 << 14;
export const REQ_NOMERGE: number = NOMERGE;
export const REQ_IDLE: number = 1 << 15;
export const REQ_FUA: number = 1 << 17;
export const REQ_PREFLUSH: number = 1 << 18;
export const REQ_NOWAIT: number = 1 << 21;
export const REQ_POLLED: number = 1 << 22;

/** bi_flags. */
const BIO_CHAIN = 1 << 4;
const BIO_DMABUF_MAP = 1 << 14;

// Owned by the submitter, then by the driver, until bi_end_io.
/** Links bios in lists, and free ones in the cache. */
const BI_NEXT = 0;
const BI_BDEV = 4;
const BI_OPF = 8;
const BI_FLAGS = 12;
/** First error; children of a chain set it with compareExchange. */
const BI_STATUS = 16;
/** Atomic: parts of a chain not done yet; valid with BIO_CHAIN. */
const __BI_REMAINING = 20;
// struct bvec_iter bi_iter. A sector number takes one word: a machine's media is smaller than 2 GiB.
const BI_SECTOR = 24;
const BI_SIZE = 28;
const BI_IDX = 32;
/** Bytes done of the current bio_vec; offset into the dma-buf for BIO_DMABUF_MAP. */
const BI_BVEC_DONE = 36;
const BI_END_IO = 40;
const BI_PRIVATE = 44;
const BI_VCNT = 48;
/** Union of bi_io_vec and dmabuf_map. */
const BI_IO_VEC = 52;
const BIO_SIZE = 56;
/** Bytes behind each bio for its owner (what front_pad of a bio_set gives in front of it). */
const BIO_PAD_SIZE = 32;

struct_layout("bio", BIO_SIZE, [
  ["bi_next", BI_NEXT, 4],
  ["bi_bdev", BI_BDEV, 4],
  ["bi_opf", BI_OPF, 4],
  ["bi_flags", BI_FLAGS, 4],
  ["bi_status", BI_STATUS, 4],
  ["__bi_remaining", __BI_REMAINING, 4],
  ["bi_iter.bi_sector", BI_SECTOR, 4],
  ["bi_iter.bi_size", BI_SIZE, 4],
  ["bi_iter.bi_idx", BI_IDX, 4],
  ["bi_iter.bi_bvec_done", BI_BVEC_DONE, 4],
  ["bi_end_io", BI_END_IO, 4],
  ["bi_private", BI_PRIVATE, 4],
  ["bi_vcnt", BI_VCNT, 4],
  ["bi_io_vec", BI_IO_VEC, 4],
]);

/** struct bio_alloc_cache: this CPU's free bios. Handlers run at safe points only, so no lock. */
const BIO_ALLOC_CACHE = percpu_static("bio_alloc_cache", 4);
const FREE_LIST = 0;
/** In a free bio: how many the list has from here on. */
const NR = BI_SIZE;
const ALLOC_CACHE_MAX = 512;

const BIO_CHAIN_ENDIO = kernel_symbol(bio_chain_endio);

/**
 * A bio for `bdev` without memory, or 0; its pad lies behind it. Sector and size are the submitter's to set, with
 * end_io and memory.
 */
export function bio_alloc(cpu: Cpu, bdev: number, opf: number, gfp: number): BioPtr {
  const mem = cpu.mem;
  const cache = this_cpu_ptr(cpu, BIO_ALLOC_CACHE);
  let bio = mem.read(cache + FREE_LIST);
  if (bio !== 0) {
    mem.write(cache + FREE_LIST, mem.read(bio + BI_NEXT));
  } else {
    bio = kmalloc(cpu, BIO_SIZE + BIO_PAD_SIZE, gfp);
    if (bio === 0) return 0 as BioPtr;
  }
  mem.write(bio + BI_BDEV, bdev);
  mem.write(bio + BI_OPF, opf);
  mem.write(bio + BI_FLAGS, 0);
  mem.write(bio + BI_STATUS, STS_OK);
  mem.write(bio + BI_IDX, 0);
  return bio as BioPtr;
}

/** Frees the bio into this CPU's list; checked kernels give it back to the heap, which watches it. */
export function bio_put(cpu: Cpu, bio: BioPtr): void {
  const mem = cpu.mem;
  const cache = this_cpu_ptr(cpu, BIO_ALLOC_CACHE);
  const head = mem.read(cache + FREE_LIST);
  const nr = head === 0 ? 0 : mem.read(head + NR);
  if (nr >= ALLOC_CACHE_MAX || cpu.config.kasan) {
    kfree(cpu, bio);
    return;
  }
  mem.write(bio + BI_NEXT, head);
  mem.write(bio + NR, nr + 1);
  mem.write(cache + FREE_LIST, bio);
}

kernel_exitcall(bio_alloc_cache_destroy);
/** Empties the caches of all CPUs: they are idle. */
export function bio_alloc_cache_destroy(cpu: Cpu): void {
  for (let id = 0; id < nr_cpu_ids(cpu); id++) {
    const cache = per_cpu_ptr(cpu, BIO_ALLOC_CACHE, id);
    let bio = cpu.mem.read(cache + FREE_LIST);
    cpu.mem.write(cache + FREE_LIST, 0);
    while (bio !== 0) {
      const next = cpu.mem.read(bio + BI_NEXT);
      kfree(cpu, bio);
      bio = next;
    }
  }
}

export function bio_set_end_io(cpu: Cpu, bio: BioPtr, end_io: SymbolId, priv: number): void {
  cpu.mem.write(bio + BI_END_IO, end_io);
  cpu.mem.write(bio + BI_PRIVATE, priv);
}
export function bio_private(cpu: Cpu, bio: BioPtr): number {
  return cpu.mem.read(bio + BI_PRIVATE);
}
export function bio_bdev(cpu: Cpu, bio: BioPtr): number {
  return cpu.mem.read(bio + BI_BDEV);
}
export function bio_opf(cpu: Cpu, bio: BioPtr): number {
  return cpu.mem.read(bio + BI_OPF);
}
export function bio_set_opf(cpu: Cpu, bio: BioPtr, opf: number): void {
  cpu.mem.write(bio + BI_OPF, opf);
}
export function bio_status(cpu: Cpu, bio: BioPtr): number {
  return cpu.mem.read(bio + BI_STATUS);
}
export function bio_sector(cpu: Cpu, bio: BioPtr): number {
  return cpu.mem.read(bio + BI_SECTOR);
}
export function bio_set_sector(cpu: Cpu, bio: BioPtr, sector: number): void {
  cpu.mem.write(bio + BI_SECTOR, sector);
}
/** A bio without data, for a flush. */
export function bio_set_empty(cpu: Cpu, bio: BioPtr): void {
  cpu.mem.write(bio + BI_SECTOR, 0);
  cpu.mem.write(bio + BI_SIZE, 0);
}
/** Bytes left. */
export function bio_size(cpu: Cpu, bio: BioPtr): number {
  return cpu.mem.read(bio + BI_SIZE);
}
/** The current bio_vec. */
export function bio_iovec(cpu: Cpu, bio: BioPtr): BioVecPtr {
  return (cpu.mem.read(bio + BI_IO_VEC) + cpu.mem.read(bio + BI_IDX) * VEC_SIZE) as BioVecPtr;
}
export function bio_bvec_done(cpu: Cpu, bio: BioPtr): number {
  return cpu.mem.read(bio + BI_BVEC_DONE);
}
export function bio_is_dmabuf_map(cpu: Cpu, bio: BioPtr): boolean {
  return (cpu.mem.read(bio + BI_FLAGS) & BIO_DMABUF_MAP) !== 0;
}
export function bio_dmabuf_map(cpu: Cpu, bio: BioPtr): number {
  return cpu.mem.read(bio + BI_IO_VEC);
}
/** The owner's bytes behind the bio. */
export function bio_pad(bio: BioPtr): number {
  return bio + BIO_SIZE;
}

/** The bio's memory is the dma-buf range of `iter`. Everything fits: there is no vector to overflow. */
function bio_dmabuf_map_set(cpu: Cpu, bio: BioPtr, iter: IovIterPtr, bytes: number): void {
  const mem = cpu.mem;
  mem.write(bio + BI_IO_VEC, iov_iter_pointer(cpu, iter));
  mem.write(bio + BI_VCNT, 0);
  mem.write(bio + BI_BVEC_DONE, iov_iter_offset(cpu, iter));
  mem.write(bio + BI_SIZE, bytes);
  mem.write(bio + BI_OPF, mem.read(bio + BI_OPF) | NOMERGE);
  // The only flag of a bio that is being made.
  mem.write(bio + BI_FLAGS, BIO_DMABUF_MAP);
}

/** The bio's memory is the bio_vecs of `iter` themselves, not a copy. */
function bio_iov_bvec_set(cpu: Cpu, bio: BioPtr, iter: IovIterPtr, bytes: number): void {
  const mem = cpu.mem;
  mem.write(bio + BI_IO_VEC, iov_iter_pointer(cpu, iter));
  mem.write(bio + BI_VCNT, iov_iter_nr_segs(cpu, iter));
  mem.write(bio + BI_BVEC_DONE, iov_iter_offset(cpu, iter));
  mem.write(bio + BI_SIZE, bytes);
}

/** Gives the bio all the memory of `iter`, and consumes it. The iterator's bio_vecs must outlive the bio. */
export function bio_iov_iter_get_pages(cpu: Cpu, bio: BioPtr, iter: IovIterPtr): number {
  const bytes = iov_iter_count(cpu, iter);
  if (iov_iter_is_dmabuf_map(cpu, iter)) bio_dmabuf_map_set(cpu, bio, iter, bytes);
  else bio_iov_bvec_set(cpu, bio, iter, bytes);
  iov_iter_advance(cpu, iter, bytes);
  return 0;
}

/** Moves the bio's start forward by `bytes`, on the disk and in memory. */
function bio_advance(cpu: Cpu, bio: BioPtr, bytes: number): void {
  const mem = cpu.mem;
  mem.write(bio + BI_SECTOR, mem.read(bio + BI_SECTOR) + (bytes >> SECTOR_SHIFT));
  mem.write(bio + BI_SIZE, mem.read(bio + BI_SIZE) - bytes);
  let done = mem.read(bio + BI_BVEC_DONE) + bytes;
  if ((mem.read(bio + BI_FLAGS) & BIO_DMABUF_MAP) === 0) {
    let idx = mem.read(bio + BI_IDX);
    const vecs = mem.read(bio + BI_IO_VEC);
    const vcnt = mem.read(bio + BI_VCNT);
    while (idx < vcnt && done >= bvec_len(cpu, (vecs + idx * VEC_SIZE) as BioVecPtr)) {
      done -= bvec_len(cpu, (vecs + idx * VEC_SIZE) as BioVecPtr);
      idx++;
    }
    mem.write(bio + BI_IDX, idx);
  }
  mem.write(bio + BI_BVEC_DONE, done);
}

/** Cuts the first `bytes` off into a bio of its own, with the same memory; `bio` keeps the rest. */
export function bio_split(cpu: Cpu, bio: BioPtr, bytes: number, gfp: number): BioPtr {
  const mem = cpu.mem;
  const split = bio_alloc(cpu, mem.read(bio + BI_BDEV), mem.read(bio + BI_OPF), gfp);
  if (split === 0) return split;
  mem.write(split + BI_FLAGS, mem.read(bio + BI_FLAGS) & BIO_DMABUF_MAP);
  mem.write(split + BI_SECTOR, mem.read(bio + BI_SECTOR));
  mem.write(split + BI_SIZE, bytes);
  mem.write(split + BI_IDX, mem.read(bio + BI_IDX));
  mem.write(split + BI_BVEC_DONE, mem.read(bio + BI_BVEC_DONE));
  mem.write(split + BI_VCNT, mem.read(bio + BI_VCNT));
  mem.write(split + BI_IO_VEC, mem.read(bio + BI_IO_VEC));
  bio_advance(cpu, bio, bytes);
  return split;
}

/** `parent` completes only after `bio` has. Before either is submitted. */
export function bio_chain(cpu: Cpu, bio: BioPtr, parent: BioPtr): void {
  bio_set_end_io(cpu, bio, BIO_CHAIN_ENDIO, parent);
  const flags = cpu.mem.read(parent + BI_FLAGS);
  // The first child: nobody else can see the count yet.
  if ((flags & BIO_CHAIN) === 0) {
    cpu.mem.write(parent + BI_FLAGS, flags | BIO_CHAIN);
    cpu.mem.write(parent + __BI_REMAINING, 1);
  }
  cpu.mem.fetchAdd(parent + __BI_REMAINING, 1);
}

/** Records an error unless there is one already: parts of a chain may fail on several CPUs at once. */
export function bio_set_status(cpu: Cpu, bio: BioPtr, status: number): void {
  if (status !== STS_OK) cpu.mem.compareExchange(bio + BI_STATUS, STS_OK, status);
}

/** Passes a child's result on; returns the parent, which is to be ended next. */
function __bio_chain_endio(cpu: Cpu, bio: BioPtr): BioPtr {
  const parent = cpu.mem.read(bio + BI_PRIVATE) as BioPtr;
  bio_set_status(cpu, parent, cpu.mem.read(bio + BI_STATUS));
  bio_put(cpu, bio);
  return parent;
}

/** A name for bio_endio to compare with; it unrolls the call. */
function bio_chain_endio(cpu: Cpu, bio: BioPtr): void {
  bio_endio(cpu, __bio_chain_endio(cpu, bio));
}

/** This part of the bio is done; calls bi_end_io when all parts are. Do not touch the bio afterwards. */
export function bio_endio(cpu: Cpu, first: BioPtr): void {
  const mem = cpu.mem;
  let bio = first;
  for (;;) {
    // Full order: whoever brings the count to 0 sees the status the other parts stored before.
    if ((mem.read(bio + BI_FLAGS) & BIO_CHAIN) !== 0 && mem.fetchSub(bio + __BI_REMAINING, 1) !== 1) return;
    const end_io = mem.read(bio + BI_END_IO);
    if (end_io !== BIO_CHAIN_ENDIO) {
      if (end_io !== 0) symbol_call(cpu, end_io, bio);
      return;
    }
    bio = __bio_chain_endio(cpu, bio);
  }
}
