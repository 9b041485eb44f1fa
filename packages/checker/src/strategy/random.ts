/** A seeded source of random numbers, and the random walk: every enabled thread is as likely as any other. */
import type { Execution } from "../execution.ts";
import type { Strategy } from "../strategy.ts";

/** sfc32, small and fast; equal seeds give equal streams on every machine. */
export class Random {
  private a: number = 0;
  private b: number = 0;
  private c: number = 0;
  private d: number = 1;

  constructor(seed: number, stream: number = 0) {
    this.seed(seed, stream);
  }

  /** Starts stream number `stream` of `seed`: any execution can be had alone. */
  seed(seed: number, stream: number): void {
    this.a = seed | 0;
    this.b = Math.imul(stream + 1, 0x9e3779b1);
    this.c = Math.imul(seed ^ (stream << 7), 0x85ebca6b);
    this.d = 1;
    for (let i = 0; i < 12; i++) this.next();
  }

  /** 0 ... 2^32-1. */
  next(): number {
    const t = (this.a + this.b + this.d) | 0;
    this.d = (this.d + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = ((this.c << 21) | (this.c >>> 11)) + t;
    return t >>> 0;
  }

  /** 0 ... n-1. */
  below(n: number): number {
    return Math.floor((this.next() / 4294967296) * n);
  }

  /** 0 <= u < 1. */
  unit(): number {
    return this.next() / 4294967296;
  }
}

export class RandomWalk implements Strategy {
  readonly name: string = "random";
  private readonly seed: number;
  private readonly random: Random;

  constructor(seed: number) {
    this.seed = seed;
    this.random = new Random(seed);
  }

  begin(_execution: Execution, index: number): boolean {
    this.random.seed(this.seed, index);
    return true;
  }
  pick(execution: Execution): number {
    return execution.enabled[this.random.below(execution.enabledCount)] as number;
  }
  choose(_execution: Execution, n: number): number {
    return this.random.below(n);
  }
  end(): void {}
}
