/**
 * struct bio_vec (include/linux/bvec.h): a run of bytes that starts in a page. bv_page is the address of the
 * page; the run may go on into the pages that follow it in memory.
 */
import type { Ptr } from "atomics-sync";
import { struct_layout } from "../debug/layout.ts";
import type { Cpu } from "../sched/cpu.ts";

export type BioVecPtr = Ptr<"bio_vec">;

// Owned by whoever built the vector; constant while an iterator or a bio points to it.
const BV_PAGE = 0;
const BV_LEN = 4;
const BV_OFFSET = 8;
export const BIO_VEC_SIZE = 12;

struct_layout("bio_vec", BIO_VEC_SIZE, [
  ["bv_page", BV_PAGE, 4],
  ["bv_len", BV_LEN, 4],
  ["bv_offset", BV_OFFSET, 4],
]);

export function bvec_set_page(cpu: Cpu, bv: BioVecPtr, page: number, len: number, offset: number): void {
  cpu.mem.write(bv + BV_PAGE, page);
  cpu.mem.write(bv + BV_LEN, len);
  cpu.mem.write(bv + BV_OFFSET, offset);
}

export function bvec_page(cpu: Cpu, bv: BioVecPtr): number {
  return cpu.mem.read(bv + BV_PAGE);
}
export function bvec_len(cpu: Cpu, bv: BioVecPtr): number {
  return cpu.mem.read(bv + BV_LEN);
}
export function bvec_offset(cpu: Cpu, bv: BioVecPtr): number {
  return cpu.mem.read(bv + BV_OFFSET);
}

/** Address of the first byte (bvec_virt). */
export function bvec_virt(cpu: Cpu, bv: BioVecPtr): number {
  return cpu.mem.read(bv + BV_PAGE) + cpu.mem.read(bv + BV_OFFSET);
}
