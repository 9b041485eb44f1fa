/**
 * random_distribution: which block comes next (fio lib/zipf.c, lib/gauss.c, and the zones of io_u.c).
 *
 * Zipf after Gray et al., "Quickly generating billion-record synthetic databases", 1994; Pareto with fio's exponent
 * log(h) / log(1-h): h = 0.2 sends 80 % of the I/Os to 20 % of the blocks. What these and the normal distribution
 * prefer is scattered over the region, as fio does, unless `center` says where it is to be.
 */
import { type FioRandom, scatter } from "./random.ts";
import type { FioDistribution } from "./task.ts";

const RANDOM = 0;
const ZIPF = 1;
const PARETO = 2;
const NORMAL = 3;
const ZONED = 4;

/** Terms of the zeta sum beyond which fio stops adding. */
const ZETA_TERMS_MAX = 10_000_000;
/** Uniform numbers whose sum is normal enough: their variance is one. */
const UNIFORMS = 12;

interface Zone {
  /** Share of the I/Os up to and with this zone: 0 ... 1. */
  readonly upto: number;
  readonly first: number;
  readonly blocks: number;
}

export class BlockSampler {
  readonly #kind: number;
  readonly #blocks: number;
  readonly #random: FioRandom;
  readonly #scattered: boolean;
  /** Where block 0 of the distribution lies. */
  readonly #shift: number;
  #theta: number = 0;
  #zetan: number = 0;
  #alpha: number = 0;
  #eta: number = 0;
  #power: number = 0;
  #deviation: number = 0;
  #zones: readonly Zone[] = [];

  /** Blocks of `block_bytes`; `blocks` at least 1. */
  constructor(distribution: FioDistribution, blocks: number, block_bytes: number, random: FioRandom) {
    this.#blocks = blocks;
    this.#random = random;
    const center = "center" in distribution ? distribution.center : undefined;
    this.#scattered = center === undefined;
    this.#shift = center === undefined ? random.uniform(blocks) : Math.floor(center * blocks) % blocks;
    switch (distribution.kind) {
      case "zipf":
        this.#kind = ZIPF;
        this.#zipf(distribution.theta);
        break;
      case "pareto":
        this.#kind = PARETO;
        this.#power = Math.log(distribution.h) / Math.log(1 - distribution.h);
        break;
      case "normal":
        this.#kind = NORMAL;
        this.#deviation = (blocks * distribution.deviation) / 100;
        break;
      case "zoned":
      case "zoned_abs":
        this.#kind = ZONED;
        this.#zones = zone_table(distribution, blocks, block_bytes);
        break;
      case "random":
        this.#kind = RANDOM;
        break;
    }
  }

  #zipf(theta: number): void {
    const terms = Math.min(this.#blocks, ZETA_TERMS_MAX);
    let zetan = 0;
    for (let i = 1; i <= terms; i++) zetan += (1 / i) ** theta;
    const zeta2 = 1 + 0.5 ** theta;
    this.#theta = theta;
    this.#zetan = zetan;
    this.#alpha = 1 / (1 - theta);
    this.#eta = (1 - (2 / this.#blocks) ** (1 - theta)) / (1 - zeta2 / zetan);
  }

  /** The next block: 0 ... blocks-1. */
  sample(): number {
    switch (this.#kind) {
      case RANDOM:
        return this.#random.uniform(this.#blocks);
      case ZIPF:
        return this.#place(this.#zipf_rank());
      case PARETO:
        return this.#place(Math.floor((this.#blocks - 1) * this.#random.fraction() ** this.#power));
      case NORMAL:
        return this.#place(this.#normal_block());
      default:
        return this.#zoned_block();
    }
  }

  #place(rank: number): number {
    return ((this.#scattered ? scatter(rank) : rank) + this.#shift) % this.#blocks;
  }

  /** 0 is the most frequent one. */
  #zipf_rank(): number {
    const uniform = this.#random.fraction();
    const z = uniform * this.#zetan;
    if (z < 1 || this.#blocks === 1) return 0;
    if (z < 1 + 0.5 ** this.#theta) return 1;
    const rank = Math.floor(this.#blocks * (this.#eta * uniform - this.#eta + 1) ** this.#alpha);
    return Math.min(rank, this.#blocks - 1);
  }

  #normal_block(): number {
    for (let tries = 0; tries < 100; tries++) {
      let sum = -UNIFORMS / 2;
      for (let i = 0; i < UNIFORMS; i++) sum += this.#random.fraction();
      const block = Math.floor(this.#blocks / 2 + sum * this.#deviation);
      if (block >= 0 && block < this.#blocks) return block;
    }
    return this.#random.uniform(this.#blocks);
  }

  #zoned_block(): number {
    const where = this.#random.fraction();
    let i = 0;
    while (i < this.#zones.length - 1 && where >= (this.#zones[i] as Zone).upto) i++;
    const zone = this.#zones[i] as Zone;
    return Math.min(zone.first + this.#random.uniform(zone.blocks), this.#blocks - 1);
  }
}

function zone_table(
  distribution: FioDistribution & { readonly kind: "zoned" | "zoned_abs" },
  blocks: number,
  block_bytes: number,
): readonly Zone[] {
  const zones: Zone[] = [];
  let share = 0;
  let first = 0;
  let sum = 0;
  for (const row of distribution.zones) sum += row.percent;
  for (const row of distribution.zones) {
    const size = distribution.kind === "zoned" ? (blocks * row.size) / 100 : row.size / block_bytes;
    const end = Math.min(blocks, Math.round(first + size));
    share += sum === 0 ? 0 : row.percent / sum;
    zones.push({ upto: share, first: Math.min(first, blocks - 1), blocks: Math.max(1, end - first) });
    first = end;
  }
  return zones.length > 0 ? zones : [{ upto: 1, first: 0, blocks }];
}
