import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { keyTree } from "@ringside/fio/testing/key-tree";
import { ringside } from "./ringside.ts";

const LIMIT_MS = 20_000;
const version = spawnSync("fio", ["--version"], { encoding: "utf8", timeout: LIMIT_MS }).stdout?.trim();

/** In a report: latencies have been measured. */
const RUNNING = /"N" : [1-9]/;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "ringside-fio-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function jobFile(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

it("a job file with an error: its place and what was expected, exit 1, and nothing has run", async () => {
  const file = jobFile("bad.fio", "[a]\nioengine=io_uring\nrw=read\nsize=1m\nnosuch=1\n");
  const { status, stdout, stderr } = await ringside(["fio", file, "--output", join(folder, "bad.out")]);
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  expect(stderr).toMatch(/^Bad option <nosuch=1>\n/);
  expect(stderr).toMatch(/bad\.fio:5: nosuch: expected /);
  expect(stderr).toMatch(/fio: job a dropped\n$/);
  expect(existsSync(join(folder, "bad.out"))).toBe(false);
});

it("--parse-only runs nothing, and a job that does not fit says so before it starts", async () => {
  const file = jobFile("large.fio", "[a]\nioengine=io_uring\nrw=read\nsize=10g\n");
  const [parsed, refused] = await Promise.all([
    ringside(["fio", "--parse-only", file]),
    ringside(["fio", file]),
  ]);
  expect(parsed).toEqual({ status: 0, stdout: "", stderr: "" });
  expect(refused).toMatchObject({ status: 1, stdout: "" });
  expect(refused.stderr).toMatch(/job a: size: expected .*67108864 bytes/);
});

it("--json is one document, its I/Os are the controller's own count, and logs are written", async () => {
  const job = "--name=x --ioengine=io_uring --rw=randrw --size=1m --bs=4k --iodepth=4 --numjobs=2";
  const often = "--time_based --runtime=200ms --log_avg_msec=50 --group_reporting";
  const logs = `--write_bw_log=${join(folder, "x")}`;
  const { status, stdout, stderr } = await ringside([
    "fio",
    "--json",
    ...`${job} ${often} ${logs}`.split(" "),
  ]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const { jobs, disk_util: disks } = JSON.parse(stdout) as Record<string, any>;
  expect(jobs).toHaveLength(1);
  expect(jobs[0].read.total_ios).toBeGreaterThan(0);
  expect([jobs[0].read.total_ios, jobs[0].write.total_ios]).toEqual([disks[0].read_ios, disks[0].write_ios]);
  for (const number of [1, 2]) {
    expect(readFileSync(join(folder, `x_bw.${number}.log`), "utf8")).toMatch(/^(\d+, \d+, [01], \d+, 0\n)+$/);
  }
});

it("Ctrl-C: what was measured until then, in one document, and exit 130", async () => {
  const job = "--name=x --ioengine=io_uring --rw=randread --size=1m --time_based --runtime=60";
  let heard = "";
  let listening = false;
  const { status, stdout, stderr } = await ringside(
    ["fio", "--json", "--status-interval=100ms", ...job.split(" ")],
    (child) => {
      if (listening) return;
      listening = true;
      // The reports in between say when it has got going. Once: a second signal would not wait for the report.
      child.stderr?.on("data", (data: Buffer) => {
        const before = RUNNING.test(heard);
        heard += data.toString();
        if (!before && RUNNING.test(heard)) child.kill("SIGINT");
      });
    },
  );
  expect(status).toBe(130);
  expect(stderr).toContain("fio: terminating on signal 2\n");
  const { jobs } = JSON.parse(stdout) as Record<string, any>;
  expect(jobs[0].read.total_ios).toBeGreaterThan(0);
  expect(jobs[0].read.runtime).toBeLessThan(60_000);
});

it("several formats go to --output, and a job with an error makes it exit 1", async () => {
  const output = join(folder, "all.txt");
  const job = "--name=x --ioengine=io_uring --rw=randread --size=1m --max_latency=1us";
  const formats = ["--output-format=normal,terse", "--output", output];
  const { status, stdout } = await ringside(["fio", ...formats, ...job.split(" ")]);
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  const text = readFileSync(output, "utf8");
  expect(text).toMatch(
    /^x: \(g=0\): rw=randread, .*\nfio-3\.33\nringside .*\nStarting 1 thread\n3;fio-3\.33;x;0;110;/,
  );
  expect(text).toMatch(/\nx: \(groupid=0, jobs=1\): err=110 \(.*\): pid=\d+: /);
});

it.skipIf(version !== "fio-3.33")(
  "the key tree of a run's JSON+ is real fio's for the same job file: order and types (needs fio 3.33)",
  async () => {
    const file = jobFile(
      "same.fio",
      "[global]\nioengine=null\nsize=1m\nbs=4k\n[a]\nrw=randrw\niodepth=4\n[b]\nstonewall\nrw=trim\nlat_percentiles=1",
    );
    const { status, stdout } = await ringside(["fio", "--output-format=json+", file]);
    const real = spawnSync("fio", ["--output-format=json+", file], { encoding: "utf8", timeout: LIMIT_MS });
    expect([status, real.status]).toEqual([0, 0]);
    expect(keyTree(stdout)).toEqual(keyTree(real.stdout));
  },
);
