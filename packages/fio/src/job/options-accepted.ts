/**
 * Options that are read and checked, and change nothing on the emulated machine. Each leaves a note, so nothing is
 * ignored in silence; only what is true anyway (thread, registerfiles, zonemode=none) is taken without a word.
 */
import type { Complaint } from "./errors.ts";
import { choice, complain, flag, integer, missing, named, type OptionSpec, words } from "./option.ts";
import { readAmount } from "./units.ts";

/** `option` with a note behind it when it was fine. */
function noted(option: OptionSpec, why: string): OptionSpec {
  return {
    ...option,
    apply(draft, value) {
      const complaint = option.apply(draft, value);
      if (complaint === undefined) {
        const written = value === undefined ? option.name : `${option.name}=${value}`;
        draft.notes.push(`${written} has no effect: ${why}`);
      }
      return complaint;
    },
  };
}

function nothing(): void {
  // accepted, not used
}

/** nice is below 0 as well; fio reads what follows a dash once more. */
const nice: OptionSpec = {
  name: "nice",
  apply(_draft, value): Complaint | undefined {
    if (value === undefined) return missing("nice", "-20 ... 19");
    const amount = readAmount(value);
    if (amount === undefined || amount.percent) return complain("-20 ... 19");
    const own = amount.value < -20 ? ["min", -20] : amount.value > 19 ? ["max", 19] : undefined;
    if (own === undefined) return undefined;
    const [end, bound] = own;
    return complain("-20 ... 19", `nice: ${end} value out of range: ${amount.value} (${bound} ${end})`);
  },
};

const MEMORY_KINDS = ["malloc", "shm", "shmhuge", "mmap", "mmapshared", "mmaphuge"];

const memory: OptionSpec = {
  ...named("mem|iomem"),
  apply(_draft, value) {
    const kind = /^[^:]*/.exec(value ?? "")?.[0] ?? "";
    return MEMORY_KINDS.includes(kind) ? undefined : complain(`one of ${MEMORY_KINDS.join(", ")}`);
  },
};

const IO_URING = ["io_uring"] as const;
const NOWAIT = ["io_uring", "libaio"] as const;
const SQPOLL = "the ring has no submission thread";

export const ACCEPTED_OPTIONS: readonly OptionSpec[] = [
  noted(flag("invalidate", "value", nothing), "there is no page cache"),
  noted(memory, "buffers are pages of the emulated machine"),
  noted(integer("lockmem", { max: Number.MAX_SAFE_INTEGER }, nothing), "the machine's memory is not swapped"),
  noted(words("cpus_allowed", "CPU numbers", nothing), "each job has an emulated CPU of its own"),
  noted(nice, "the host schedules the machine's threads"),
  noted(integer("prio", { max: 7 }, nothing), "the queues have one priority"),
  noted(integer("prioclass", { max: 3 }, nothing), "the queues have one priority"),
  noted(words("numa_cpu_nodes", "node numbers", nothing), "the machine has one node"),
  noted(words("numa_mem_policy", "a policy", nothing), "the machine has one node"),
  noted(integer("uid", {}, nothing), "the machine has no users"),
  noted(integer("gid", {}, nothing), "the machine has no users"),
  noted(words("directory", "a directory", nothing), "files are regions of the namespace"),
  flag("thread", "bare", nothing),
  choice("zonemode", { none: 0 }, nothing, ["strided", "zbd"]),
  { ...flag("registerfiles", "bare", nothing), engines: IO_URING },
  { ...noted(flag("sqthread_poll", "bare", nothing), SQPOLL), engines: IO_URING },
  { ...noted(integer("sqthread_poll_cpu", {}, nothing), SQPOLL), engines: IO_URING },
  { ...noted(integer("nonvectored", {}, nothing), "single buffers are always read so"), engines: IO_URING },
  { ...noted(integer("uncached", {}, nothing), "there is no page cache"), engines: IO_URING },
  { ...noted(flag("nowait", "value", nothing), "a submission never blocks on the device"), engines: NOWAIT },
  {
    ...noted(integer("force_async", {}, nothing), "requests are issued where they are submitted"),
    engines: IO_URING,
  },
  {
    ...noted(choice("cmd_type", { nvme: 0 }, nothing), "commands come through the block layer"),
    engines: IO_URING,
  },
];
