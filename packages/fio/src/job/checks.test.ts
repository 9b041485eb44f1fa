import { describe, expect, it } from "vitest";
import { checkFits } from "./checks.ts";
import { layoutFiles } from "./files.ts";
import { jobsOf } from "./testing.ts";

const LIMITS = { cpus: 64, iodepth: 4096, memory: 32 << 20 };
const ON_DEVICE = "ioengine=io_uring\nfilename=/dev/nvme0n1";

function misfits(text: string): string[] {
  return checkFits(jobsOf(text), LIMITS).map(({ message }) => message);
}

describe("a job that does not fit is told before it starts", () => {
  it.each([
    ["bs=1000", "a multiple of the namespace's 512 B blocks"],
    ["bssplit=512/50:700/50", "bs=700".slice(0, 2)],
    ["bs_unaligned\nbsrange=1k-4k", "sizes in whole blocks"],
    ["offset=100", "a multiple of the namespace's 512 B blocks"],
    ["filename=b:c\nsize=8k", "at least a block for each of the job's 3 files"],
    ["size=65m", "offset 0 + size 68157440 to fit the namespace's 67108864 bytes"],
    ["offset=63m\nsize=2m", "to fit the namespace"],
    ["offset=64m", "to fit the namespace"],
    ["size=16m\noffset_increment=32m\nnumjobs=3", "offset 67108864"],
    ["iodepth=4097\nbs=512", "at most 4096"],
    ["numjobs=65", "at most 64 jobs at a time, not 65"],
    ["iodepth=1024\nbs=64k", "buffers of 33554432 bytes for all jobs at a time, not 67108864"],
    [";emu buf=dmabuf", "direct=1"],
  ])("%s", (text, said) => {
    expect(misfits(`[a]\n${ON_DEVICE}\n${text}\n`)).toEqual([expect.stringContaining(said)]);
  });

  it("a file that is not the namespace needs a size in bytes", () => {
    expect(misfits("[a]\nioengine=io_uring\n")).toEqual([
      expect.stringMatching(/^a: you need to specify size=\njob a: size: expected bytes/),
    ]);
    expect(misfits("[a]\nioengine=io_uring\nsize=50%\n")).toHaveLength(1);
  });

  it("files of all jobs share the namespace", () => {
    expect(misfits("[a]\nsize=40m\n[b]\nstonewall\nsize=40m\n")).toEqual([
      expect.stringContaining("files of 67108864 bytes in all"),
    ]);
  });

  it("jobs at a time run on one machine", () => {
    const text = `[a]\n${ON_DEVICE}\n[b]\n${ON_DEVICE}\n;emu iommu=lazy\n`;
    expect(misfits(text)).toEqual([expect.stringContaining("iommu=strict as in job a")]);
  });
});

it("what fits is not complained of: unlike machines in stages, unlike buffers at a time, unused sizes", () => {
  const other = ";emu iommu=lazy buf=dmabuf\ndirect=1";
  expect(misfits(`[a]\n${ON_DEVICE}\n[b]\nstonewall\n${ON_DEVICE}\n${other}\n`)).toEqual([]);
  expect(misfits(`[a]\n${ON_DEVICE}\n[b]\n${ON_DEVICE}\ndirect=1\n;emu buf=dmabuf\n`)).toEqual([]);
  expect(misfits(`[a]\n${ON_DEVICE}\nrw=read\nbs=4k,1000\n`)).toEqual([]);
  expect(misfits("[a]\nioengine=null\nsize=1000g\nbs=100\niodepth=1024\n")).toEqual([]);
});

it("files lie one behind the other, shared ones once, the namespace over all", () => {
  const jobs = jobsOf(
    "[a]\nsize=5000\n[b]\nsize=4k\nfilename=x:y\n[c]\nsize=8k\nfilename=y\n[d]\nfilename=nvme0n1\n",
  );
  expect([...layoutFiles(jobs)]).toEqual([
    ["nvme0n1", { start: 0, size: 64 << 20 }],
    ["a.0.0", { start: 0, size: 5000 }],
    ["x", { start: 8192, size: 2048 }],
    ["y", { start: 12288, size: 8192 }],
  ]);
});
