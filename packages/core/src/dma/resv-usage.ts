/**
 * How a fence uses a buffer (enum dma_resv_usage, include/linux/dma-resv.h), strongest first. The contract is in
 * resv.ts.
 */
export const DMA_RESV_USAGE_KERNEL = 0;
export const DMA_RESV_USAGE_WRITE = 1;
export const DMA_RESV_USAGE_READ = 2;
export const DMA_RESV_USAGE_BOOKKEEP = 3;

/** What implicit synchronisation waits for: a writer for readers and writers, a reader for writers. */
export function dma_resv_usage_rw(write: boolean): number {
  return write ? DMA_RESV_USAGE_READ : DMA_RESV_USAGE_WRITE;
}
