/**
 * io_uring_register(2): opcodes and the structs of registered buffers (include/uapi/linux/io_uring.h), with
 * the additions of the series "Add dmabuf read/write via io_uring", v3 09/10 and 10/10.
 */
import { struct_layout, type StructLayout } from "@ringside/core/debug/layout";
import type { Ptr } from "atomics-sync";

export type RegbufDescPtr = Ptr<"io_uring_regbuf_desc">;

export const IORING_REGISTER_BUFFERS = 0;
export const IORING_UNREGISTER_BUFFERS = 1;
export const IORING_REGISTER_BUFFERS2 = 15;
export const IORING_REGISTER_BUFFERS_UPDATE = 16;

/** Slots of a buffer table. */
export const IORING_MAX_REG_BUFFERS = 1 << 14;

/** io_uring_rsrc_register.flags: all slots are empty. */
export const IORING_RSRC_REGISTER_SPARSE = 1 << 0;
/** io_uring_rsrc_update2.flags (enum io_uring_rsrc_reg_flags): `data` holds descriptors, not iovecs. */
export const IORING_RSRC_UPDATE_EXTENDED = 1 << 1;

/** enum io_uring_regbuf_type. */
export const IO_REGBUF_TYPE_EMPTY = 0;
export const IO_REGBUF_TYPE_UADDR = 1;
export const IO_REGBUF_TYPE_DMABUF = 2;
export const IO_REGBUF_TYPE_MAX = 3;

// struct iovec of a 64-bit process
export const IOVEC_BASE = 0;
export const IOVEC_LEN = 8;
export const IOVEC_SIZE = 16;

// struct io_uring_rsrc_register
export const RSRC_REGISTER_NR = 0;
export const RSRC_REGISTER_FLAGS = 4;
/** u64, zero. */
export const RSRC_REGISTER_RESV2 = 8;
/** u64: iovecs. */
export const RSRC_REGISTER_DATA = 16;
/** u64: u64 tags, or 0. */
export const RSRC_REGISTER_TAGS = 24;
export const RSRC_REGISTER_SIZE = 32;

// struct io_uring_rsrc_update2
export const RSRC_UPDATE2_OFFSET = 0;
/** u32; was resv before the series. */
export const RSRC_UPDATE2_FLAGS = 4;
/** u64: iovecs or descriptors. */
export const RSRC_UPDATE2_DATA = 8;
/** u64: u64 tags, or 0. */
export const RSRC_UPDATE2_TAGS = 16;
export const RSRC_UPDATE2_NR = 24;
export const RSRC_UPDATE2_RESV2 = 28;
export const RSRC_UPDATE2_SIZE = 32;

// struct io_uring_regbuf_desc
/** u32: IO_REGBUF_TYPE_*. */
export const REGBUF_DESC_TYPE = 0;
/** u32; v3 does not look at it. */
const REGBUF_DESC_FLAGS = 4;
/** u64: bytes; zero for a dma-buf, which has a size of its own. */
export const REGBUF_DESC_SIZE_FIELD = 8;
/** u64: user address; zero for a dma-buf. */
export const REGBUF_DESC_UADDR = 16;
/** s32: the dma-buf. */
export const REGBUF_DESC_DMABUF_FD = 24;
/** s32: the one file that may do I/O with the buffer. */
export const REGBUF_DESC_TARGET_FD = 28;
/** u64[6], zero. */
export const REGBUF_DESC_RESV = 32;
export const REGBUF_DESC_SIZE = 80;

export const iovec_layout: StructLayout = struct_layout("iovec", IOVEC_SIZE, [
  ["iov_base", IOVEC_BASE, 8],
  ["iov_len", IOVEC_LEN, 8],
]);

export const io_uring_rsrc_register_layout: StructLayout = struct_layout(
  "io_uring_rsrc_register",
  RSRC_REGISTER_SIZE,
  [
    ["nr", RSRC_REGISTER_NR, 4],
    ["flags", RSRC_REGISTER_FLAGS, 4],
    ["resv2", RSRC_REGISTER_RESV2, 8],
    ["data", RSRC_REGISTER_DATA, 8],
    ["tags", RSRC_REGISTER_TAGS, 8],
  ],
);

export const io_uring_rsrc_update2_layout: StructLayout = struct_layout(
  "io_uring_rsrc_update2",
  RSRC_UPDATE2_SIZE,
  [
    ["offset", RSRC_UPDATE2_OFFSET, 4],
    ["flags", RSRC_UPDATE2_FLAGS, 4],
    ["data", RSRC_UPDATE2_DATA, 8],
    ["tags", RSRC_UPDATE2_TAGS, 8],
    ["nr", RSRC_UPDATE2_NR, 4],
    ["resv2", RSRC_UPDATE2_RESV2, 4],
  ],
);

export const io_uring_regbuf_desc_layout: StructLayout = struct_layout(
  "io_uring_regbuf_desc",
  REGBUF_DESC_SIZE,
  [
    ["type", REGBUF_DESC_TYPE, 4],
    ["flags", REGBUF_DESC_FLAGS, 4],
    ["size", REGBUF_DESC_SIZE_FIELD, 8],
    ["uaddr", REGBUF_DESC_UADDR, 8],
    ["dmabuf_fd", REGBUF_DESC_DMABUF_FD, 4],
    ["target_fd", REGBUF_DESC_TARGET_FD, 4],
    ["__resv", REGBUF_DESC_RESV, 48],
  ],
);
