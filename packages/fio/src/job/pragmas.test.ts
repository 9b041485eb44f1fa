import { describe, expect, it } from "vitest";
import { parseCommandLine } from "./parse.ts";
import { errorsOf, jobOf, jobsOf, testEnv } from "./testing.ts";

describe("a pragma", () => {
  it("before the sections is for all jobs, in [global] for later ones, in a section for that one", () => {
    const text = `
;emu iommu=lazy
[a]
[global]
;emu buf=dmabuf
[b]
;emu iommu=passthrough, completion=poll
[c]
`;
    expect(jobsOf(text).map(({ emulator: e }) => [e.iommu, e.buf, e.completion])).toEqual([
      ["lazy", "registered", "irq"],
      ["passthrough", "dmabuf", "poll"],
      ["lazy", "dmabuf", "irq"],
    ]);
  });

  it("sets every setting", () => {
    const { emulator } = jobOf(";emu percpu=owner variant=v3 media=1g invalidate=500us");
    expect(emulator).toMatchObject({ percpu: "owner", variant: "v3", media: 2 ** 30, invalidateMs: 0.5 });
    expect(jobOf(";emu invalidate=5").emulator.invalidateMs).toBe(5);
  });

  it("may stand behind an option, and in an included file", () => {
    expect(jobOf("bs=4k ;emu buf=dmabuf").emulator.buf).toBe("dmabuf");
    const [job] = jobsOf("[a]\ninclude inc\n", testEnv({ inc: ";emu buf=dmabuf\n" }));
    expect(job?.emulator.buf).toBe("dmabuf");
  });

  it("is a comment like any other when it only looks like one", () => {
    expect(jobOf("; emu buf=x", ";emulate buf=x", "# ;emu buf=x").emulator.buf).toBe("registered");
  });

  it.each([
    ["nosuch=1", "buf=, iommu="],
    ["buf=vram", "buf=registered|dmabuf"],
    ["media=5", "a multiple of 4096"],
    ["invalidate=soon", "a time".slice(2)],
    ["buf", "buf=registered|dmabuf"],
    ["", "key=value"],
  ])("that is wrong is an error with its line: %s", (text, expected) => {
    const [error] = errorsOf(`[a]\nbs=4k\n;emu ${text}\n`);
    expect(error).toMatchObject({ file: "a.fio", line: 3 });
    expect(error?.expected).toContain(expected);
  });

  it("before the sections is checked as well", () => {
    expect(errorsOf(";emu x=1\n[a]\n")).toMatchObject([{ line: 1 }]);
  });

  it("has a form for the command line", () => {
    const result = parseCommandLine(
      ["--emu=iommu=lazy", "--name=a", "--emu", "buf=dmabuf,media=1m"],
      [],
      testEnv(),
    );
    const [job] = "jobs" in result ? result.jobs : [];
    expect(job?.emulator).toMatchObject({ iommu: "lazy", buf: "dmabuf", media: 2 ** 20 });
  });
});

it("gpu_dmabuf, of fio with dma-buf support, asks for dma-buf buffers", () => {
  expect(jobOf("ioengine=io_uring", "gpu_dmabuf=1").emulator.buf).toBe("dmabuf");
});

it("defaults come from the caller", () => {
  const [job] = jobsOf("[a]\n", { ...testEnv(), emulator: { iommu: "lazy", media: 4096 } });
  expect(job?.emulator).toMatchObject({ iommu: "lazy", media: 4096, buf: "registered" });
});
