/** Tasks for tests of the fio engine: fio's defaults, with what a test says about them. */
import type { FioOptions, FioRw, FioTask } from "../task.ts";

const MODES: Readonly<Record<string, readonly [read: boolean, write: boolean]>> = {
  read: [true, false],
  write: [false, true],
  rw: [true, true],
};

/** rw=read, randwrite, randrw and so on. */
export function rw(mode: string): FioRw {
  const random = mode.startsWith("rand");
  const [read, write] = MODES[random ? mode.slice(4) : mode] as readonly [boolean, boolean];
  return {
    ddirs: [read, write, false],
    random,
    trimwrite: false,
    skip: 0,
    count: 1,
    sequencer: "sequential",
  };
}

const BLOCK = { min: 4096, max: 4096 };
const RANDOM = { kind: "random" } as const;

const OPTIONS: FioOptions = {
  rw: rw("read"),
  bs: [BLOCK, BLOCK, BLOCK],
  bssplit: [[], [], []],
  bsUnaligned: false,
  ioengine: "null",
  iodepth: 1,
  iodepthBatch: 1,
  iodepthBatchCompleteMin: 1,
  iodepthBatchCompleteMax: 1,
  iodepthLow: 1,
  ioSize: 0,
  runtimeMs: 0,
  timeBased: false,
  rampTimeMs: 0,
  loops: 1,
  numberIos: 0,
  rwmixread: 50,
  norandommap: false,
  distribution: [RANDOM, RANDOM, RANDOM],
  rate: [0, 0, 0],
  rateIops: [0, 0, 0],
  rateProcess: "linear",
  thinktimeUs: 0,
  thinktimeSpinUs: 0,
  thinktimeBlocks: 1,
  thinktimeBlocksType: "complete",
  verify: "none",
  doVerify: true,
  verifyFatal: false,
  verifyPattern: [],
  verifyInterval: 0,
  verifyBacklog: 0,
  fsync: 0,
  endFsync: false,
  slatPercentiles: false,
  clatPercentiles: true,
  latPercentiles: false,
  disableSlat: false,
  disableClat: false,
  disableLat: false,
  disableBw: false,
  gtodReduce: false,
  latencyTargetUs: 0,
  latencyWindowUs: 0,
  latencyPercentile: 100,
  maxLatencyUs: [0, 0, 0],
  continueOnError: "none",
  logs: {},
  logAvgMs: 0,
  logHistMs: 0,
};

/** A task over the first `bytes` of the disk. */
export function fio_task(options: Partial<FioOptions>, bytes: number): FioTask {
  return {
    options: { ...OPTIONS, ...options },
    regions: [{ name: "/dev/nvme0n1", start: 0, offset: 0, bytes }],
    buffer: "registered",
    polled: false,
    seed: 42,
    thread: 1,
  };
}
