/**
 * Mutes: races that are meant. Two narrow ways to say so, as KCSAN has them: a site marked data_race() races with
 * nobody; a prefix of file names is benign where *both* accesses stand in it.
 */
import { type Site, siteCount, siteOf } from "../runtime.ts";

export interface MuteOptions {
  /** Sites whose races are meant, whatever the other access is: data_race() of the kernel. */
  readonly dataRace?: (site: Site) => boolean;
  /** Prefixes of file names, relative to the root: no reports where both accesses are in one of them. */
  readonly benign?: readonly string[];
}

export class Mutes {
  private readonly dataRace: ((site: Site) => boolean) | undefined;
  private readonly benign: readonly string[];
  private flags: Uint8Array = new Uint8Array(0);

  constructor(options: MuteOptions) {
    this.dataRace = options.dataRace;
    this.benign = options.benign ?? [];
  }

  isDataRace(site: number): boolean {
    if (this.dataRace === undefined) return false;
    if (site >= this.flags.length) this.note(this.dataRace);
    return this.flags[site] === 1;
  }

  private note(isMeant: (site: Site) => boolean): void {
    this.flags = new Uint8Array(siteCount());
    for (let id = 1; id < this.flags.length; id++) this.flags[id] = isMeant(siteOf(id)) ? 1 : 0;
  }

  isBenign(site: number, other: number): boolean {
    return this.benign.some(
      (prefix) => siteOf(site).file.startsWith(prefix) && siteOf(other).file.startsWith(prefix),
    );
  }
}
