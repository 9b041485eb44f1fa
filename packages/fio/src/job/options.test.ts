import { describe, expect, it } from "vitest";
import { DEFAULT_PERCENTILES } from "./draft.ts";
import { KNOWN_OPTIONS } from "./known.ts";
import { parseJobFiles } from "./parse.ts";
import { closestOption, findOption, OPTIONS } from "./table.ts";
import { jobOf, testEnv } from "./testing.ts";

const K = 1024;
const optionsOf = (...lines: string[]): ReturnType<typeof jobOf>["options"] => jobOf(...lines).options;
const sizes = (...lines: string[]): unknown =>
  optionsOf(...lines).bs.map(({ min, max }) => [min / K, max / K]);

function notesOf(text: string): readonly string[] {
  const result = parseJobFiles([{ name: "a.fio", text }], testEnv());
  return "notes" in result ? result.notes : [];
}

describe("rw", () => {
  it.each([
    ["read", "R  ", false],
    ["write", " W ", false],
    ["trim", "  T", false],
    ["randread", "R  ", true],
    ["randwrite", " W ", true],
    ["randtrim", "  T", true],
    ["rw", "RW ", false],
    ["readwrite", "RW ", false],
    ["randrw", "RW ", true],
    ["trimwrite", " WT", false],
    ["randtrimwrite", " WT", true],
  ])("%s", (rw, ddirs, random) => {
    const options = optionsOf(`rw=${rw}`);
    expect(["R", "W", "T"].map((c, i) => (options.rw.ddirs[i] === true ? c : " ")).join("")).toBe(ddirs);
    expect([options.rw.random, options.rw.trimwrite]).toEqual([random, rw.endsWith("trimwrite")]);
  });

  it(":N skips bytes when sequential and keeps offsets for N I/Os when random", () => {
    expect(optionsOf("rw=read:8k").rw).toMatchObject({ skip: 8 * K, count: 1 });
    expect(optionsOf("rw=randread:8").rw).toMatchObject({ skip: 0, count: 8 });
    expect(optionsOf("rw_sequencer=identical", "rw=randread:8").rw.sequencer).toBe("identical");
  });
});

describe("block sizes", () => {
  it.each([
    [
      "bs=8k",
      [
        [8, 8],
        [8, 8],
        [8, 8],
      ],
    ],
    [
      "bs=8k,16k",
      [
        [8, 8],
        [16, 16],
        [16, 16],
      ],
    ],
    [
      "bs=8k,16k,32k",
      [
        [8, 8],
        [16, 16],
        [32, 32],
      ],
    ],
    [
      "bs=,16k",
      [
        [4, 4],
        [16, 16],
        [16, 16],
      ],
    ],
    [
      "bs=8k,",
      [
        [8, 8],
        [4, 4],
        [4, 4],
      ],
    ],
    [
      "bsrange=4k-8k",
      [
        [4, 8],
        [4, 8],
        [4, 8],
      ],
    ],
    [
      "bsrange=8k-4k,16k-32k",
      [
        [4, 8],
        [16, 32],
        [16, 32],
      ],
    ],
    [
      "bssplit=4k/50:64k/50",
      [
        [4, 64],
        [4, 64],
        [4, 64],
      ],
    ],
  ])("%s", (line, expected) => {
    expect(sizes(line)).toEqual(expected);
  });

  it("bssplit shares what is missing to 100, smallest share first", () => {
    const { bssplit } = optionsOf("bssplit=4k/50:64k:8k,512/10:1k/90");
    expect(bssplit).toEqual([
      [
        { bytes: 65536, percent: 25 },
        { bytes: 8192, percent: 25 },
        { bytes: 4096, percent: 50 },
      ],
      [
        { bytes: 512, percent: 10 },
        { bytes: 1024, percent: 90 },
      ],
      [
        { bytes: 512, percent: 10 },
        { bytes: 1024, percent: 90 },
      ],
    ]);
  });
});

describe("random_distribution", () => {
  it.each([
    ["random", { kind: "random" }],
    ["zipf", { kind: "zipf", theta: 1.1 }],
    ["zipf:1.2", { kind: "zipf", theta: 1.2 }],
    ["zipf:1.2:0.5", { kind: "zipf", theta: 1.2, center: 0.5 }],
    ["pareto:0.3", { kind: "pareto", h: 0.3 }],
    ["normal:20", { kind: "normal", deviation: 20 }],
    ["normal:20:0.25", { kind: "normal", deviation: 20, center: 0.25 }],
  ])("%s", (text, expected) => {
    expect(optionsOf(`random_distribution=${text}`).distribution).toEqual([expected, expected, expected]);
  });

  it("has zones of its own for each direction", () => {
    const [read, write] = optionsOf("random_distribution=zoned:60/10:40/90,100/50:0/50").distribution;
    expect(read).toEqual({
      kind: "zoned",
      zones: [
        { percent: 60, size: 10 },
        { percent: 40, size: 90 },
      ],
    });
    expect(write).toMatchObject({ zones: [{ percent: 100 }, { percent: 0 }] });
  });

  it("has zones of bytes", () => {
    const [read] = optionsOf("random_distribution=zoned_abs:50/1m:50/2m").distribution;
    expect(read).toMatchObject({ kind: "zoned_abs", zones: [{ size: 2 ** 20 }, { size: 2 ** 21 }] });
  });

  it("leaves no use for a map of what was hit", () => {
    expect(optionsOf("random_distribution=zipf").norandommap).toBe(true);
  });
});

describe("verify_pattern", () => {
  it.each([
    ["0xdeadbeef", [0xde, 0xad, 0xbe, 0xef]],
    ["0xabc", [0x0a, 0xbc]],
    ['"abcd"', [0x61, 0x62, 0x63, 0x64]],
    ["-1024", [0x00, 0xfc, 0xff, 0xff]],
    ["66", [0x42]],
    ["0", [0]],
    ["0xFF0X1", [0xff, 0x01]],
    ['"123"0xFFeeCC', [0x31, 0x32, 0x33, 0xff, 0xee, 0xcc]],
    ['-100xab"1"', [0xf6, 0xff, 0xff, 0xff, 0xab, 0x31]],
  ])("%s", (text, bytes) => {
    expect(optionsOf(`verify_pattern=${text}`)).toMatchObject({ verify: "pattern", verifyPattern: bytes });
  });

  it("leaves room for the offset where %o stands", () => {
    const options = optionsOf("verify=meta", 'verify_pattern="ab"%o0xff');
    expect(options.verifyPatternOffsets).toEqual([2]);
    expect(options.verifyPattern).toHaveLength(11);
    expect(options.verify).toBe("meta");
  });

  it("has at most 512 bytes", () => {
    expect(optionsOf(`verify_pattern=0x${"ab".repeat(512)}`).verifyPattern).toHaveLength(512);
    expect(() => jobOf(`verify_pattern=0x${"ab".repeat(513)}`)).toThrow("512");
  });
});

describe("options that change others", () => {
  it.each([
    [
      "depths are at most iodepth",
      ["iodepth=8", "iodepth_batch=0", "iodepth_low=99"],
      { iodepthBatch: 8, iodepthLow: 8 },
    ],
    ["complete_max is at least complete_min", ["iodepth_batch_complete=4"], { iodepthBatchCompleteMax: 4 }],
    ["a seed is repeatable", ["randrepeat=0", "randseed=7"], { randrepeat: true, randseed: 7 }],
    ["buffered=0 is direct", ["buffered=0"], { direct: true }],
    ["rwmixwrite is the rest of rwmixread", ["rwmixwrite=30"], { rwmixread: 70 }],
    ["loops=0 is one loop", ["loops=0"], { loops: 1 }],
    ["spinning ends with thinktime", ["thinktime=5", "thinktime_spin=9"], { thinktimeSpinUs: 5 }],
    ["disable_clat takes its percentiles away", ["disable_clat=1"], { clatPercentiles: false }],
    [
      "gtod_reduce takes all times away, a later option gives one back",
      ["gtod_reduce=1", "disable_clat=0", "clat_percentiles=1"],
      { disableLat: true, disableSlat: true, disableBw: true, disableClat: false, clatPercentiles: true },
    ],
    [
      "a log without a prefix has the job's name",
      ["write_bw_log", "write_lat_log=x"],
      { logs: { bw: "a", lat: "x" } },
    ],
    ["libaio is io_uring", ["ioengine=libaio"], { ioengine: "io_uring" }],
    [
      "filesize is the region, size what is transferred",
      ["filesize=1m", "size=64k"],
      { size: K * K, ioSize: 64 * K },
    ],
    [
      "verify_interval divides all sizes",
      ["verify=meta", "rw=write", "bsrange=4k-6k", "verify_interval=4k"],
      { verifyInterval: 2 * K },
    ],
    [
      "one header a block needs no interval",
      ["verify=meta", "rw=write", "verify_interval=64k"],
      { verifyInterval: 0 },
    ],
  ])("%s", (_, lines, expected) => {
    expect(optionsOf(...lines)).toMatchObject(expected);
  });

  it("a percentage of the namespace is bytes in whole blocks", () => {
    const job = jobOf("filename=/dev/nvme0n1", "offset=25%", "size=50%", "io_size=10%", "bs=1m");
    expect(job.options).toMatchObject({ offset: 16 << 20, sizePercent: 50, ioSize: 3 << 20 });
  });

  it("times have their own default units", () => {
    expect(
      optionsOf("runtime=2", "ramp_time=500ms", "startdelay=1", "thinktime=7", "latency_target=5ms"),
    ).toMatchObject({
      runtimeMs: 2000,
      rampTimeMs: 500,
      startDelayMs: 1000,
      thinktimeUs: 7,
      latencyTargetUs: 5000,
    });
    expect(optionsOf("max_latency=5ms,7").maxLatencyUs).toEqual([5000, 7, 7]);
  });

  it("percentiles are sorted, 17 by default and at most 20", () => {
    expect(optionsOf("percentile_list=99.9:1:50").percentileList).toEqual([1, 50, 99.9]);
    expect(optionsOf().percentileList).toEqual(DEFAULT_PERCENTILES);
  });
});

describe("what has no effect", () => {
  it("leaves a note with the job, once for all its clones", () => {
    const notes = notesOf("[a]\nioengine=io_uring\nnumjobs=2\nnice=-5\nmem=mmap:/x\nsqthread_poll=1\n");
    expect(notes).toEqual([
      expect.stringMatching(/^a\.fio:1: job a: nice=-5 has no effect: /),
      expect.stringContaining("mem=mmap:/x has no effect"),
      expect.stringContaining("sqthread_poll=1 has no effect"),
    ]);
  });

  it("and is common to several jobs is told once", () => {
    expect(notesOf("[global]\nioengine=null\nuid=0\n[a]\n[b]\n[c]\n")).toEqual([
      expect.stringMatching(/^a\.fio:4: job a \(and 2 more\): uid=0 has no effect/),
    ]);
  });

  it("is said of a wrong mix as fio says it", () => {
    expect(notesOf("[a]\nioengine=null\ntime_based\n")).toEqual([
      "a.fio:1: job a: fio: time_based requires a runtime/timeout setting",
    ]);
  });
});

describe("the table", () => {
  it("has each name once, and none that it calls fio's only", () => {
    const names = OPTIONS.flatMap(({ name, alias }) => (alias === undefined ? [name] : [name, alias]));
    const all = [...names, ...KNOWN_OPTIONS.flat()];
    expect(all.filter((name, index) => all.indexOf(name) !== index)).toEqual([]);
  });

  it("finds by alias, and what was nearly meant", () => {
    expect(findOption("blocksize")?.name).toBe("bs");
    expect(closestOption("iodpeth")).toBe("iodepth");
    expect(closestOption("qqqqqqqqqqqqqqq")).toBeUndefined();
  });
});
