/** Verified blocks: what stamp_block writes, check_block accepts, and it accepts nothing else. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DEFAULT_CONFIG } from "@ringside/core/mm/memory-map";
import { Cpu } from "@ringside/core/sched/cpu";
import { createSharedMemory, Memory } from "atomics-sync";
import { expect, test } from "vitest";
import { Md5 } from "./md5.ts";
import type { FioOptions } from "./task.ts";
import { fio_task } from "./testing/task.ts";
import { ANY, check_block, describe_failure, stamp_block, VERIFY_OK, VerifyFormat } from "./verify.ts";

const BYTES = 4096;
const OFFSET = 73_728;
const SEED = 0xdeadbeef;
const P = 65_536;

function make_cpu(): Cpu {
  const memory = new Memory(createSharedMemory(1 << 18));
  return new Cpu(memory, 0, DEFAULT_CONFIG, { now: () => 1234.5 });
}

function format_of(options: Partial<FioOptions>): VerifyFormat {
  return new VerifyFormat(fio_task(options, 1 << 20).options, 1);
}

const FORMATS: readonly [string, Partial<FioOptions>][] = [
  ["crc32c", { verify: "crc32c" }],
  ["md5", { verify: "md5" }],
  ["crc32c every 512 bytes", { verify: "crc32c", verifyInterval: 512 }],
  ["md5 of a pattern", { verify: "md5", verifyPattern: [0xab, 0xcd, 0xef] }],
  ["pattern", { verify: "pattern", verifyPattern: [0x12, 0x34, 0x56] }],
  [
    "a pattern with the offset",
    { verify: "pattern", verifyPattern: Array(16).fill(7), verifyPatternOffsets: [4] },
  ],
  ["pattern without one", { verify: "pattern" }],
];

test.each(FORMATS)("%s: any flipped bit is caught", (_, options) => {
  const cpu = make_cpu();
  const v = format_of(options);
  stamp_block(cpu, v, P, BYTES, OFFSET, SEED, 9);
  expect(check_block(cpu, v, P, BYTES, OFFSET, SEED, 9)).toBe(VERIFY_OK);
  for (let at = 0; at < BYTES; at++) {
    const byte = cpu.mem.read8(P + at);
    cpu.mem.write8(P + at, byte ^ (1 << (at & 7)));
    // fio looks neither at the kind's upper half nor at unused bytes; here the header's CRC covers them.
    expect(check_block(cpu, v, P, BYTES, OFFSET, SEED, 9)).not.toBe(VERIFY_OK);
    cpu.mem.write8(P + at, byte);
  }
  expect(check_block(cpu, v, P, BYTES, OFFSET, SEED, 9)).toBe(VERIFY_OK);
});

test("meta catches a flipped header and lets data be", () => {
  const cpu = make_cpu();
  const v = format_of({ verify: "meta" });
  stamp_block(cpu, v, P, BYTES, OFFSET, SEED, 9);
  cpu.mem.write8(P + 100, cpu.mem.read8(P + 100) ^ 1);
  expect(check_block(cpu, v, P, BYTES, OFFSET, SEED, 9)).toBe(VERIFY_OK);
  for (let at = 0; at < 40; at++) {
    const byte = cpu.mem.read8(P + at);
    cpu.mem.write8(P + at, byte ^ 4);
    expect(check_block(cpu, v, P, BYTES, OFFSET, SEED, 9)).not.toBe(VERIFY_OK);
    cpu.mem.write8(P + at, byte);
  }
});

test("a block of another place, write or job is not this one, and the message says which", () => {
  const cpu = make_cpu();
  const v = format_of({ verify: "crc32c" });
  stamp_block(cpu, v, P, BYTES, OFFSET, SEED, 9);
  const text = (offset: number, seed: number, number: number): string =>
    describe_failure(v, check_block(cpu, v, P, BYTES, offset, seed, number), "f", offset, BYTES);
  expect(text(OFFSET + BYTES, SEED, 9)).toContain("bad header offset 73728, wanted 77824");
  expect(text(OFFSET, SEED + 1, 9)).toContain("bad header rand_seed");
  expect(text(OFFSET, SEED, 8)).toContain("bad header numberio 9, wanted 8");
  expect(check_block(cpu, v, P, BYTES, OFFSET, ANY, ANY)).toBe(VERIFY_OK);
  cpu.mem.memset(P, 0, BYTES);
  expect(text(OFFSET, SEED, 9)).toContain("bad magic header 0, wanted acca");
});

test.each([0, 4, 52, 56, 60, 64, 120, 4040])("MD5 of %i bytes is the library's", (bytes) => {
  const cpu = make_cpu();
  for (let at = 0; at < bytes; at += 4) cpu.mem.write(P + at, Math.imul(at + 1, 0x9e3779b1));
  const md5 = new Md5();
  md5.md5_of(cpu, P, bytes);
  const data = Buffer.from(Uint8Array.from({ length: bytes }, (_, i) => cpu.mem.read8(P + i)));
  const digest = Buffer.from(md5.words.buffer).toString("hex");
  expect(digest).toBe(createHash("md5").update(data).digest("hex"));
});

const HAS_FIO = spawnSync("fio", ["--version"], { timeout: 20_000 }).status === 0;

test.skipIf(!HAS_FIO).each(["crc32c", "md5", "meta"] as const)(
  "what real fio writes with verify=%s passes (skipped when fio is not installed)",
  (verify) => {
    const folder = mkdtempSync(join(tmpdir(), "ringside-verify-"));
    try {
      const common = ["--name=w", "--filename=f", "--size=32k", "--bs=4k", "--rw=write", "--do_verify=0"];
      const args = [...common, `--verify=${verify}`, "--output=log"];
      expect(spawnSync("fio", args, { cwd: folder, timeout: 20_000 }).status).toBe(0);
      const data = readFileSync(join(folder, "f"));
      const cpu = make_cpu();
      data.forEach((byte, i) => cpu.mem.write8(P + i, byte));
      const v = format_of({ verify });
      for (let at = 0; at < data.length; at += BYTES) {
        expect(check_block(cpu, v, P + at, BYTES, at, ANY, at / BYTES)).toBe(VERIFY_OK);
      }
      // And it is looked at: the same block is wrong elsewhere.
      expect(check_block(cpu, v, P, BYTES, BYTES, ANY, ANY)).not.toBe(VERIFY_OK);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
);
