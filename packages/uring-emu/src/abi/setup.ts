/**
 * io_uring_setup(2): struct io_uring_params, the offsets it returns, and their flags
 * (include/uapi/linux/io_uring.h), byte for byte, in uapi order.
 */
import { struct_layout, type StructLayout } from "@ringside/core/debug/layout";
import type { Ptr } from "atomics-sync";

export type ParamsPtr = Ptr<"io_uring_params">;

/** Setup flags. */
export const IORING_SETUP_IOPOLL = 1 << 0;
export const IORING_SETUP_SQPOLL = 1 << 1;
export const IORING_SETUP_SQ_AFF = 1 << 2;
/** The application says how large the CQ is. */
export const IORING_SETUP_CQSIZE = 1 << 3;
/** Too large sizes are cut instead of refused. */
export const IORING_SETUP_CLAMP = 1 << 4;
export const IORING_SETUP_ATTACH_WQ = 1 << 5;
export const IORING_SETUP_R_DISABLED = 1 << 6;
export const IORING_SETUP_SUBMIT_ALL = 1 << 7;
/** Completions do not interrupt the task: they run when it enters the kernel. */
export const IORING_SETUP_COOP_TASKRUN = 1 << 8;
export const IORING_SETUP_TASKRUN_FLAG = 1 << 9;
export const IORING_SETUP_SQE128 = 1 << 10;
export const IORING_SETUP_CQE32 = 1 << 11;
/** Only one task submits. */
export const IORING_SETUP_SINGLE_ISSUER = 1 << 12;
export const IORING_SETUP_DEFER_TASKRUN = 1 << 13;
export const IORING_SETUP_NO_MMAP = 1 << 14;
export const IORING_SETUP_REGISTERED_FD_ONLY = 1 << 15;
/** No indirection: entry i of the SQ is SQE i. */
export const IORING_SETUP_NO_SQARRAY = 1 << 16;

/** params.features. */
export const IORING_FEAT_SINGLE_MMAP = 1 << 0;
export const IORING_FEAT_NODROP = 1 << 1;
export const IORING_FEAT_SUBMIT_STABLE = 1 << 2;
export const IORING_FEAT_EXT_ARG = 1 << 8;
export const IORING_FEAT_NATIVE_WORKERS = 1 << 9;
export const IORING_FEAT_RSRC_TAGS = 1 << 10;
export const IORING_FEAT_CQE_SKIP = 1 << 11;
export const IORING_FEAT_LINKED_FILE = 1 << 12;

/** mmap offsets. */
export const IORING_OFF_SQ_RING = 0;
export const IORING_OFF_CQ_RING = 0x8000000;
export const IORING_OFF_SQES = 0x10000000;

/** sq_ring flags. */
export const IORING_SQ_NEED_WAKEUP = 1 << 0;
/** CQEs wait in the kernel for room. */
export const IORING_SQ_CQ_OVERFLOW = 1 << 1;
export const IORING_SQ_TASKRUN = 1 << 2;

/** Largest rings. */
export const IORING_MAX_ENTRIES = 32768;
export const IORING_MAX_CQ_ENTRIES = 2 * IORING_MAX_ENTRIES;

// struct io_sqring_offsets
export const SQ_OFF_HEAD = 0;
export const SQ_OFF_TAIL = 4;
export const SQ_OFF_RING_MASK = 8;
export const SQ_OFF_RING_ENTRIES = 12;
export const SQ_OFF_FLAGS = 16;
export const SQ_OFF_DROPPED = 20;
export const SQ_OFF_ARRAY = 24;
const SQ_OFF_RESV1 = 28;
const SQ_OFF_USER_ADDR = 32;
export const SQRING_OFFSETS_SIZE = 40;

// struct io_cqring_offsets
export const CQ_OFF_HEAD = 0;
export const CQ_OFF_TAIL = 4;
export const CQ_OFF_RING_MASK = 8;
export const CQ_OFF_RING_ENTRIES = 12;
export const CQ_OFF_OVERFLOW = 16;
export const CQ_OFF_CQES = 20;
export const CQ_OFF_FLAGS = 24;
const CQ_OFF_RESV1 = 28;
const CQ_OFF_USER_ADDR = 32;
export const CQRING_OFFSETS_SIZE = 40;

// struct io_uring_params
export const PARAMS_SQ_ENTRIES = 0;
export const PARAMS_CQ_ENTRIES = 4;
export const PARAMS_FLAGS = 8;
const PARAMS_SQ_THREAD_CPU = 12;
const PARAMS_SQ_THREAD_IDLE = 16;
export const PARAMS_FEATURES = 20;
const PARAMS_WQ_FD = 24;
/** u32[3], zero. */
export const PARAMS_RESV = 28;
export const PARAMS_SQ_OFF = 40;
export const PARAMS_CQ_OFF = PARAMS_SQ_OFF + SQRING_OFFSETS_SIZE;
export const PARAMS_SIZE = PARAMS_CQ_OFF + CQRING_OFFSETS_SIZE;

export const io_sqring_offsets_layout: StructLayout = struct_layout(
  "io_sqring_offsets",
  SQRING_OFFSETS_SIZE,
  [
    ["head", SQ_OFF_HEAD, 4],
    ["tail", SQ_OFF_TAIL, 4],
    ["ring_mask", SQ_OFF_RING_MASK, 4],
    ["ring_entries", SQ_OFF_RING_ENTRIES, 4],
    ["flags", SQ_OFF_FLAGS, 4],
    ["dropped", SQ_OFF_DROPPED, 4],
    ["array", SQ_OFF_ARRAY, 4],
    ["resv1", SQ_OFF_RESV1, 4],
    ["user_addr", SQ_OFF_USER_ADDR, 8],
  ],
);

export const io_cqring_offsets_layout: StructLayout = struct_layout(
  "io_cqring_offsets",
  CQRING_OFFSETS_SIZE,
  [
    ["head", CQ_OFF_HEAD, 4],
    ["tail", CQ_OFF_TAIL, 4],
    ["ring_mask", CQ_OFF_RING_MASK, 4],
    ["ring_entries", CQ_OFF_RING_ENTRIES, 4],
    ["overflow", CQ_OFF_OVERFLOW, 4],
    ["cqes", CQ_OFF_CQES, 4],
    ["flags", CQ_OFF_FLAGS, 4],
    ["resv1", CQ_OFF_RESV1, 4],
    ["user_addr", CQ_OFF_USER_ADDR, 8],
  ],
);

export const io_uring_params_layout: StructLayout = struct_layout("io_uring_params", PARAMS_SIZE, [
  ["sq_entries", PARAMS_SQ_ENTRIES, 4],
  ["cq_entries", PARAMS_CQ_ENTRIES, 4],
  ["flags", PARAMS_FLAGS, 4],
  ["sq_thread_cpu", PARAMS_SQ_THREAD_CPU, 4],
  ["sq_thread_idle", PARAMS_SQ_THREAD_IDLE, 4],
  ["features", PARAMS_FEATURES, 4],
  ["wq_fd", PARAMS_WQ_FD, 4],
  ["resv", PARAMS_RESV, 12],
  ["sq_off", PARAMS_SQ_OFF, SQRING_OFFSETS_SIZE],
  ["cq_off", PARAMS_CQ_OFF, CQRING_OFFSETS_SIZE],
]);
