/** io_uring_enter(2): flags and the extended argument (include/uapi/linux/io_uring.h). */
import { struct_layout, type StructLayout } from "@ringside/core/debug/layout";

export const IORING_ENTER_GETEVENTS = 1 << 0;
export const IORING_ENTER_SQ_WAKEUP = 1 << 1;
export const IORING_ENTER_SQ_WAIT = 1 << 2;
/** `arg` is a struct io_uring_getevents_arg. */
export const IORING_ENTER_EXT_ARG = 1 << 3;
export const IORING_ENTER_REGISTERED_RING = 1 << 4;

// struct io_uring_getevents_arg
/** u64: signal mask; there are no signal masks here. */
const GETEVENTS_ARG_SIGMASK = 0;
const GETEVENTS_ARG_SIGMASK_SZ = 8;
/** u32: zero, since IORING_FEAT_MIN_TIMEOUT is not offered. */
export const GETEVENTS_ARG_PAD = 12;
/** u64: struct __kernel_timespec, or 0. */
export const GETEVENTS_ARG_TS = 16;
export const GETEVENTS_ARG_SIZE = 24;

// struct __kernel_timespec
export const TIMESPEC_SEC = 0;
export const TIMESPEC_NSEC = 8;
export const TIMESPEC_SIZE = 16;

export const io_uring_getevents_arg_layout: StructLayout = struct_layout(
  "io_uring_getevents_arg",
  GETEVENTS_ARG_SIZE,
  [
    ["sigmask", GETEVENTS_ARG_SIGMASK, 8],
    ["sigmask_sz", GETEVENTS_ARG_SIGMASK_SZ, 4],
    ["pad", GETEVENTS_ARG_PAD, 4],
    ["ts", GETEVENTS_ARG_TS, 8],
  ],
);
