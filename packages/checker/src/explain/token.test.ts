import { describe, expect, it } from "vitest";
import { Execution } from "../execution.ts";
import { explore } from "../explore.ts";
import { Random, RandomWalk } from "../strategy/random.ts";
import { lostUpdate } from "../testing/hand.ts";
import { crc32, decodeBase64url, encodeBase64url } from "./base64url.ts";
import { bank, messagePassing } from "./testing/programs.ts";
import { replayRecord, replayRecordOf } from "./token-replay.ts";
import {
  decodeToken,
  encodeToken,
  type ReplayRecord,
  strideOf,
  TOKEN_VERSION,
  TokenError,
  TokenVersionError,
} from "./token.ts";

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

function randomRecord(random: Random): ReplayRecord {
  const threads = 1 + random.below(128);
  const schedule = new Uint8Array(random.below(400));
  for (let i = 0; i < schedule.length; i++) {
    schedule[i] = i > 0 && random.below(4) > 0 ? (schedule[i - 1] as number) : random.below(threads);
  }
  const choices = Array.from({ length: random.below(20) }, () => random.below(3) * random.below(200));
  choices.push(1 + random.below(254));
  return {
    subject: { scenario: `s${random.below(1000)}`, variant: "v3", größe: "日本" },
    options: {
      granularity: random.below(2) === 0 ? "all" : "sync",
      timeouts: random.below(2) === 0 ? "lazy" : "eager",
      earlyTimeouts: random.below(5),
      maxSteps: random.below(1_000_000),
    },
    threads,
    hash: random.next() | 0,
    marks: Array.from({ length: random.below(17) }, () => random.below(256)),
    schedule,
    choices,
    kind: random.below(2) === 0 ? "deadlock" : "a kind of tomorrow",
    signature: random.next() | 0,
  };
}

const random = new Random(1);
const records = Array.from({ length: 300 }, () => randomRecord(random));

describe("base64url", () => {
  it("is what Node writes, for every length", () => {
    for (let length = 0; length < 40; length++) {
      const bytes = Uint8Array.from({ length }, () => random.below(256));
      expect(encodeBase64url(bytes)).toBe(Buffer.from(bytes).toString("base64url"));
      expect(decodeBase64url(encodeBase64url(bytes))).toEqual(bytes);
    }
  });
  it("refuses other letters, and texts that encode nothing", () => {
    expect(decodeBase64url("AB=")).toMatch(/character 3 is "="/);
    expect(decodeBase64url("AAAAA")).toMatch(/missing or one too many/);
    expect(decodeBase64url("AB")).toMatch(/cannot be the last/);
  });
  it("checks sums as zip does", () => {
    expect(crc32(new TextEncoder().encode("123456789"))).toBe(0xcbf43926);
  });
});

describe("a replay token", () => {
  it("says after decoding what was encoded", () => {
    for (const record of records) expect(decodeToken(encodeToken(record))).toEqual(record);
  });

  it("is refused when any one character is another, missing or doubled", () => {
    for (const record of records.slice(0, 12)) {
      const token = encodeToken(record);
      for (let i = 0; i < token.length; i++) {
        const letter = LETTERS[(LETTERS.indexOf(token[i] as string) + 1 + random.below(63)) % 64] as string;
        const changes = [
          token.slice(0, i) + letter + token.slice(i + 1),
          token.slice(0, i) + token.slice(i + 1),
          token.slice(0, i) + (token[i] as string) + token.slice(i),
        ];
        for (const change of changes) {
          if (change !== token) expect(() => decodeToken(change)).toThrow(TokenError);
        }
      }
    }
  });

  it("is refused when cut at any place, and says about how much is missing", () => {
    const token = encodeToken(records[0] as ReplayRecord);
    for (let end = 0; end < token.length; end++) {
      expect(() => decodeToken(token.slice(0, end))).toThrow(TokenError);
    }
    expect(() => decodeToken(token.slice(0, -8))).toThrow(/cut short: .* about 8 characters are missing/);
  });

  it("is known as no token at all when it is something else", () => {
    for (const text of ["", "hello", "token-recheck", "not a token", "AAAAAAAAAAAAAAAA"]) {
      expect(() => decodeToken(text)).toThrow(/^not a replay token/);
    }
  });

  it("of another version is refused by name of both versions", () => {
    const bytes = decodeBase64url(encodeToken(records[0] as ReplayRecord)) as Uint8Array;
    bytes[1] = 9;
    const sum = crc32(bytes, bytes.length - 4);
    for (let i = 0; i < 4; i++) bytes[bytes.length - 4 + i] = (sum >>> (8 * i)) & 0xff;
    const error = thrownBy(() => decodeToken(encodeBase64url(bytes)));
    expect(error).toBeInstanceOf(TokenVersionError);
    expect(error).toMatchObject({ found: 9, supported: TOKEN_VERSION });
    expect(String(error)).toContain(`version 9, this checker reads version ${TOKEN_VERSION}`);
  });

  it("of 180 steps with three switches has fewer than 80 characters", () => {
    const schedule = new Uint8Array(180).fill(1, 40, 90).fill(2, 90, 150);
    const record: ReplayRecord = {
      ...(records[0] as ReplayRecord),
      subject: { scenario: "twostage" },
      kind: "assertion",
      threads: 3,
      choices: [],
      marks: Array.from({ length: 12 }, () => 0),
      schedule,
    };
    expect(encodeToken(record).length).toBeLessThan(80);
  });

  it("keeps at most sixteen marks, whatever the length", () => {
    for (const picks of [0, 1, 15, 16, 17, 1000, 20_000])
      expect(picks / strideOf(picks)).toBeLessThanOrEqual(16);
  });
});

describe("the replay of a token", () => {
  it("is exact 100 times of 100", () => {
    const execution = new Execution(bank(3, 2));
    const { failure } = explore(execution, new RandomWalk(1), { executions: 1000 });
    const token = encodeToken(replayRecordOf(execution, failure!, { program: "bank" }, "all"));
    const other = new Execution(bank(3, 2));
    for (let i = 0; i < 100; i++) {
      expect(replayRecord(other, decodeToken(token))).toMatchObject({
        exact: true,
        same: true,
        changed: undefined,
      });
    }
  });

  it("notices a program that has changed, and where", () => {
    const execution = new Execution(messagePassing(20));
    const { failure } = explore(execution, new RandomWalk(1), { executions: 20_000 });
    const record = replayRecordOf(execution, failure!, {}, "all");
    const replayed = replayRecord(new Execution(messagePassing(18)), record);
    expect(replayed.exact).toBe(false);
    expect(replayed.changed).toMatch(
      /^the program has changed: it does something else between step \d+ and step \d+/,
    );
    const fewer = replayRecord(new Execution(lostUpdate(3)), record);
    expect(fewer.changed).toMatch(/3 threads, the token was made of 2/);
  });
});

function thrownBy(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}
