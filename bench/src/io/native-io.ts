/**
 * The peers in C of the I/O benches: this machine's io_uring (peers/uring.c) and bare copies (peers/memcpy.c), and
 * the files they work on.
 */
import { randomFillSync } from "node:crypto";
import { mkdtemp, open, rm, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Missing, Subject } from "../bench.ts";
import { nativePeer, nativeProgram, type NativeProgram } from "../peers.ts";

/** Ways to set up a ring that has file and ring registered; the words are those of peers/uring.c. */
const SETTINGS = ["defer", "coop", "plain"] as const;
/** Neither registered, no flags. */
const SAME = "same";

const URING = { source: "uring.c", libraries: ["uring"] } as const;
/** What a machine that forbids io_uring refuses. */
const PROBE: readonly string[] = ["nop", SAME, "1", "1"];

const TMPFS_MAGIC = 0x01021994;
const SHM = "/dev/shm";
const CHUNK = 1 << 20;

export interface UringJob {
  readonly op: "nop" | "read" | "write";
  readonly depth: number;
  /** As bench-io's: waited for, reaped and submitted at a time. */
  readonly batch: number;
  readonly bs?: number;
  readonly file?: ScratchFile;
}

async function uringArgs(setting: string, { op, depth, batch, bs, file }: UringJob): Promise<string[]> {
  const place = bs === undefined || file === undefined ? [] : [String(bs), await file.path()];
  return [op, setting, String(depth), String(batch), ...place];
}

async function uring(
  name: string,
  { file }: UringJob,
  warm: boolean,
  measure: (program: NativeProgram, ms: number) => Promise<number>,
): Promise<Subject | Missing> {
  const program = await nativeProgram(URING, PROBE);
  if (typeof program === "string") return { name, missing: program };
  file?.hold();
  return {
    name,
    warm,
    measure: async (ms) => await measure(program, ms),
    close: async () => {
      program.stop();
      await file?.letGo();
    },
  };
}

/** The calls that ours makes: the buffer is registered, file and ring are not. */
export async function uringSameCalls(name: string, job: UringJob): Promise<Subject | Missing> {
  return await uring(name, job, true, async (program, ms) => {
    return await program.run(await uringArgs(SAME, job), ms);
  });
}

/** Everything registered. The first run, the warm-up, tries the flags there are; the others keep the best. */
export async function uringBest(name: string, job: UringJob): Promise<Subject | Missing> {
  let best: readonly string[] | undefined;
  return await uring(name, job, false, async (program, ms) => {
    if (best !== undefined) return await program.run(best, ms);
    let most = 0;
    let refusal: unknown;
    for (const setting of SETTINGS) {
      const args = await uringArgs(setting, job);
      try {
        const figure = await program.run(args, ms / SETTINGS.length);
        if (figure > most) [most, best] = [figure, args];
      } catch (error) {
        // Flags that this kernel does not have.
        refusal = error;
      }
    }
    if (best === undefined) throw refusal;
    return most;
  });
}

/** Copies of random blocks of a region of `bytes`. */
export async function memcpyLimit(
  name: string,
  job: { op: "read" | "write"; bytes: number; bs: number; depth: number },
): Promise<Subject | Missing> {
  const args = [job.op, String(job.bytes), String(job.bs), String(job.depth)];
  return await nativePeer({ name, source: "memcpy.c", args });
}

/**
 * A file of random bytes for peers to read and write. It is written when first asked for, and has no name from then
 * on but one of this process's descriptors, so that nothing is left behind however this process ends.
 */
export class ScratchFile {
  readonly #bytes: number;
  readonly #directory: () => Promise<string>;
  #file: ReturnType<typeof unnamedFile> | undefined;
  #holders = 0;

  /** `directory` throws when there is none. */
  constructor(bytes: number, directory: (bytes: number) => Promise<string>) {
    this.#bytes = bytes;
    this.#directory = async () => await directory(bytes);
  }

  async path(): Promise<string> {
    this.#file ??= unnamedFile(this.#directory, this.#bytes);
    return `/proc/${process.pid}/fd/${(await this.#file).fd}`;
  }

  hold(): void {
    this.#holders++;
  }

  /** The last one gives the memory back. */
  async letGo(): Promise<void> {
    this.#holders--;
    const file = this.#holders > 0 ? undefined : await this.#file?.catch(() => undefined);
    await file?.close();
  }
}

async function unnamedFile(
  directory: () => Promise<string>,
  bytes: number,
): Promise<Awaited<ReturnType<typeof open>>> {
  const home = await mkdtemp(join(await directory(), "ringside-bench-"));
  let file;
  try {
    file = await open(join(home, "namespace"), "wx+");
  } finally {
    // The open file stays; its name goes, so that nothing is left when the process is killed.
    await rm(home, { recursive: true, force: true });
  }
  const chunk = Buffer.alloc(CHUNK);
  for (let at = 0; at < bytes; at += CHUNK) {
    await file.write(randomFillSync(chunk), 0, Math.min(CHUNK, bytes - at));
  }
  return file;
}

/** On a disk's file system. */
export async function diskDirectory(): Promise<string> {
  const cache = fileURLToPath(new URL("../../../node_modules/.cache/", import.meta.url));
  for (const directory of [tmpdir(), cache]) {
    const found = await statfs(directory).catch(() => undefined);
    if (found !== undefined && found.type !== TMPFS_MAGIC) return directory;
  }
  throw new Error("no directory for temporary files is on a disk");
}

export async function tmpfsDirectory(bytes: number): Promise<string> {
  const found = await statfs(SHM).catch(() => undefined);
  if (found?.type !== TMPFS_MAGIC) throw new Error(`${SHM} is not a tmpfs`);
  if (found.bavail * found.bsize < bytes) throw new Error(`${SHM} has less than ${bytes} bytes free`);
  return SHM;
}
