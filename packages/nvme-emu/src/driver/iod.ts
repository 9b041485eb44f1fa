/**
 * struct nvme_iod: the driver's data of a request, behind it in memory (drivers/nvme/host/pci.c). Owned by
 * the holder of the tag.
 *
 * I/O addresses lie below 2 GiB, so they take one word here; in commands and PRP lists they are 64 bits wide.
 * What a command points to is remembered here and never read back from the command: v3 of the dma-buf series
 * derived what to free from it and could free a stale list.
 */
import type { Ptr } from "atomics-sync";
import { struct_layout } from "@ringside/core/debug/layout";
import { blk_mq_rq_to_pdu, type RequestPtr } from "@ringside/core/block/request";
import type { Cpu } from "@ringside/core/sched/cpu";

export type IodPtr = Ptr<"nvme_iod">;

/** Generation of the command id: counts the uses of the tag. Kept across uses. */
const GENCTR = 0;
/** Status field of the completion, without the phase; before that 0, or ABORTED. */
const STATUS = 4;
const RETRIES = 8;
/** DMA addresses of the data: what the command says. */
const PRP1 = 12;
const PRP2 = 16;
/** PRP lists in use, and whether the only one is of the small pool. */
const NR_DESCRIPTORS = 20;
const SMALL = 24;
const DESCRIPTORS = 28;
/** Lists of the largest request: 8 MiB are 2048 entries. */
const NVME_MAX_NR_DESCRIPTORS = 5;
export const NVME_IOD_SIZE: number = DESCRIPTORS + 4 * NVME_MAX_NR_DESCRIPTORS;

struct_layout("nvme_iod", NVME_IOD_SIZE, [
  ["genctr", GENCTR, 4],
  ["status", STATUS, 4],
  ["retries", RETRIES, 4],
  ["prp1", PRP1, 4],
  ["prp2", PRP2, 4],
  ["nr_descriptors", NR_DESCRIPTORS, 4],
  ["small_descriptor", SMALL, 4],
  ["descriptors", DESCRIPTORS, 4 * NVME_MAX_NR_DESCRIPTORS],
]);

const ABORTED = -1;

const CID_TAG_MASK = 0xfff;
const CID_GENCTR_SHIFT = 12;
const CID_GENCTR_MASK = 0xf;

export function iod_of(rq: RequestPtr): IodPtr {
  return blk_mq_rq_to_pdu(rq) as IodPtr;
}

/** Starts a use of the tag: a new generation, nothing mapped. */
export function iod_begin(cpu: Cpu, iod: IodPtr): void {
  cpu.mem.write(iod + GENCTR, (cpu.mem.read(iod + GENCTR) + 1) & CID_GENCTR_MASK);
  cpu.mem.write(iod + STATUS, 0);
  cpu.mem.write(iod + NR_DESCRIPTORS, 0);
  cpu.mem.write(iod + PRP2, 0);
}

/** nvme_cid: generation and tag. A completion of an earlier use of the tag does not match. */
export function iod_cid(cpu: Cpu, iod: IodPtr, tag: number): number {
  return (cpu.mem.read(iod + GENCTR) << CID_GENCTR_SHIFT) | tag;
}
export function cid_tag(cid: number): number {
  return cid & CID_TAG_MASK;
}
export function cid_genctr(cid: number): number {
  return cid >> CID_GENCTR_SHIFT;
}
export function iod_genctr(cpu: Cpu, iod: IodPtr): number {
  return cpu.mem.read(iod + GENCTR);
}

export function iod_status(cpu: Cpu, iod: IodPtr): number {
  return cpu.mem.read(iod + STATUS);
}
export function iod_set_status(cpu: Cpu, iod: IodPtr, status: number): void {
  cpu.mem.write(iod + STATUS, status);
}
/** IOD_ABORTED: an Abort command has been sent for it. False when there was one before, or it has its status. */
export function iod_mark_aborted(cpu: Cpu, iod: IodPtr): boolean {
  return cpu.mem.compareExchange(iod + STATUS, 0, ABORTED) === 0;
}
export function iod_retries(cpu: Cpu, iod: IodPtr): number {
  return cpu.mem.read(iod + RETRIES);
}
export function iod_set_retries(cpu: Cpu, iod: IodPtr, retries: number): void {
  cpu.mem.write(iod + RETRIES, retries);
}
export function iod_prp1(cpu: Cpu, iod: IodPtr): number {
  return cpu.mem.read(iod + PRP1);
}
export function iod_prp2(cpu: Cpu, iod: IodPtr): number {
  return cpu.mem.read(iod + PRP2);
}
export function iod_set_prp1(cpu: Cpu, iod: IodPtr, prp1: number): void {
  cpu.mem.write(iod + PRP1, prp1);
}
export function iod_set_prp2(cpu: Cpu, iod: IodPtr, prp2: number): void {
  cpu.mem.write(iod + PRP2, prp2);
}

export function iod_nr_descriptors(cpu: Cpu, iod: IodPtr): number {
  return cpu.mem.read(iod + NR_DESCRIPTORS);
}
/** Address of PRP list `i`. */
export function iod_descriptor(cpu: Cpu, iod: IodPtr, i: number): number {
  return cpu.mem.read(iod + DESCRIPTORS + 4 * i);
}
export function iod_is_small(cpu: Cpu, iod: IodPtr): boolean {
  return cpu.mem.read(iod + SMALL) !== 0;
}
export function iod_add_descriptor(cpu: Cpu, iod: IodPtr, list: number, small: boolean): void {
  const nr = cpu.mem.read(iod + NR_DESCRIPTORS);
  cpu.mem.write(iod + SMALL, small ? 1 : 0);
  cpu.mem.write(iod + DESCRIPTORS + 4 * nr, list);
  cpu.mem.write(iod + NR_DESCRIPTORS, nr + 1);
}
export function iod_drop_descriptors(cpu: Cpu, iod: IodPtr): void {
  cpu.mem.write(iod + NR_DESCRIPTORS, 0);
}
