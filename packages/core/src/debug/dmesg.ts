/**
 * The kernel log: fixed records in shared memory that any thread appends to and the host reads while the
 * machine runs. It never wraps: the first DMESG_RECORDS-1 records are the interesting ones, later ones are
 * counted only.
 *
 * Interface: printk appends; dmesg_read returns records from a position on. What runs for long on one machine
 * takes the records away with dmesg_clear while the machine is quiet.
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
  if (level >= LOG_WARN) cpu.platform.logged?.(level, text);
  write_record(cpu, cpu.mem.fetchAdd(cpu.map.dmesg + NEXT, 1), level, text);
}

/** Appends lines that stay together: the first with `level`, the others are information on it. */
export function printk_lines(cpu: Cpu, level: number, lines: readonly string[]): void {
  if (level >= LOG_WARN) cpu.platform.logged?.(level, lines.join("\n"));
  const first = cpu.mem.fetchAdd(cpu.map.dmesg + NEXT, lines.length);
  for (let i = 0; i < lines.length; i++) {
    write_record(cpu, first + i, i === 0 ? level : LOG_INFO, lines[i] as string);
  }
}

function write_record(cpu: Cpu, index: number, level: number, text: string): void {
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

/** The position of the next record: what is logged from here on has it or a higher one. */
export function dmesg_next(cpu: Cpu): number {
  return Math.min(cpu.mem.loadAcquire(cpu.map.dmesg + NEXT), DMESG_RECORDS - 1);
}

/** Empties the log. Nobody else may be logging: a record begun before would be half there. */
export function dmesg_clear(cpu: Cpu): void {
  const used = dmesg_next(cpu);
  for (let i = 0; i < used; i++) cpu.mem.write(cpu.map.dmesg + RECORDS + i * DMESG_RECORD_SIZE + READY, 0);
  // After the records: the next printk finds its own empty until it stores the level.
  cpu.mem.storeRelease(cpu.map.dmesg + NEXT, 0);
}
