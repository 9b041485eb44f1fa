/**
 * Stamped sectors: every 512-byte sector says which LBA and generation it is and carries a CRC-32C, so a
 * lost, misplaced, stale or torn transfer shows on the next read.
 *
 *   0 magic   4 LBA   8 generation   12 task   16 ... 507 filler byte   508 CRC-32C of bytes 0 ... 507
 *
 * A sector never written is all zero: generation 0.
 */
import type { Cpu } from "@ringside/core/sched/cpu";

export const SECTOR_SIZE = 512;
const MAGIC_WORD = 0x52494e47;

const MAGIC = 0;
const LBA = 4;
const GENERATION = 8;
const TASK = 12;
const FILLER = 16;
const CRC = 508;

/** Writes the stamp of `lba` at `p`. Generation 1 ... 2^31-1. */
export function stamp_sector(cpu: Cpu, p: number, lba: number, generation: number, task: number): void {
  cpu.mem.write(p + MAGIC, MAGIC_WORD);
  cpu.mem.write(p + LBA, lba);
  cpu.mem.write(p + GENERATION, generation);
  cpu.mem.write(p + TASK, task);
  cpu.mem.memset(p + FILLER, (lba ^ generation) & 0xff, CRC - FILLER);
  cpu.mem.write(p + CRC, cpu.mem.crc32c(p, CRC));
}

/** True when the sector at `p` is exactly generation `generation` of `lba` (0: never written). */
export function verify_sector(cpu: Cpu, p: number, lba: number, generation: number): boolean {
  if (generation === 0) return cpu.mem.read(p + MAGIC) === 0 && cpu.mem.read(p + CRC) === 0;
  return (
    cpu.mem.read(p + MAGIC) === MAGIC_WORD &&
    cpu.mem.read(p + LBA) === lba &&
    cpu.mem.read(p + GENERATION) === generation &&
    cpu.mem.read(p + CRC) === (cpu.mem.crc32c(p, CRC) | 0)
  );
}

/** What a sector claims to be, for a report. */
export function describe_sector(cpu: Cpu, p: number): string {
  const magic = (cpu.mem.read(p + MAGIC) >>> 0).toString(16);
  const crc = cpu.mem.read(p + CRC) === (cpu.mem.crc32c(p, CRC) | 0) ? "good" : "bad";
  const lba = cpu.mem.read(p + LBA);
  const generation = cpu.mem.read(p + GENERATION);
  return `magic ${magic} LBA ${lba} generation ${generation} task ${cpu.mem.read(p + TASK)} CRC ${crc}`;
}
