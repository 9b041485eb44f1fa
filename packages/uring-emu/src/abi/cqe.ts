/** struct io_uring_cqe (include/uapi/linux/io_uring.h): 16 bytes that the kernel writes and the user reads. */
import { struct_layout, type StructLayout } from "@ringside/core/debug/layout";
import type { Ptr } from "atomics-sync";

export type CqePtr = Ptr<"io_uring_cqe">;

/** u64: sqe.user_data, or the tag of a resource. */
export const CQE_USER_DATA = 0;
/** s32: result. */
export const CQE_RES = 8;
/** u32: IORING_CQE_F_*; always 0 here, since nothing supported sets one. */
export const CQE_FLAGS = 12;
export const CQE_SIZE = 16;

export const io_uring_cqe_layout: StructLayout = struct_layout("io_uring_cqe", CQE_SIZE, [
  ["user_data", CQE_USER_DATA, 8],
  ["res", CQE_RES, 4],
  ["flags", CQE_FLAGS, 4],
]);
