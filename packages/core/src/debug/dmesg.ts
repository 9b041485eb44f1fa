/**
 * The kernel log: fixed records in shared memory that any thread appends to and the host reads while the
 * machine runs. It never wraps: the first DMESG_RECORDS-1 records are the interesting ones, later ones are
 * counted only.
 *
 * Interface: printk appends; dmesg_read returns records from a position on.
 */
import { DMESG_RECORD_SIZE, DMESG_RECORDS } from "../mm/memory-map.ts";
import type { Cpu } from "../sched/cpu.ts";
import { read_text, write_text } from "./site.ts";

/** What a record is about; the report sorts by it. */
export const LOG_INFO = 1;
export const LOG_WARN = 2;
export const LOG_BUG = 3;
/** An invariant of the emulated protocol was broken (design: what is always checked). */
export const LOG_VIOLATION = 4;

const NEXT = 0;
const RECORDS = 128;
/** Record: READY is the level and is stored last. */
const READY = 0;
const CPU_ID = 4;
const TIME_MS = 8;
const TEXT = 12;
const TEXT_MAX = DMESG_RECORD_SIZE - TEXT - 4;

export interface LogRecord {
  readonly level: number;
  readonly cpu: number;
  /** Milliseconds since the machine's epoch, whole. */
  readonly time: number;
  readonly text: string;
}

export function printk(cpu: Cpu, level: number, text: string): void {
  const index = cpu.mem.fetchAdd(cpu.map.dmesg + NEXT, 1);
  if (index >= DMESG_RECORDS - 1) return;
  const record = cpu.map.dmesg + RECORDS + index * DMESG_RECORD_SIZE;
  cpu.mem.write(record + CPU_ID, cpu.id);
  cpu.mem.write(record + TIME_MS, cpu.now());
  write_text(cpu, record + TEXT, text, TEXT_MAX);
  // Pairs with the loadAcquire in dmesg_read: a reader that sees the level sees the whole text.
  cpu.mem.storeRelease(record + READY, level);
}

/** Records from index `from` that are complete. */
export function dmesg_read(cpu: Cpu, from: number): LogRecord[] {
  const found: LogRecord[] = [];
  for (let index = from; index < DMESG_RECORDS - 1; index++) {
    const record = cpu.map.dmesg + RECORDS + index * DMESG_RECORD_SIZE;
    const level = cpu.mem.loadAcquire(record + READY);
    if (level === 0) break;
    found.push({
      level,
      cpu: cpu.mem.read(record + CPU_ID),
      time: cpu.mem.read(record + TIME_MS),
      text: read_text(cpu, record + TEXT),
    });
  }
  return found;
}
