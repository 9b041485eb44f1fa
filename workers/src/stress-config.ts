/**
 * What a stress run can be asked for, and the machine it needs: memory for the buffers in every place they
 * may be, I/O addresses for their maps, threads for the works that sleep.
 */
import { iova_window } from "@ringside/core/dma/iova";
import { DEFAULT_CONFIG, type KernelConfig, MEMORY_LIMIT, memory_map } from "@ringside/core/mm/memory-map";

export interface StressOptions
  extends Pick<
    KernelConfig,
    "cpus" | "variant" | "iommu" | "percpu" | "completion" | "kasan" | "lockdep" | "seed"
  > {
  readonly seconds: number;
  /** I/Os in flight per task. */
  readonly depth: number;
  /** Bytes per I/O, a multiple of 512. */
  readonly bs: number;
  readonly rw: "randread" | "randwrite" | "randrw";
  readonly buffer: "dmabuf" | "registered";
  /** Pause of the adversary between two actions, ms. */
  readonly invalidateMs: number;
  readonly mutant?: string;
  /** A machine whose I/O or whose adversary makes no progress for so long hangs, ms. */
  readonly hangMs: number;
  /** End the run at the first warning or violation. */
  readonly stopAtFirst: boolean;
}

export const DEFAULT_STRESS: StressOptions = {
  cpus: 2,
  seconds: 10,
  depth: 32,
  bs: 4096,
  rw: "randrw",
  buffer: "dmabuf",
  invalidateMs: 1,
  variant: "v3-fixed",
  iommu: "strict",
  percpu: "atomic",
  completion: "irq",
  kasan: false,
  lockdep: false,
  seed: 1,
  hangMs: 10_000,
  stopAtFirst: false,
};

/** Buffers of one I/O task; scenarios/stress-io.ts makes them. */
const BUFFERS = 3;
/** rcu_gp, and kworkers that find something to do while the others sleep. */
const AWAKE_THREADS = 5;
/** I/O addresses of queues, PRP lists and small transfers. */
const IOVA_SMALL = 64 << 20;
/** Addresses of memory and of I/O are one space of this size. */
const ADDRESS_LIMIT = 2 ** 31;
const PAGE_SIZE = 4096;
const MIB = 1 << 20;

/** Bytes of one buffer. */
function buffer_bytes(options: StressOptions): number {
  return Math.ceil((Math.ceil(options.depth / BUFFERS) * options.bs) / PAGE_SIZE) * PAGE_SIZE;
}

/**
 * Threads for kernel work. Those that sleep wait for works that need a thread too: per CPU two io-wq items, per
 * buffer the release of a token and of the one before it. With fewer, all may sleep for what nobody runs.
 */
function kernel_threads(options: StressOptions): number {
  const sleepers = 2 * options.cpus + 2 * BUFFERS * (options.cpus - 1);
  return Math.max(DEFAULT_CONFIG.kthreads, sleepers + AWAKE_THREADS);
}

/** The machine for these options. */
export function stress_config(options: StressOptions): KernelConfig {
  const tasks = options.cpus - 1;
  const buffer = buffer_bytes(options);
  return {
    ...DEFAULT_CONFIG,
    cpus: options.cpus,
    kthreads: kernel_threads(options),
    variant: options.variant,
    iommu: options.iommu,
    percpu: options.percpu,
    completion: options.completion,
    kasan: options.kasan,
    lockdep: options.lockdep,
    seed: options.seed,
    // User pages, evicted VRAM, and where an eviction goes while the old pages are still in use.
    ram: 48 * MIB + tasks * buffer * (BUFFERS + 1),
    vram: MIB + tasks * buffer * BUFFERS,
    // More blocks than I/Os in flight.
    media: tasks * Math.max(4 * MIB, Math.ceil(options.depth * 1.25) * options.bs),
  };
}

/** I/O addresses: of each buffer the map in use and the one before it, each a power of two of pages. */
function iova_bytes(options: StressOptions): number {
  if (options.iommu === "passthrough") return 0;
  const pages = buffer_bytes(options) / PAGE_SIZE;
  const map = 2 ** Math.ceil(Math.log2(pages)) * PAGE_SIZE;
  return IOVA_SMALL + (options.cpus - 1) * BUFFERS * 2 * map;
}

/** What is wrong with a combination of options, or undefined. */
export function stress_conflict(options: StressOptions): string | undefined {
  if (options.completion === "poll" && options.buffer === "dmabuf") {
    return "completion poll: expected buffer registered, since io_uring refuses dma-buf buffers on IOPOLL rings";
  }
  const { size } = memory_map(stress_config(options));
  const addresses = iova_bytes(options);
  const room = size > MEMORY_LIMIT ? 0 : ADDRESS_LIMIT - iova_window(size);
  if (size <= MEMORY_LIMIT && addresses <= room) return undefined;
  const mib = (bytes: number): string => `${Math.ceil(bytes / MIB)} MiB`;
  const needs = `the machine needs ${mib(size)} of memory and ${mib(addresses)} of I/O addresses`;
  return `${needs}, more than ${mib(ADDRESS_LIMIT)} hold: take fewer CPUs, a smaller depth or smaller blocks`;
}

/** Options of a run that the command line does not have. */
const NOT_FLAGS: ReadonlySet<string> = new Set(["hangMs", "stopAtFirst"]);

/** The command that repeats a run: the seed, and all that is not the default. */
export function stress_command_line(options: StressOptions): string {
  const words = ["ringside stress"];
  for (const [name, value] of Object.entries(options)) {
    const usual = name !== "seed" && value === DEFAULT_STRESS[name as keyof StressOptions];
    if (usual || NOT_FLAGS.has(name)) continue;
    const flag = `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    words.push(value === true ? flag : `${flag} ${value}`);
  }
  return words.join(" ");
}
