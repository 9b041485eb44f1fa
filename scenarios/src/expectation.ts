/**
 * What one task expects on its share of the disk: the generation last written to each block, and which
 * blocks have I/O in flight. Private to the task: no two tasks share blocks.
 */
import type { Cpu } from "@ringside/core/sched/cpu";

export class Expectation {
  /** First LBA of the share. */
  readonly first: number;
  readonly blocks: number;
  readonly sectorsPerBlock: number;
  // private: one task's book
  readonly generation: Uint32Array;
  // private: one task's book
  readonly busy: Uint8Array;

  constructor(first: number, blocks: number, sectorsPerBlock: number) {
    this.first = first;
    this.blocks = blocks;
    this.sectorsPerBlock = sectorsPerBlock;
    this.generation = new Uint32Array(blocks); // private: one task's book
    this.busy = new Uint8Array(blocks); // private: one task's book
  }

  /** LBA of a block's first sector. */
  lba(block: number): number {
    return this.first + block * this.sectorsPerBlock;
  }
}

/** A random block without I/O in flight, now marked busy. Fewer I/Os in flight than blocks: it ends. */
export function take_block(cpu: Cpu, book: Expectation): number {
  let block = cpu.random32() % book.blocks;
  while (book.busy[block] !== 0) block = (block + 1) % book.blocks;
  book.busy[block] = 1;
  return block;
}
