/**
 * struct kiocb (include/linux/fs.h): one read or write in progress on a file.
 *
 * Interface: init_kiocb, then the file's read_iter or write_iter. When that returned -EIOCBQUEUED,
 * ki_complete(cpu, kiocb, res) is called exactly once, perhaps before the return and perhaps in interrupt
 * context; do not touch the kiocb after it. ki_complete 0 makes the call synchronous.
 */
import type { Ptr } from "atomics-sync";
import { symbol_call, type SymbolId } from "../debug/image.ts";
import { struct_layout } from "../debug/layout.ts";
import type { Cpu } from "../sched/cpu.ts";
import { file_flags, type FilePtr, O_DIRECT } from "./file.ts";

export type KiocbPtr = Ptr<"kiocb">;

// Set by init_kiocb and the submitter; the callee owns them until ki_complete.
const KI_FILP = 0;
const KI_FLAGS = 4;
const KI_POS = 8;
const KI_COMPLETE = 16;
/** The file's own; block devices note where to poll. */
const PRIVATE = 20;
export const KIOCB_SIZE = 24;

struct_layout("kiocb", KIOCB_SIZE, [
  ["ki_filp", KI_FILP, 4],
  ["ki_flags", KI_FLAGS, 4],
  ["ki_pos", KI_POS, 8],
  ["ki_complete", KI_COMPLETE, 4],
  ["private", PRIVATE, 4],
]);

/** ki_flags, the values of Linux. */
export const IOCB_HIPRI: number = 1 << 0;
export const IOCB_DSYNC: number = 1 << 1;
export const IOCB_NOWAIT: number = 1 << 3;
export const IOCB_DIRECT: number = 1 << 17;
export const IOCB_WRITE: number = 1 << 18;
const FILE_DIRECT = O_DIRECT;
const DIRECT = IOCB_DIRECT;

export function init_kiocb(
  cpu: Cpu,
  kiocb: KiocbPtr,
  file: FilePtr,
  pos: number,
  flags: number,
  ki_complete: SymbolId,
): void {
  const mem = cpu.mem;
  const direct = (file_flags(cpu, file) & FILE_DIRECT) !== 0 ? DIRECT : 0;
  mem.write(kiocb + KI_FILP, file);
  mem.write(kiocb + KI_FLAGS, flags | direct);
  mem.write64(kiocb + KI_POS, pos);
  mem.write(kiocb + KI_COMPLETE, ki_complete);
  mem.write(kiocb + PRIVATE, 0);
}

export function kiocb_file(cpu: Cpu, kiocb: KiocbPtr): FilePtr {
  return cpu.mem.read(kiocb + KI_FILP) as FilePtr;
}
export function kiocb_flags(cpu: Cpu, kiocb: KiocbPtr): number {
  return cpu.mem.read(kiocb + KI_FLAGS);
}
export function kiocb_pos(cpu: Cpu, kiocb: KiocbPtr): number {
  return cpu.mem.read64(kiocb + KI_POS);
}
/** Moves the position `bytes` on. */
export function kiocb_advance(cpu: Cpu, kiocb: KiocbPtr, bytes: number): void {
  const low = cpu.mem.read(kiocb + KI_POS);
  // Below 2^31, plus less than 2^31: no carry into the high word.
  if (low >= 0) cpu.mem.write(kiocb + KI_POS, low + bytes);
  else cpu.mem.write64(kiocb + KI_POS, cpu.mem.read64(kiocb + KI_POS) + bytes);
}

/** Written by the submitter, read by iopoll, perhaps on another CPU. */
export function kiocb_private(cpu: Cpu, kiocb: KiocbPtr): number {
  return cpu.mem.readOnce(kiocb + PRIVATE);
}
export function kiocb_set_private(cpu: Cpu, kiocb: KiocbPtr, value: number): void {
  cpu.mem.writeOnce(kiocb + PRIVATE, value);
}

export function is_sync_kiocb(cpu: Cpu, kiocb: KiocbPtr): boolean {
  return cpu.mem.read(kiocb + KI_COMPLETE) === 0;
}

/** Tells the submitter: `res` is the byte count or -errno. The kiocb is his again. */
export function ki_complete(cpu: Cpu, kiocb: KiocbPtr, res: number): void {
  symbol_call(cpu, cpu.mem.read(kiocb + KI_COMPLETE), kiocb, res);
}
