/**
 * Which direction comes next (fio io_u.c: get_rw_ddir). A mixed job draws a direction for each I/O; when it changes,
 * it stays with the new one until that has caught up with its share of what the other did, so that the mix holds over
 * time and not only on average.
 */
import { FioRandom, STREAM_MIX } from "./random.ts";
import { DDIR_READ, DDIR_TRIM, DDIR_WRITE, type FioTask } from "./task.ts";

export class DirectionMix {
  readonly #mixed: boolean;
  readonly #trimwrite: boolean;
  readonly #read_percent: number;
  readonly #random: FioRandom;
  readonly #only: number;
  #current: number = DDIR_READ;
  /** I/Os of the current direction before the next draw. */
  #upto: number = 0;
  #reads: number = 0;
  #writes: number = 0;

  constructor(task: FioTask) {
    const { ddirs, trimwrite } = task.options.rw;
    this.#mixed = ddirs[DDIR_READ] && ddirs[DDIR_WRITE];
    this.#trimwrite = trimwrite;
    this.#only = ddirs[DDIR_READ] ? DDIR_READ : ddirs[DDIR_WRITE] ? DDIR_WRITE : DDIR_TRIM;
    this.#read_percent = task.options.rwmixread;
    this.#random = new FioRandom(task.seed, STREAM_MIX);
    if (trimwrite) this.#current = DDIR_WRITE;
  }

  /** Both reads and writes happen. */
  get mixed(): boolean {
    return this.#mixed;
  }

  choose(): number {
    if (this.#trimwrite) {
      this.#current = this.#current === DDIR_TRIM ? DDIR_WRITE : DDIR_TRIM;
      return this.#current;
    }
    if (!this.#mixed) return this.#only;
    const done = this.#current === DDIR_READ ? this.#reads : this.#writes;
    if (done >= this.#upto) {
      const next =
        1 + Math.floor(100 * this.#random.fraction()) <= this.#read_percent ? DDIR_READ : DDIR_WRITE;
      if (next !== this.#current) this.#change(next, done);
    }
    return this.#current;
  }

  #change(next: number, done: number): void {
    const share = next === DDIR_READ ? this.#read_percent : 100 - this.#read_percent;
    this.#upto = (done * share) / 100;
    this.#current = next;
  }

  /** An I/O of this direction is on its way. */
  issued(ddir: number): void {
    if (ddir === DDIR_READ) this.#reads++;
    else if (ddir === DDIR_WRITE) this.#writes++;
  }
}
