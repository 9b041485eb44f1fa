/**
 * A dynamic exporter, as a GPU driver is one (drivers/gpu/drm/amd/amdgpu/amdgpu_dma_buf.c, ttm/ttm_bo.c):
 * buffers in VRAM that it moves or evicts whenever it likes, after telling their importers.
 *
 * Invariants: pages move only when every fence in the reservation has signaled and no CPU access is under
 * way; the contents survive every move; pages left behind are filled with poison.
 *
 * Interface: vram_create gives a buffer with one dma-buf reference (vram_dmabuf), vram_destroy drops it; the
 * buffer lives until the last reference goes. Importers attach and map as usual. A user's CPU touches the
 * buffer between vram_user_begin and vram_user_end. The moves and the controls of a test are the verbs of
 * vram-move.ts and vram-async.ts; whoever calls them holds a reference and not the reservation.
 */
export { vram_async_move } from "./vram-async.ts";
export { vram_counters, type VramBufPtr, type VramCounters, vram_dmabuf, vram_resv } from "./vram-buf.ts";
export {
  vram_create,
  vram_destroy,
  VRAM_HOLD_MS_MAX,
  vram_is_resident,
  vram_user_begin,
  vram_user_end,
  vram_user_page,
} from "./vram-export.ts";
export {
  vram_block_map,
  vram_evict,
  vram_hold_resv,
  vram_invalidate,
  vram_invalidate_and_hold,
  vram_move,
  vram_restore,
} from "./vram-move.ts";
export { VRAM_POISON, vram_pages_used } from "./vram-pages.ts";
