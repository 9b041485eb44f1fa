/**
 * liburing: the names users of io_uring know, with the Cpu in front.
 *
 * Interface: io_uring_queue_init; io_uring_get_sqe, a prep function, io_uring_submit; io_uring_wait_cqe, read
 * it, io_uring_cqe_seen; io_uring_queue_exit.
 */
export * from "./liburing/prep.ts";
export * from "./liburing/register.ts";
export * from "./liburing/ring.ts";
export * from "./liburing/submit.ts";
