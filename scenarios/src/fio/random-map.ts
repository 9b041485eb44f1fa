/**
 * The random map (fio lib/axmap.c): which blocks of a file have had their I/O, so that none has two before all have
 * had one. A bit for each block, and a level of bits above for words that are full, and so on: marking a block and
 * finding the next free one cost the depth of that tree, whatever the map's size and however full it is.
 */

const BITS = 32;
const FULL = -1;

export class RandomMap {
  readonly blocks: number;
  /** Level 0 is the blocks; a bit of level k+1 says that a word of level k is full. */
  readonly #levels: Int32Array[] = [];
  #left: number = 0;

  constructor(blocks: number) {
    this.blocks = blocks;
    for (let bits = blocks; this.#levels.length === 0 || bits > 1; ) {
      bits = Math.ceil(bits / BITS);
      this.#levels.push(new Int32Array(bits));
    }
    this.forget_all();
  }

  /** Blocks not marked yet. */
  get left(): number {
    return this.#left;
  }

  /** No block has had an I/O. */
  forget_all(): void {
    let bits = this.blocks;
    for (const words of this.#levels) {
      words.fill(0);
      // What lies past the end is never free.
      if (bits % BITS !== 0) words[words.length - 1] = FULL << (bits % BITS);
      bits = words.length;
    }
    this.#left = this.blocks;
  }

  is_marked(block: number): boolean {
    return (((this.#levels[0] as Int32Array)[block >> 5] as number) & (1 << (block & 31))) !== 0;
  }

  /** Marks a block that is free. */
  mark(block: number): void {
    this.#left--;
    let at = block;
    for (const words of this.#levels) {
      const word = (words[at >> 5] as number) | (1 << (at & 31));
      words[at >> 5] = word;
      if (word !== FULL) return;
      at >>= 5;
    }
  }

  /** The first free block from `block` on, and then from 0 on; -1 when there is none. */
  next_free(block: number): number {
    if (this.#left === 0) return -1;
    const found = this.#search(block);
    return found >= 0 ? found : this.#search(0);
  }

  #search(from: number): number {
    let at = from;
    for (let level = 0; level < this.#levels.length; level++) {
      const words = this.#levels[level] as Int32Array;
      const index = at >> 5;
      if (index >= words.length) return -1;
      const free = ~(words[index] as number) & (FULL << (at & 31));
      if (free !== 0) return this.#descend(level, index * BITS + lowest_bit(free));
      // Nothing here: go on behind this word, one level up.
      at = index + 1;
    }
    return -1;
  }

  #descend(level: number, at: number): number {
    let index = at;
    for (let below = level - 1; below >= 0; below--) {
      index = index * BITS + lowest_bit(~((this.#levels[below] as Int32Array)[index] as number));
    }
    return index;
  }
}

function lowest_bit(word: number): number {
  return 31 - Math.clz32(word & -word);
}
