/**
 * Splitting a bio to what the device takes in one request (block/blk-merge.c, bio_split_rw_at).
 *
 * A dma-buf bio is one segment: only its size and the alignment of its offset matter. A vector is cut where
 * the size or the number of segments is exceeded, and where two segments leave a gap that the device's
 * addressing (NVMe PRPs) cannot express.
 */
import { EINVAL } from "../debug/errno.ts";
import { BIO_VEC_SIZE, bvec_len, bvec_offset, type BioVecPtr } from "../fs/bvec.ts";
import type { Cpu } from "../sched/cpu.ts";
import { bio_bvec_done, bio_iovec, bio_is_dmabuf_map, type BioPtr, bio_size } from "./bio.ts";
import {
  queue_dma_alignment,
  queue_logical_block_size,
  queue_max_bytes,
  queue_max_segments,
  queue_virt_boundary,
} from "./limits.ts";

/** Bytes of the first request, 0 when the whole bio fits in one; -EINVAL when no split could make it fit. */
export function bio_split_rw_at(cpu: Cpu, bio: BioPtr, lim: number): number {
  if (!bio_is_dmabuf_map(cpu, bio)) return bio_split_bvecs(cpu, bio, lim);
  const size = bio_size(cpu, bio);
  const bits = bio_bvec_done(cpu, bio) | size;
  if ((bits & queue_dma_alignment(cpu, lim)) !== 0) return -EINVAL;
  const max = queue_max_bytes(cpu, lim);
  return size > max ? max : 0;
}

function bio_split_bvecs(cpu: Cpu, bio: BioPtr, lim: number): number {
  const size = bio_size(cpu, bio);
  const max_bytes = queue_max_bytes(cpu, lim);
  const max_segments = queue_max_segments(cpu, lim);
  const alignment = queue_dma_alignment(cpu, lim);
  const boundary = queue_virt_boundary(cpu, lim);
  let bvec = bio_iovec(cpu, bio) as number;
  let skip = bio_bvec_done(cpu, bio);
  let bytes = 0;
  let segments = 0;
  let end = 0;
  while (bytes < size) {
    const start = bvec_offset(cpu, bvec as BioVecPtr) + skip;
    const rest = bvec_len(cpu, bvec as BioVecPtr) - skip;
    const len = rest < size - bytes ? rest : size - bytes;
    if (((start | len) & alignment) !== 0) return -EINVAL;
    // bvec_gap_to_prev: only the first segment may start, and only the last may end, inside a page.
    const gap = segments > 0 && ((start | end) & boundary) !== 0;
    if (gap || segments === max_segments) break;
    segments++;
    bytes += len;
    if (bytes > max_bytes) {
      bytes = max_bytes;
      break;
    }
    end = start + len;
    bvec += BIO_VEC_SIZE;
    skip = 0;
  }
  if (bytes === size) return 0;
  bytes -= bytes % queue_logical_block_size(cpu, lim);
  return bytes === 0 ? -EINVAL : bytes;
}
