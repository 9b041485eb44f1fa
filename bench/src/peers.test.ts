import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { isMissing, type Missing, type Subject } from "./bench.ts";
import { nativePeer } from "./peers.ts";

function compiles(): boolean {
  try {
    execFileSync("cc", ["--version"], { stdio: "ignore", timeout: 10_000 });
    return true;
  } catch {
    return false;
  }
}

const PERCPU = { name: "C shards", source: "percpu.c", libraries: ["pthread"] } as const;

test("without a compiler the peer is missing, with the reason", async () => {
  const peer = await nativePeer({ ...PERCPU, args: ["atomic", "1"], compiler: "no-such-compiler" });
  expect(peer).toEqual({ name: "C shards", missing: "no C compiler: no-such-compiler is not installed" });
});

describe.skipIf(!compiles())("with a C compiler (cc; skipped where it is missing)", () => {
  test("a peer is built once and says a figure each time", { timeout: 30_000 }, async () => {
    const peer = (await nativePeer({ ...PERCPU, args: ["atomic", "1"] })) as Subject;
    expect(isMissing(peer)).toBe(false);
    expect(await peer.measure(1)).toBeGreaterThan(0);
    expect(await peer.measure(1)).toBeGreaterThan(0);
  });
  test("a source that does not exist is an error, not a missing peer", async () => {
    await expect(nativePeer({ ...PERCPU, source: "not-there.c" })).rejects.toThrow("not-there.c");
  });
  test("a program that refuses its arguments is an error that says what it said", async () => {
    await expect(nativePeer({ ...PERCPU, args: ["nonsense", "1"] })).rejects.toThrow("usage: percpu");
  });
  test("a program that cannot run here is missing with what it said", async () => {
    const peer = (await nativePeer({ ...PERCPU, source: "testing/refuses.c" })) as Missing;
    expect(peer.missing).toBe("this machine forbids it");
  });
  test("a missing library is named", async () => {
    const peer = (await nativePeer({ ...PERCPU, source: "testing/no-library.c" })) as Missing;
    expect(peer.missing).toMatch(/^cc failed \(1\): .*no-such-library\.h: No such file/);
  });
});
