/**
 * Peers in C: small programs of bench/peers, built when this machine has what they need.
 *
 * A program's contract: `PROGRAM ARGUMENTS… MS` runs for about MS milliseconds, prints one number (its figure)
 * on stdout and exits with 0. Exit 77 says that this machine cannot run it; the reason is on stderr. Anything
 * else is an error. What cannot be built or run is a `Missing` with the reason, never an exception.
 *
 * Interface: `await nativePeer({ name, source: "percpu.c", args: ["atomic"], libraries: ["pthread"] })`; for arguments
 * that are not known before it is measured, `await nativeProgram(...)`. Closing a peer kills the run it is in.
 */
import { type ChildProcess, execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import type { Missing, Subject } from "./bench.ts";

/** Libraries that a peer may link, and what to install when their header is not there. */
const LIBRARIES = {
  pthread: { flag: "-pthread", header: "pthread.h", install: "libc6-dev is not installed" },
  uring: { flag: "-luring", header: "liburing.h", install: "liburing-dev is not installed" },
} as const;

/** The package, from its sources or from dist/src. */
const PACKAGE = new URL(import.meta.url.endsWith(".ts") ? "../" : "../../", import.meta.url);
const SOURCES = new URL("peers/", PACKAGE);
const CACHE = new URL("../node_modules/.cache/ringside-peers/", PACKAGE);
const OPTIMISE = "-O2";
const COMPILE_TIMEOUT_MS = 60_000;
/** What a run may take beyond the time it was asked for: setting up files of a GiB is part of it. */
const RUN_SLACK_MS = 60_000;
const PROBE_MS = 1;
const EXIT_SKIP = 77;

/** What is built. */
export interface NativeSource {
  /** A file of bench/peers. */
  readonly source: string;
  readonly libraries?: readonly (keyof typeof LIBRARIES)[];
  /** The compiler; default $CC, or cc. */
  readonly compiler?: string;
}

export interface NativePeer extends NativeSource {
  /** In the report. */
  readonly name: string;
  /** Before the milliseconds. */
  readonly args?: readonly string[];
}

/** A program that was built here. */
export interface NativeProgram {
  /** One run: its figure. `args` stand before the milliseconds. */
  run(args: readonly string[], ms: number): Promise<number>;
  /** Kills what runs. */
  stop(): void;
}

/** The peer, ready to run; it has run once for a moment, so what this machine forbids shows here. */
export async function nativePeer({ name, args = [], ...source }: NativePeer): Promise<Subject | Missing> {
  const program = await nativeProgram(source, args);
  if (typeof program === "string") return { name, missing: program };
  return {
    name,
    warm: true,
    measure: async (ms) => await program.run(args, ms),
    close: () => Promise.resolve(program.stop()),
  };
}

/** The program, tried for a moment with the arguments `probe`; or why there is none, in words. */
export async function nativeProgram(
  source: NativeSource,
  probe: readonly string[],
): Promise<NativeProgram | string> {
  try {
    const file = await build(source);
    const children = new Set<ChildProcess>();
    const run = async (args: readonly string[], ms: number): Promise<number> =>
      await figure(file, args, ms, children);
    await run(probe, PROBE_MS);
    return { run, stop: () => children.forEach((child) => child.kill("SIGKILL")) };
  } catch (error) {
    if (error instanceof Unavailable) return error.message;
    throw error;
  }
}

/** First line of `cc --version`, and what it is told; null without a compiler. */
export async function compilerLine(): Promise<string | null> {
  const { status, stdout } = await run(compilerName(), ["--version"], COMPILE_TIMEOUT_MS);
  return status === 0 ? `${stdout.split("\n")[0]?.trim() ?? ""} ${OPTIMISE}` : null;
}

function compilerName(): string {
  return process.env["CC"] ?? "cc";
}

/** Why a peer cannot be had on this machine. */
class Unavailable extends Error {}

interface Ended {
  /** Exit status, or why there is none: "ENOENT", a signal, "timeout". */
  readonly status: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

/** `children` has the process while it runs. */
async function run(
  file: string,
  args: readonly string[],
  timeout: number,
  children: Set<ChildProcess> = new Set(),
): Promise<Ended> {
  return await new Promise((resolve) => {
    const options = { timeout: Math.ceil(timeout), killSignal: "SIGKILL" } as const;
    const child = execFile(file, [...args], options, (error, stdout, stderr) => {
      children.delete(child);
      const status = error === null ? 0 : (error.code ?? error.signal ?? "killed");
      resolve({ status, stdout, stderr });
    });
    children.add(child);
  });
}

/** Compiles in progress: two comparisons of one bench often want the same program. */
const building = new Map<string, Promise<string>>();

/** Path of the program; compiles it unless the same source was compiled before with the same command. */
async function build({ source, libraries = [], compiler }: NativeSource): Promise<string> {
  const cc = compiler ?? compilerName();
  const file = fileURLToPath(new URL(source, SOURCES));
  const flags = libraries.map((library) => LIBRARIES[library].flag);
  const hash = createHash("sha256").update([cc, OPTIMISE, ...flags, ""].join("\0"));
  for (const header of await headers()) hash.update(await readFile(new URL(header, SOURCES)));
  hash.update(await readFile(file));
  const key = `${basename(source, ".c")}-${hash.digest("hex").slice(0, 16)}`;
  const program = fileURLToPath(new URL(key, CACHE));
  if (existsSync(program)) return program;
  const compiled = building.get(program) ?? compile(cc, file, flags, program);
  building.set(program, compiled);
  return await compiled.finally(() => building.delete(program));
}

/** Any source may include any of them. */
async function headers(): Promise<string[]> {
  return (await readdir(SOURCES)).filter((name) => name.endsWith(".h")).sort();
}

async function compile(cc: string, file: string, flags: readonly string[], program: string): Promise<string> {
  await mkdir(CACHE, { recursive: true }).catch((error: Error) => {
    throw new Unavailable(`nowhere to build it: ${error.message}`);
  });
  // Whole or not at all: another process may be building the same.
  const unfinished = `${program}.${process.pid}`;
  const args = [OPTIMISE, "-Wall", "-o", unfinished, file, ...flags];
  const ended = await run(cc, args, COMPILE_TIMEOUT_MS);
  if (ended.status !== 0) throw new Unavailable(compileError(cc, ended));
  await rename(unfinished, program);
  return program;
}

function compileError(cc: string, { status, stderr }: Ended): string {
  if (status === "ENOENT") return `no C compiler: ${cc} is not installed`;
  for (const { flag, header, install } of Object.values(LIBRARIES)) {
    if (stderr.includes(`${header}: No such file`) || stderr.includes(`cannot find ${flag}`)) return install;
  }
  const first = stderr.split("\n").find((line) => /error/i.test(line)) ?? stderr.split("\n")[0] ?? "";
  return `${cc} failed (${status}): ${first.trim()}`;
}

async function figure(
  program: string,
  args: readonly string[],
  ms: number,
  children: Set<ChildProcess>,
): Promise<number> {
  const ended = await run(program, [...args, String(ms)], ms + RUN_SLACK_MS, children);
  const said = ended.stderr.trim().split("\n")[0] ?? "";
  if (ended.status === EXIT_SKIP) throw new Unavailable(said);
  const value = ended.stdout.trim() === "" ? Number.NaN : Number(ended.stdout);
  if (ended.status === 0 && Number.isFinite(value)) return value;
  throw new Error(`${program} ${args.join(" ")} ${ms}: ended with ${ended.status}: ${said || ended.stdout}`);
}
