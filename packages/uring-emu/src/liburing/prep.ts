/**
 * Filling SQEs and reading CQEs (liburing.h). Each prep function writes every word of the SQE, so what an
 * earlier use left behind never shows.
 */
import type { Cpu } from "@ringside/core/sched/cpu";
import { type CqePtr, CQE_FLAGS, CQE_RES, CQE_USER_DATA } from "../abi/cqe.ts";
import {
  IORING_OP_FSYNC,
  IORING_OP_READ_FIXED,
  IORING_OP_WRITE_FIXED,
  SQE_BUF_INDEX,
  SQE_FLAGS,
  SQE_OP_FLAGS,
  SQE_SIZE,
  SQE_USER_DATA,
  type SqePtr,
} from "../abi/sqe.ts";

const FSYNC = IORING_OP_FSYNC;
const READ_FIXED = IORING_OP_READ_FIXED;
const WRITE_FIXED = IORING_OP_WRITE_FIXED;
const SQE_BYTES = SQE_SIZE;
const FLAGS = SQE_FLAGS;
const BUF_INDEX = SQE_BUF_INDEX;
const USER_DATA = SQE_USER_DATA;
const RES = CQE_RES;
const DATA = CQE_USER_DATA;

/** opcode with flags and ioprio 0 is the first word. */
function io_uring_prep_rw(cpu: Cpu, op: number, sqe: SqePtr, fd: number, addr: number, len: number): void {
  const mem = cpu.mem;
  mem.memset(sqe, 0, SQE_BYTES);
  mem.write(sqe, op);
  mem.write(sqe + 4, fd);
  mem.write(sqe + 16, addr);
  mem.write(sqe + 24, len);
}

export function io_uring_prep_nop(cpu: Cpu, sqe: SqePtr): void {
  // Opcode, address and length are 0.
  cpu.mem.memset(sqe, 0, SQE_BYTES);
  cpu.mem.write(sqe + 4, -1);
}

/** `addr` is inside registered buffer `buf_index`; an offset into it when that is a dma-buf. */
export function io_uring_prep_read_fixed(
  cpu: Cpu,
  sqe: SqePtr,
  fd: number,
  addr: number,
  nbytes: number,
  offset: number,
  buf_index: number,
): void {
  io_uring_prep_rw(cpu, READ_FIXED, sqe, fd, addr, nbytes);
  cpu.mem.write64(sqe + 8, offset);
  cpu.mem.write16(sqe + BUF_INDEX, buf_index);
}

export function io_uring_prep_write_fixed(
  cpu: Cpu,
  sqe: SqePtr,
  fd: number,
  addr: number,
  nbytes: number,
  offset: number,
  buf_index: number,
): void {
  io_uring_prep_rw(cpu, WRITE_FIXED, sqe, fd, addr, nbytes);
  cpu.mem.write64(sqe + 8, offset);
  cpu.mem.write16(sqe + BUF_INDEX, buf_index);
}

export function io_uring_prep_fsync(cpu: Cpu, sqe: SqePtr, fd: number, fsync_flags: number): void {
  io_uring_prep_rw(cpu, FSYNC, sqe, fd, 0, 0);
  cpu.mem.write(sqe + SQE_OP_FLAGS, fsync_flags);
}

/** `data` in 0 ... 2^53. */
export function io_uring_sqe_set_data64(cpu: Cpu, sqe: SqePtr, data: number): void {
  cpu.mem.write64(sqe + USER_DATA, data);
}

/** A pointer or a small number: one word. */
export function io_uring_sqe_set_data(cpu: Cpu, sqe: SqePtr, data: number): void {
  cpu.mem.write(sqe + USER_DATA, data);
}

export function io_uring_sqe_set_flags(cpu: Cpu, sqe: SqePtr, flags: number): void {
  cpu.mem.write8(sqe + FLAGS, flags);
}

export function io_uring_cqe_get_data64(cpu: Cpu, cqe: CqePtr): number {
  return cpu.mem.read64(cqe + DATA);
}

export function io_uring_cqe_get_data(cpu: Cpu, cqe: CqePtr): number {
  return cpu.mem.read(cqe + DATA);
}

export function io_uring_cqe_res(cpu: Cpu, cqe: CqePtr): number {
  return cpu.mem.read(cqe + RES);
}

export function io_uring_cqe_flags(cpu: Cpu, cqe: CqePtr): number {
  return cpu.mem.read(cqe + CQE_FLAGS);
}
