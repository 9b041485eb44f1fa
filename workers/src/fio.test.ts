/**
 * Fio runs on real machines: what is transferred is what the job says, what is wrong is found, and the controller
 * counted the same. One machine serves many stages; each test looks at its jobs in a run that they share.
 */
import { run_fio } from "./fio.ts";
import { fio_task } from "./fio-plan.ts";
import { dropped_lines, empty_result } from "./fio-stat.ts";
import { Machine } from "./machine.ts";
import {
  DDIR_READ,
  DDIR_TRIM,
  DDIR_WRITE,
  type FioJob,
  type JobOptions,
  type Rw,
} from "@ringside/fio/job/job";
import { bucketIndex } from "@ringside/fio/stat/buckets";
import type { FioRun, ThreadStat } from "@ringside/fio/stat/thread-stat";
import { same, testJob } from "@ringside/fio/testing/jobs";
import { plat_index } from "@ringside/scenarios/fio/latency";
import type { FioResult } from "@ringside/scenarios/fio/task";
import { beforeAll, describe, expect, test } from "vitest";

const KIB = 1024;
const BS = 4 * KIB;
const WORKLOADS = new URL("./fio-workload.ts", import.meta.url).href;
const RUN_MS = 60_000;
const EILSEQ = 84;

const MODES: Readonly<Record<string, readonly [boolean, boolean, boolean]>> = {
  read: [true, false, false],
  write: [false, true, false],
  trim: [false, false, true],
  rw: [true, true, false],
};

function rw(mode: string): Rw {
  const random = mode.startsWith("rand");
  const ddirs = MODES[random ? mode.slice(4) : mode] as readonly [boolean, boolean, boolean];
  return { ddirs, random, trimwrite: false, skip: 0, count: 1, sequencer: "sequential" };
}

/** iodepth with the batches that suit it. */
function depth(n: number, batch: number = 1): Partial<JobOptions> {
  return { iodepth: n, iodepthLow: n, iodepthBatch: batch, iodepthBatchCompleteMax: batch };
}

/** Jobs each in a stage of its own, numbered. */
class Jobs {
  readonly list: FioJob[] = [];

  add(name: string, mode: string, options: Partial<JobOptions>, place: Partial<FioJob> = {}): void {
    const number = this.list.length;
    const all = { ioengine: "io_uring" as const, rw: rw(mode), ...options };
    this.list.push(testJob(name, all, { number, stage: number, ...place }));
  }
}

function stat_of(run: FioRun, name: string): ThreadStat {
  const stat = run.threads.find((thread) => thread.jobName === name);
  if (stat === undefined) throw new Error(`no job ${name}`);
  return stat;
}

function total(run: FioRun, ddir: 0 | 1): number {
  return run.threads.reduce((sum, thread) => sum + thread.ddir[ddir].totalIos, 0);
}

const VERIFIES: readonly (readonly [name: string, options: Partial<JobOptions>])[] = [
  ["crc32c", { verify: "crc32c" }],
  ["md5", { verify: "md5", verifyInterval: 1024 }],
  ["pattern", { verify: "pattern", verifyPattern: [1, 2, 3, 4, 5] }],
  ["meta", { verify: "meta" }],
];

describe("jobs one after another", () => {
  let run: FioRun;
  const messages: string[] = [];

  beforeAll(async () => {
    const jobs = new Jobs();
    jobs.add("exact", "read", { size: 64 * BS, bs: same({ min: BS, max: BS }), ...depth(8, 4) });
    jobs.add("loops", "randread", { size: 16 * BS, loops: 3, ...depth(4) });
    jobs.add("number", "randwrite", { size: 64 * BS, numberIos: 10, ...depth(4) });
    jobs.add("io_size", "randread", { size: 16 * BS, ioSize: 40 * BS, ...depth(4) });
    jobs.add("fsync", "write", { size: 32 * BS, fsync: 8, endFsync: true, ...depth(4) });
    jobs.add("plain", "randread", { size: 64 * BS, gtodReduce: true, ...depth(16, 8) });
    jobs.add("lat", "randread", { size: 64 * BS, slatPercentiles: true, latPercentiles: true, ...depth(8) });
    jobs.add("logs", "randread", { size: 16 * BS, logs: { bw: "x", iops: "x", lat: "x" } });
    jobs.add("null", "randrw", { size: 64 * BS, ioengine: "null", ...depth(4) });
    jobs.add("nulltrim", "trim", { size: 64 * BS, ioengine: "null" });
    for (const [name, options] of VERIFIES) {
      const files = { files: [name] };
      jobs.add(`${name}: own`, "randwrite", { ...options, size: 32 * BS, ...depth(8) }, files);
      jobs.add(`${name}: again`, "read", { ...options, size: 32 * BS, ...depth(4) }, files);
      jobs.add(`${name}: garbage`, "write", { size: BS, offset: 5 * BS }, files);
      jobs.add(`${name}: caught`, "read", { ...options, size: 32 * BS, ...depth(4) }, files);
    }
    jobs.add("slow", "randread", { size: 64 * BS, maxLatencyUs: same(0.001), ...depth(4) });
    jobs.add("thinks", "randread", { size: 32 * BS, thinktimeUs: 1000, thinktimeBlocks: 8, ...depth(4) });
    const survived = { verify: "crc32c", size: 32 * BS, continueOnError: "verify" } as const;
    jobs.add("survived", "read", survived, { files: ["crc32c"] });
    jobs.add("unwritten", "read", { verify: "crc32c", size: 16 * BS }, { files: ["unwritten"] });
    jobs.add("fatal", "read", { verify: "crc32c", size: 32 * BS, verifyFatal: true }, { files: ["crc32c"] });
    const backlog = { verify: "crc32c", verifyBacklog: 4, size: 32 * BS, ...depth(4) } as const;
    jobs.add("backlog", "randwrite", backlog, { files: ["backlog"] });
    // These two share a stage of a machine of their own: polled.
    const polled = jobs.list.length;
    jobs.add("polled", "randrw", { size: 64 * BS, hipri: true, ...depth(8, 4) });
    jobs.add("beside", "randread", { size: 64 * BS, ...depth(8) }, { stage: polled });
    run = await run_fio(jobs.list, { onMessage: (text, job) => messages.push(`${job?.name}: ${text}`) });
  }, RUN_MS);

  const moved = (name: string, ddir: 0 | 1 | 2): number => stat_of(run, name).ddir[ddir].totalIos;

  test("size, loops, number_ios and io_size are exact", () => {
    expect(moved("exact", DDIR_READ)).toBe(64);
    expect(stat_of(run, "exact").ddir[DDIR_READ].ioBytes).toBe(64 * BS);
    expect(moved("loops", DDIR_READ)).toBe(48);
    expect(moved("number", DDIR_WRITE)).toBe(10);
    expect(moved("io_size", DDIR_READ)).toBe(40);
    expect(moved("null", DDIR_READ) + moved("null", DDIR_WRITE)).toBe(64);
    expect(moved("nulltrim", DDIR_TRIM)).toBe(64);
  });

  test("an fsync comes between every eight writes; that of the end is not counted, as fio does not", () => {
    const { sync } = stat_of(run, "fsync");
    expect(sync.totalIos).toBe(3);
    expect(sync.lat.n).toBe(3);
    expect(moved("fsync", DDIR_WRITE)).toBe(32);
  });

  test("a latency is measured for each I/O, and total is submission and completion together", () => {
    const { slat, clat, lat } = stat_of(run, "lat").ddir[DDIR_READ];
    for (const stat of [slat, clat, lat]) {
      expect(stat.n).toBe(64);
      expect(stat.buckets.reduce((a, b) => a + b, 0)).toBe(64);
      expect(stat.min > 0 && stat.min <= stat.mean && stat.mean <= stat.max).toBe(true);
    }
    expect(Math.abs(slat.mean + clat.mean - lat.mean)).toBeLessThan(2);
    const { latNs, latUs, latMs, depth: levels } = stat_of(run, "lat");
    expect([...latNs, ...latUs, ...latMs].reduce((a, b) => a + b, 0)).toBe(64);
    expect(levels.reduce((a, b) => a + b, 0)).toBe(64);
  });

  test("gtod_reduce measures no latency", () => {
    const { slat, clat, lat, totalIos } = stat_of(run, "plain").ddir[DDIR_READ];
    expect([slat.n, clat.n, lat.n, totalIos]).toEqual([0, 0, 0, 64]);
  });

  test("logs have a line for each I/O", () => {
    const { logs } = stat_of(run, "logs");
    for (const log of [logs.bw, logs.iops, logs.slat, logs.clat, logs.lat]) {
      expect(log.length).toBe(16);
      expect(log.every((line) => line.bs === BS && line.ddir === DDIR_READ)).toBe(true);
    }
    expect(new Set(logs.lat.map((line) => line.offset)).size).toBe(16);
  });

  test.each(VERIFIES.map(([name]) => name))(
    "verify=%s reads back what it wrote, and catches garbage",
    (name) => {
      const own = stat_of(run, `${name}: own`);
      expect([own.error, own.ddir[DDIR_WRITE].totalIos, own.ddir[DDIR_READ].totalIos]).toEqual([0, 32, 32]);
      expect(stat_of(run, `${name}: again`).error).toBe(0);
      const caught = stat_of(run, `${name}: caught`);
      expect(caught.error).toBe(EILSEQ);
      // Without verify_fatal everything is looked at.
      expect(caught.ddir[DDIR_READ].totalIos).toBe(32);
      const told = messages.filter((text) => text.startsWith(`${name}: caught: `));
      expect(told.length).toBe(1);
      expect(told[0]).toContain(`offset ${5 * BS}`);
    },
  );

  test("continue_on_error=verify counts the failure, verify_fatal stops at it", () => {
    const survived = stat_of(run, "survived");
    expect([survived.error, survived.totalErr, survived.firstError]).toEqual([0, 1, EILSEQ]);
    const fatal = stat_of(run, "fatal");
    expect(fatal.error).toBe(EILSEQ);
    expect(fatal.ddir[DDIR_READ].totalIos).toBe(6);
  });

  test("not all that is wrong is told, but how much more there is", () => {
    const told = messages.filter((text) => text.startsWith("unwritten: "));
    expect(told).toHaveLength(11);
    expect(told[0]).toContain("bad magic header 0, wanted acca at file unwritten offset 0");
    expect(told[10]).toBe("unwritten: fio: 6 more messages of this job");
  });

  test("verify_backlog reads back in between, and nothing is read twice", () => {
    const { error, ddir } = stat_of(run, "backlog");
    expect([error, ddir[DDIR_WRITE].totalIos, ddir[DDIR_READ].totalIos]).toEqual([0, 32, 32]);
  });

  test("max_latency ends a job that is too slow", () => {
    const { error, errorText, ddir } = stat_of(run, "slow");
    expect([error, errorText]).toEqual([110, "Connection timed out"]);
    expect(ddir[DDIR_READ].totalIos).toBeLessThan(64);
    const told =
      /^slow: fio: latency of \d+ nsec exceeds specified max \(1 nsec\): \/dev\/nvme0n1 read \d+ 4096$/;
    expect(messages.some((text) => told.test(text))).toBe(true);
  });

  test("thinktime pauses after each eight I/Os, and loses none", () => {
    const { runtimeMs, ddir } = stat_of(run, "thinks");
    expect(ddir[DDIR_READ].totalIos).toBe(32);
    expect(runtimeMs).toBeGreaterThanOrEqual(3);
  });

  test("a polled ring, and one beside it that is not, do their I/Os", () => {
    const { error, ddir } = stat_of(run, "polled");
    expect([error, ddir[DDIR_READ].totalIos + ddir[DDIR_WRITE].totalIos]).toEqual([0, 64]);
    expect(moved("beside", DDIR_READ)).toBe(64);
  });

  test("the controller's SMART log counts exactly the jobs' I/Os", () => {
    const reads = total(run, DDIR_READ) - moved("null", DDIR_READ);
    const writes = total(run, DDIR_WRITE) - moved("null", DDIR_WRITE);
    expect(run.smart).toEqual({ reads, writes, issuedReads: reads, issuedWrites: writes });
    expect(run.disks[0]?.ios).toEqual([reads, writes]);
    expect(messages.filter((text) => text.startsWith("undefined"))).toEqual([]);
  });
});

describe("jobs together, under invalidation, with ramp time", () => {
  let run: FioRun;
  const states = new Set<string>();

  beforeAll(async () => {
    const dmabuf = testJob("x").emulator;
    const emulator = { ...dmabuf, buf: "dmabuf", invalidateMs: 1 } as const;
    const jobs = new Jobs();
    const checked = { direct: true, verify: "crc32c", size: 256 * BS, loops: 4, ...depth(16, 4) } as const;
    jobs.add("writer", "randwrite", checked, { stage: 0, files: ["a"], emulator });
    const timed = { direct: true, timeBased: true, runtimeMs: 700, rampTimeMs: 100, size: 1 << 20 } as const;
    const capped = { ...timed, rampTimeMs: 0, rateIops: same(100), ioengine: "null" } as const;
    jobs.add(
      "ramp",
      "randrw",
      { ...timed, rwmixread: 70, ...depth(8, 4) },
      { stage: 0, files: ["b"], emulator },
    );
    jobs.add("capped", "randread", capped, { stage: 0, emulator });
    jobs.add(
      "after",
      "read",
      { direct: true, size: 4 * BS },
      { stage: 0, waitFor: "writer", files: ["a"], emulator },
    );
    run = await run_fio(jobs.list, {
      onProgress: (all) => all.forEach((job) => states.add(`${job.number} ${job.state}`)),
    });
  }, RUN_MS);

  test("blocks survive an exporter that moves the buffers they pass through", () => {
    const { error, ddir } = stat_of(run, "writer");
    expect([error, ddir[DDIR_WRITE].totalIos, ddir[DDIR_READ].totalIos]).toEqual([0, 1024, 1024]);
  });

  test("I/Os of the ramp time reach the disk and not the statistics", () => {
    const smart = run.smart as NonNullable<FioRun["smart"]>;
    expect([smart.reads, smart.writes]).toEqual([smart.issuedReads, smart.issuedWrites]);
    const measured =
      total(run, DDIR_READ) + total(run, DDIR_WRITE) - stat_of(run, "capped").ddir[DDIR_READ].totalIos;
    expect(measured).toBeLessThan(smart.reads + smart.writes);
    expect(stat_of(run, "ramp").runtimeMs).toBeGreaterThan(0);
    expect(states.has("1 ramp") || states.has("1 running")).toBe(true);
  });

  test("a rate is never exceeded", () => {
    const { totalIos } = stat_of(run, "capped").ddir[DDIR_READ];
    expect(totalIos).toBeGreaterThan(0);
    expect(totalIos).toBeLessThanOrEqual(71);
  });

  test("wait_for lets the other job end first", () => {
    expect(stat_of(run, "after").ddir[DDIR_READ].totalIos).toBe(4);
  });
});

test("a run that is interrupted comes back with what it measured", { timeout: RUN_MS }, async () => {
  const jobs = new Jobs();
  jobs.add("endless", "randrw", { size: 1 << 20, timeBased: true, ...depth(8) }, { stage: 0 });
  jobs.add("asleep", "read", { size: BS, startDelayMs: 1e6 }, { stage: 0 });
  jobs.add("later", "read", { size: BS });
  const abort = new AbortController();
  const run = await run_fio(jobs.list, {
    signal: abort.signal,
    onProgress: ([first]) => {
      if ((first?.ios[DDIR_READ] ?? 0) > 0) abort.abort();
    },
  });
  const endless = stat_of(run, "endless");
  expect(endless.error).toBe(0);
  expect(endless.ddir[DDIR_READ].totalIos).toBeGreaterThan(0);
  expect(stat_of(run, "asleep").ddir[DDIR_READ].totalIos).toBe(0);
  expect(stat_of(run, "later").ddir[DDIR_READ].totalIos).toBe(0);
  expect(run.smart?.reads).toBe(endless.ddir[DDIR_READ].totalIos);
});

test("an I/O error ends the job, unless continue_on_error says otherwise", { timeout: RUN_MS }, async () => {
  const machine = await Machine.boot({ cpus: 1, media: 16 * BS, workloads: WORKLOADS });
  // Half of the job's part lies behind the end of the disk.
  const job = testJob("e", { ioengine: "io_uring", size: 16 * BS, rw: rw("write"), ...depth(4) });
  const task = fio_task(job, new Map([["/dev/nvme0n1", { start: 8 * BS, size: 16 * BS }]]));
  const run = async (options: Partial<JobOptions>): Promise<FioResult> => {
    const opaque = { ...task, options: { ...task.options, ...options } };
    const { result } = await machine.run(0, "fio-measured", { task: { opaque } }, RUN_MS);
    return (result as { opaque: FioResult }).opaque;
  };
  const stopped = await run({});
  expect(stopped.stat.error).toBe(28);
  expect(stopped.stat.ddir[DDIR_WRITE].totalIos).toBeLessThan(16);
  expect(stopped.messages[0]).toContain(`write offset=${8 * BS}, buflen=${BS}`);
  const survived = await run({ continueOnError: "io" });
  const { error, totalErr, firstError, ddir } = survived.stat;
  expect([error, totalErr, firstError, ddir[DDIR_WRITE].ioBytes]).toEqual([0, 8, 28, 8 * BS]);
  const other = await run({ continueOnError: "read" });
  expect(other.stat.error).toBe(28);
  expect(await machine.shutdown()).toEqual([]);
});

test.each([
  ["trim", { rw: rw("trim") }, {}, "no Dataset Management"],
  ["verify on null", { verify: "crc32c", ioengine: "null" }, {}, "expected ioengine=io_uring"],
  [
    "a polled ring with dma-buf buffers",
    { hipri: true, direct: true },
    { buf: "dmabuf" },
    "expected ;emu buf=registered",
  ],
  [
    "a header that is no whole words",
    { verify: "crc32c", rw: rw("write"), bs: same({ min: 43520, max: 43520 }), verifyInterval: 85 },
    {},
    "multiple of 8",
  ],
  ["fsync on a polled ring", { hipri: true, fsync: 1 }, {}, "fsync on a polled ring"],
  ["more than the namespace", { size: 65 << 20 }, {}, "to fit the namespace"],
  [
    "more than memory",
    { iodepth: 4096, bs: same({ min: 1 << 20, max: 1 << 20 }) },
    {},
    "expected buffers of",
  ],
  ["odd blocks", { bs: same({ min: 1000, max: 1000 }) }, {}, "multiple of the namespace's 512 B"],
] as const)("%s is refused before anything boots", async (_, options, emulator, text) => {
  const job = testJob("bad", { ioengine: "io_uring", ...options });
  await expect(run_fio([{ ...job, emulator: { ...job.emulator, ...emulator } }])).rejects.toThrow(text);
});

test("what a full log could not take is told", () => {
  const result = empty_result(testJob("full"));
  expect(dropped_lines(result)).toEqual([]);
  const bw = { ...result.logs.bw, dropped: 7 };
  expect(dropped_lines({ ...result, logs: { ...result.logs, bw }, histDropped: 2 })).toEqual([
    expect.stringContaining("the bw log is full: 7 lines"),
    expect.stringContaining("the hist log is full: 2 lines"),
  ]);
});

test("the kernel side's buckets are the output's", () => {
  for (let shift = 0; shift < 53; shift++) {
    for (const near of [-1, 0, 1, 77]) {
      const ns = Math.max(0, 2 ** shift + near * Math.max(1, 2 ** (shift - 8)));
      if (Number.isInteger(ns)) expect([ns, plat_index(ns)]).toEqual([ns, bucketIndex(ns)]);
    }
  }
});
