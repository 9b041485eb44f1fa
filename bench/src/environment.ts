/** Where figures were measured: what has to be known to judge them, and to measure them again. */
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os";

export interface Environment {
  /** "26.10.0" */
  readonly node: string;
  readonly v8: string;
  readonly cpu: string;
  /** CPUs this process may use. */
  readonly cores: number;
  /** "Linux 6.1.0" */
  readonly kernel: string;
  readonly arch: string;
  readonly memoryMb: number;
  /** scaling_governor of the first CPU; null where there is none to read. */
  readonly governor: string | null;
  /** What was asked: "ringside bench nop --runs 3". */
  readonly command: string;
  /** Of the peers in C: "cc (Debian 12.2.0) 12.2.0 -O2"; null without one. */
  readonly compiler: string | null;
  /** Node's and V8's flags of this process, and those that the measured threads set. */
  readonly flags: readonly string[];
  /** Threads that wanted to run, mean of a minute. */
  readonly loadAtStart: number;
  readonly loadAtEnd: number;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly seconds: number;
}

/** V8's budget for inlining in the threads of a machine (workers/src/thread.ts); crews set the same. */
export const THREAD_FLAGS: readonly string[] = ["--max-inlined-bytecode-size-cumulative=4000"];

const GOVERNOR = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";

/** Call it before the first run; the function it returns, after the last one. */
export function observeEnvironment(command: string, compiler: string | null): () => Environment {
  const startedAt = new Date();
  const [loadAtStart = 0] = loadavg();
  return () => {
    const [loadAtEnd = 0] = loadavg();
    return {
      node: process.versions.node,
      v8: process.versions.v8,
      cpu: cpus()[0]?.model.trim() ?? "unknown",
      cores: availableParallelism(),
      kernel: `${process.platform === "linux" ? "Linux" : process.platform} ${release()}`,
      arch: process.arch,
      memoryMb: Math.round(totalmem() / 2 ** 20),
      governor: governor(),
      command,
      compiler,
      flags: [...new Set([...process.execArgv, ...nodeOptions(), ...THREAD_FLAGS])],
      loadAtStart,
      loadAtEnd,
      startedAt: startedAt.toISOString(),
      seconds: (Date.now() - startedAt.getTime()) / 1000,
    };
  };
}

function nodeOptions(): string[] {
  return (process.env["NODE_OPTIONS"] ?? "").split(" ").filter((flag) => flag !== "");
}

function governor(): string | null {
  try {
    return readFileSync(GOVERNOR, "utf8").trim();
  } catch {
    return null;
  }
}

/** "Node 26.10.0 (V8 14.1), 2 x Intel Xeon, Linux 6.1; load 0.1 at the start, 1.9 at the end" */
export function environmentLine(e: Environment): string {
  const governor = e.governor === null ? "" : `, governor ${e.governor}`;
  const compiler = e.compiler === null ? "" : `; peers in C by ${e.compiler}`;
  const load = `load ${e.loadAtStart.toFixed(1)} at the start, ${e.loadAtEnd.toFixed(1)} at the end`;
  return `Node ${e.node} (V8 ${e.v8}), ${e.cores} x ${e.cpu}, ${e.kernel}${governor}${compiler}; ${load}`;
}
