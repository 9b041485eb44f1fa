/** enum dma_data_direction (include/linux/dma-direction.h): which way data moves, seen from memory. */
export const DMA_BIDIRECTIONAL = 0;
/** The device reads. */
export const DMA_TO_DEVICE = 1;
/** The device writes. */
export const DMA_FROM_DEVICE = 2;
