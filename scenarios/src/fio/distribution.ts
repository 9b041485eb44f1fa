/**
 * random_distribution: which block comes next (fio lib/zipf.c, lib/gauss.c, and the zones of io_u.c).
 *
 * Zipf after Gray et al., "Quickly generating billion-record synthetic databases", 1994; Pareto with fio's exponent
 * log(h) / log(1-h): h = 0.2 sends 80 % of the I/Os to 20 % of the blocks. What these and the normal distribution
 * prefer is scattered over the region, as fio does; `center` says where the most frequent block of zipf and pareto
 * lies, and turns the normal one.
 *
 * The scatter is a permutation: rank times a step that shares no factor with the number of blocks. For powers of two
 * the step is fio's (GOLDEN_RATIO_64, the product modulo the number of blocks). For other numbers fio's is no
 * permutation (it hits 13 of 100 blocks, 308 of 1,000); there the step is next to the golden section of the region.
 */
import type { FioRandom } from "./random.ts";
import type { FioDistribution } from "./task.ts";

const RANDOM = 0;
const ZIPF = 1;
const PARETO = 2;
const NORMAL = 3;
const ZONED = 4;

/** Terms of the zeta sum beyond which fio stops adding. */
const ZETA_TERMS_MAX = 10_000_000;
/** Uniform numbers whose mean is normal enough: its deviation is a twelfth of their range. */
const UNIFORMS = 12;
/** GOLDEN_RATIO_64, the low half: all that counts modulo a power of two up to 2^32. */
const GOLDEN_LOW = 0x80b583eb;
const GOLDEN_SECTION = (Math.sqrt(5) - 1) / 2;

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
  /** From one rank to the next. Blocks. */
  readonly #step: number;
  /** Where rank 0 of the distribution lies. */
  readonly #shift: number;
  #theta: number = 0;
  #zetan: number = 0;
  #alpha: number = 0;
  #eta: number = 0;
  #power: number = 0;
  /** Of the uniform number that the normal distribution adds. Blocks. */
  #width: number = 0;
  #zones: readonly Zone[] = [];

  /** Blocks of `block_bytes`; `blocks` 1 ... 2^32. */
  constructor(distribution: FioDistribution, blocks: number, block_bytes: number, random: FioRandom) {
    this.#blocks = blocks;
    this.#random = random;
    this.#step = scatter_step(blocks);
    const center = "center" in distribution ? distribution.center : undefined;
    // The normal distribution is in its middle already.
    const start = distribution.kind === "normal" ? (center ?? 0.5) + 0.5 : center;
    this.#shift = start === undefined ? random.uniform(blocks) : Math.floor(start * blocks) % blocks;
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
        this.#width = Math.min(Math.ceil((blocks * distribution.deviation) / 100), Math.floor(blocks / 2));
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
        return this.#place(this.#normal_rank());
      default:
        return this.#zoned_block();
    }
  }

  /** rank * step modulo blocks, in halves of the rank: products stay below 2^53. */
  #place(rank: number): number {
    const blocks = this.#blocks;
    const step = this.#step;
    const high = (((rank >>> 16) * step) % blocks) * 0x10000;
    return (high + (rank & 0xffff) * step + this.#shift) % blocks;
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

  /** The mean of uniform blocks, and a uniform number of `width` around it, halved until it stays in the region. */
  #normal_rank(): number {
    const blocks = this.#blocks;
    const width = this.#width;
    let sum = 0;
    for (let i = 0; i < UNIFORMS; i++) sum += this.#random.uniform(blocks + 1);
    const mean = Math.ceil(sum / UNIFORMS);
    if (width === 0) return mean % blocks;
    let beside = this.#random.uniform(width) - Math.floor(width / 2);
    while (beside !== 0 && (mean + beside < 0 || mean + beside >= blocks)) beside = Math.trunc(beside / 2);
    return (mean + beside) % blocks;
  }

  #zoned_block(): number {
    const where = this.#random.fraction();
    let i = 0;
    while (i < this.#zones.length - 1 && where >= (this.#zones[i] as Zone).upto) i++;
    const zone = this.#zones[i] as Zone;
    return Math.min(zone.first + this.#random.uniform(zone.blocks), this.#blocks - 1);
  }
}

/** Shares no factor with `blocks`, so that its multiples modulo `blocks` are all of them. */
function scatter_step(blocks: number): number {
  if ((blocks & (blocks - 1)) === 0) return GOLDEN_LOW % blocks;
  let step = Math.round(blocks * GOLDEN_SECTION);
  while (common_divisor(blocks, step) !== 1) step++;
  return step;
}

function common_divisor(a: number, b: number): number {
  return b === 0 ? a : common_divisor(b, a % b);
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
