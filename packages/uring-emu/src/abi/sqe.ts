/**
 * struct io_uring_sqe and what goes into it (include/uapi/linux/io_uring.h), byte for byte, in uapi order.
 *
 * An SQE is 64 bytes that the submitter writes and the kernel reads, once, when it consumes the entry.
 * Files on the data path copy the offsets they need into constants of their own.
 */
import { struct_layout, type StructLayout } from "@ringside/core/debug/layout";
import type { Ptr } from "atomics-sync";

export type SqePtr = Ptr<"io_uring_sqe">;

/** u8: IORING_OP_*. */
export const SQE_OPCODE = 0;
/** u8: IOSQE_*. */
export const SQE_FLAGS = 1;
/** u16: I/O priority. */
export const SQE_IOPRIO = 2;
/** s32: descriptor, or index of a registered file. */
export const SQE_FD = 4;
/** u64: offset into the file; also addr2. */
export const SQE_OFF = 8;
/** u64: buffer; in a dma-buf buffer, a byte offset. */
export const SQE_ADDR = 16;
/** u32: buffer size. */
export const SQE_LEN = 24;
/** u32: flags of the operation: rw_flags, fsync_flags, nop_flags. */
export const SQE_OP_FLAGS = 28;
/** u64: handed back in the CQE. */
export const SQE_USER_DATA = 32;
/** u16: index of the registered buffer. */
export const SQE_BUF_INDEX = 40;
/** u16: registered credentials. */
export const SQE_PERSONALITY = 42;
/** u32: splice_fd_in, file_index. */
export const SQE_FILE_INDEX = 44;
/** u64: addr3, attr_ptr. */
export const SQE_ADDR3 = 48;
/** u64: attr_type_mask. */
export const SQE_PAD2 = 56;
export const SQE_SIZE = 64;

export const io_uring_sqe_layout: StructLayout = struct_layout("io_uring_sqe", SQE_SIZE, [
  ["opcode", SQE_OPCODE, 1],
  ["flags", SQE_FLAGS, 1],
  ["ioprio", SQE_IOPRIO, 2],
  ["fd", SQE_FD, 4],
  ["off", SQE_OFF, 8],
  ["addr", SQE_ADDR, 8],
  ["len", SQE_LEN, 4],
  ["rw_flags", SQE_OP_FLAGS, 4],
  ["user_data", SQE_USER_DATA, 8],
  ["buf_index", SQE_BUF_INDEX, 2],
  ["personality", SQE_PERSONALITY, 2],
  ["splice_fd_in", SQE_FILE_INDEX, 4],
  ["addr3", SQE_ADDR3, 8],
  ["__pad2", SQE_PAD2, 8],
]);

/** SQE flags. */
export const IOSQE_FIXED_FILE = 1 << 0;
/** Issue after everything in flight. */
export const IOSQE_IO_DRAIN = 1 << 1;
/** Links the next SQE. */
export const IOSQE_IO_LINK = 1 << 2;
/** As LINK, but stronger. */
export const IOSQE_IO_HARDLINK = 1 << 3;
/** Always go asynchronous. */
export const IOSQE_ASYNC = 1 << 4;
/** Select a buffer from a group. */
export const IOSQE_BUFFER_SELECT = 1 << 5;
/** No CQE when the request succeeded. */
export const IOSQE_CQE_SKIP_SUCCESS = 1 << 6;

/** Opcodes, those up to the last one a user of this emulation names. */
export const IORING_OP_NOP = 0;
export const IORING_OP_READV = 1;
export const IORING_OP_WRITEV = 2;
export const IORING_OP_FSYNC = 3;
export const IORING_OP_READ_FIXED = 4;
export const IORING_OP_WRITE_FIXED = 5;

/** sqe.fsync_flags. */
export const IORING_FSYNC_DATASYNC = 1 << 0;

/** sqe.nop_flags. */
export const IORING_NOP_INJECT_RESULT = 1 << 0;
export const IORING_NOP_FILE = 1 << 1;
export const IORING_NOP_FIXED_FILE = 1 << 2;
export const IORING_NOP_FIXED_BUFFER = 1 << 3;
export const IORING_NOP_TW = 1 << 4;
export const IORING_NOP_CQE32 = 1 << 5;

/** sqe.rw_flags (include/uapi/linux/fs.h). */
export const RWF_HIPRI = 1 << 0;
export const RWF_DSYNC = 1 << 1;
export const RWF_SYNC = 1 << 2;
export const RWF_NOWAIT = 1 << 3;
