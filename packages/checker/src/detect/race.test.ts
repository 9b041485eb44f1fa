/** Data races by declared order: each broken form is found, each correct form is silent. */
import { describe, expect, it } from "vitest";
import type { ControlledMemory } from "../controlled-memory.ts";
import { Execution } from "../execution.ts";
import { explore } from "../explore.ts";
import type { Program } from "../program.ts";
import { RandomWalk } from "../strategy/random.ts";
import { Replay } from "../strategy/replay.ts";
import { hand, lostUpdate, X, Y, Z } from "../testing/hand.ts";
import type { Finding } from "../world.ts";
import { defaultMonitors } from "./index.ts";
import { found, go, kinds, lock, runOn, sites, type Steps, unlock } from "./testing/steps.ts";

type Body = (m: ControlledMemory) => Steps;

function program(...bodies: Body[]): Program {
  return { name: "race", threads: bodies.map((body) => hand(body)) };
}

const [W1 = 0, W2 = 0, W3 = 0] = sites("mp.ts", "producer", 3);
const [R1 = 0, R2 = 0, R3 = 0] = sites("mp.ts", "consumer", 3);

interface MessageForm {
  readonly store: "once" | "release" | "fence" | "plain" | "rmw";
  readonly load: "once" | "acquire" | "fence" | "plain" | "rmw";
}

/** Message passing: data at X, flag at Y. */
function messagePassing({ store, load }: MessageForm): Program {
  return program(
    function* producer(m): Steps {
      yield* go(m, m.$write(X, 42, W1));
      if (store === "fence") yield* go(m, m.$fence(W2));
      if (store === "plain") yield* go(m, m.$write(Y, 1, W3));
      else if (store === "release") yield* go(m, m.$storeRelease(Y, 1, W3));
      else if (store === "rmw") yield* go(m, m.$fetchAdd(Y, 1, W3));
      else yield* go(m, m.$writeOnce(Y, 1, W3));
    },
    function* consumer(m): Steps {
      let flag: number;
      if (load === "plain") flag = yield* go(m, m.$read(Y, R1));
      else if (load === "acquire") flag = yield* go(m, m.$loadAcquire(Y, R1));
      else if (load === "rmw") flag = yield* go(m, m.$fetchOr(Y, 0, R1));
      else flag = yield* go(m, m.$readOnce(Y, R1));
      if (load === "fence") yield* go(m, m.$fence(R2));
      if (flag !== 0) yield* go(m, m.$read(X, R3));
    },
  );
}

describe("message passing", () => {
  const good: MessageForm[] = [
    { store: "release", load: "acquire" },
    { store: "fence", load: "fence" },
    { store: "fence", load: "acquire" },
    { store: "release", load: "fence" },
    { store: "rmw", load: "acquire" },
    { store: "release", load: "rmw" },
    { store: "rmw", load: "rmw" },
  ];
  it.each(good)("with $store and $load is clean", (form) => {
    expect(kinds(messagePassing(form))).toEqual([]);
  });

  const bad: MessageForm[] = [
    { store: "once", load: "once" },
    { store: "release", load: "once" },
    { store: "once", load: "acquire" },
    { store: "fence", load: "once" },
    { store: "once", load: "fence" },
    { store: "plain", load: "acquire" },
  ];
  it.each(bad)("with $store and $load is a race", (form) => {
    expect(kinds(messagePassing(form))).toEqual(["data-race"]);
  });

  it("is a race on the data, in KCSAN's shape, with the missing release named", () => {
    const { finding } = runOn(messagePassing({ store: "once", load: "acquire" }), [0, 0, 1, 1]);
    expect(finding).toMatchObject({ kind: "data-race", thread: 1, site: R3 });
    expect(finding?.report).toBe(
      [
        "BUG: KCSAN: data-race in consumer / producer",
        "",
        "read to 0x00000100 of 4 bytes by t1 at consumer (mp.ts:3)",
        "",
        "write to 0x00000100 of 4 bytes by t0 at producer (mp.ts:1)",
        "",
        "value changed: 0x00000000 -> 0x0000002a",
        "",
        "missing edge: t1 read from 0x00000200 at consumer (mp.ts:1) what t0 stored at producer (mp.ts:3), " +
          "but that store is no release and no fence stands before it.",
      ].join("\n"),
    );
  });

  it("names the load when the store is a release", () => {
    const { finding } = runOn(messagePassing({ store: "release", load: "once" }), [0, 0, 1, 1]);
    expect(finding?.report).toContain(
      "which is a release, but the load is no acquire and no fence follows it",
    );
  });

  it("knows that a fence after the store, or before the load, is of no use", () => {
    const late = program(
      function* (m): Steps {
        yield* go(m, m.$write(X, 42, W1));
        yield* go(m, m.$writeOnce(Y, 1, W2));
        yield* go(m, m.$fence(W3));
      },
      function* (m): Steps {
        yield* go(m, m.$fence(R1));
        if ((yield* go(m, m.$loadAcquire(Y, R2))) !== 0) yield* go(m, m.$read(X, R3));
      },
    );
    expect(kinds(late)).toEqual(["data-race"]);
  });

  it("says that nothing was published since, when the store that was read came before the access", () => {
    const early = program(
      function* (m): Steps {
        yield* go(m, m.$storeRelease(Y, 1, W1));
        yield* go(m, m.$write(X, 42, W2));
      },
      function* (m): Steps {
        yield* go(m, m.$loadAcquire(Y, R1));
        yield* go(m, m.$read(X, R3));
      },
    );
    expect(runOn(early, [0, 0, 1, 1]).finding?.report).toContain("since then t0 has published nothing");
  });

  it("does not take what an earlier execution saw for what this one saw", () => {
    const both = program(
      function* (m): Steps {
        yield* go(m, m.$write(X, 42, W1));
        yield* go(m, m.$writeOnce(Y, 1, W3));
      },
      function* (m): Steps {
        yield* go(m, m.$readOnce(Y, R1));
        yield* go(m, m.$read(X, R3));
      },
    );
    const execution = new Execution(both, { monitors: defaultMonitors() });
    const report = (schedule: number[]): string | undefined => {
      const replay = new Replay(Uint8Array.from(schedule), []);
      replay.begin();
      return execution.run(replay, 0).finding?.report;
    };
    expect(report([0, 0, 1, 1])).toContain("but that store is no release");
    expect(report([1, 0, 1, 0])).toContain("since then t0 has published nothing");
  });

  it("goes on through a read-modify-write of a third thread, and ends at its plain store", () => {
    const through = (body: Body): Program =>
      program(
        function* (m): Steps {
          yield* go(m, m.$write(X, 42, W1));
          yield* go(m, m.$storeRelease(Y, 1, W2));
        },
        body,
        function* (m): Steps {
          if ((yield* go(m, m.$loadAcquire(Y, R1))) === 2) yield* go(m, m.$read(X, R2));
        },
      );
    const counted = through(function* (m): Steps {
      yield* go(m, m.$fetchAdd(Y, 1, W3));
    });
    const stored = through(function* (m): Steps {
      if ((yield* go(m, m.$readOnce(Y, W3))) === 1) yield* go(m, m.$writeOnce(Y, 2, W3));
    });
    expect(kinds(counted)).toEqual([]);
    expect(kinds(stored)).toEqual(["data-race"]);
  });

  it("may rely on a failed compareExchange in JavaScript, and not in the kernel", () => {
    const failed = program(
      function* (m): Steps {
        yield* go(m, m.$write(X, 42, W1));
        yield* go(m, m.$storeRelease(Y, 1, W2));
      },
      function* (m): Steps {
        if ((yield* go(m, m.$compareExchange(Y, 7, 8, R1))) === 1) yield* go(m, m.$read(X, R2));
      },
    );
    expect(kinds(failed)).toEqual([]);
    expect(kinds(failed, { failedExchange: "once" })).toEqual(["data-race"]);
  });
});

describe("plain accesses", () => {
  it("race without any order", () => {
    const { after: _, ...plain } = lostUpdate();
    expect(kinds(plain)).toEqual(["data-race"]);
    expect(kinds(plain, { races: false })).toEqual([]);
  });

  it("under a lock do not", () => {
    const counter: Body = function* (m) {
      yield* lock(m, Y, W1);
      const value = yield* go(m, m.$read(X, W2));
      yield* go(m, m.$write(X, value + 1, W2));
      yield* unlock(m, Y, W3);
    };
    expect(kinds(program(counter, counter, counter))).toEqual([]);
  });

  it("under two locks race, and no edge is known", () => {
    const counter = (p: number): Body =>
      function* (m) {
        yield* lock(m, p, W1);
        yield* go(m, m.$write(X, 1, W2));
        yield* unlock(m, p, W3);
      };
    const race = found(program(counter(Y), counter(Z))).get("data-race");
    expect(race?.report).toMatch(/missing edge: since then t\d has published nothing that t\d has acquired/);
  });

  it("race with marked ones, which do not race with each other", () => {
    const writer: Body = function* (m) {
      yield* go(m, m.$writeOnce(X, 1, W1));
    };
    const once: Body = function* (m) {
      yield* go(m, m.$readOnce(X, R1));
    };
    const plain: Body = function* (m) {
      yield* go(m, m.$read(X, R2));
    };
    const plainWriter: Body = function* (m) {
      yield* go(m, m.$write(X, 2, W2));
    };
    expect(kinds(program(writer, once, writer))).toEqual([]);
    expect(kinds(program(writer, plain))).toEqual(["data-race"]);
    expect(kinds(program(plainWriter, once))).toEqual(["data-race"]);
    expect(kinds(program(plain, plain))).toEqual([]);
  });

  it("race with each of several unordered readers, not only the last", () => {
    const reader = (p: number): Body =>
      function* (m) {
        yield* go(m, m.$read(X, R1));
        yield* go(m, m.$storeRelease(p, 1, R2));
      };
    const writer = (both: boolean): Body =>
      function* (m) {
        const y = yield* go(m, m.$loadAcquire(Y, W1));
        const z = both ? yield* go(m, m.$loadAcquire(Z, W2)) : y;
        if (y + z === 2) yield* go(m, m.$write(X, 1, W3));
      };
    expect(runOn(program(reader(Y), reader(Z), writer(false)), [0, 1, 1, 0, 2, 2]).finding?.kind).toBe(
      "data-race",
    );
    expect(kinds(program(reader(Y), reader(Z), writer(true)))).toEqual([]);
  });

  it("of neighbouring bytes do not race, those that overlap do", () => {
    const bytes = (p: number): Body =>
      function* (m) {
        yield* go(m, m.$write8(p, 1, W1));
      };
    const half: Body = function* (m) {
      yield* go(m, m.$write16(X + 2, 1, W2));
    };
    const word: Body = function* (m) {
      yield* go(m, m.$read(X, R1));
    };
    expect(kinds(program(bytes(X), bytes(X + 1), half))).toEqual([]);
    expect(kinds(program(bytes(X + 3), half))).toEqual(["data-race"]);
    expect(kinds(program(bytes(X), word))).toEqual(["data-race"]);
  });

  it("of 64 bits, and bulk ones, touch each word", () => {
    const wide: Body = function* (m) {
      yield* go(m, m.$write64(X, 1, W1));
    };
    const at = (p: number): Body =>
      function* (m) {
        yield* go(m, m.$read(p, R1));
      };
    const copy: Body = function* (m) {
      m.at(W2).memcpy(Y, X, 64);
      yield* go(m, m.$readOnce(Z, W3));
    };
    const fill: Body = function* (m) {
      m.at(W2).memset(X, 1, 64);
      yield* go(m, m.$readOnce(Z, W3));
    };
    expect(kinds(program(wide, at(X + 4)))).toEqual(["data-race"]);
    expect(kinds(program(wide, at(X + 8)))).toEqual([]);
    expect(kinds(program(copy, at(Y + 60)))).toEqual(["data-race"]);
    expect(kinds(program(copy, at(Y + 64)))).toEqual([]);
    expect(kinds(program(copy, wide))).toEqual(["data-race"]);
    expect(kinds(program(fill, at(X + 60)))).toEqual(["data-race"]);
  });
});

describe("known algorithms", () => {
  /** One writer, one reader that uses what it copied only when the sequence has not moved. */
  const seqlock = (plain: boolean): Program =>
    program(
      function* writer(m): Steps {
        yield* go(m, m.$writeOnce(Y, 1, W1));
        yield* go(m, m.$fence(W1));
        for (const p of [X, X + 4]) {
          if (plain) yield* go(m, m.$write(p, 7, W2));
          else yield* go(m, m.$writeOnce(p, 7, W2));
        }
        yield* go(m, m.$storeRelease(Y, 2, W3));
      },
      function* reader(m): Steps {
        const seq = yield* go(m, m.$loadAcquire(Y, R1));
        if ((seq & 1) !== 0) return;
        for (const p of [X, X + 4]) {
          if (plain) yield* go(m, m.$read(p, R2));
          else yield* go(m, m.$readOnce(p, R2));
        }
        yield* go(m, m.$fence(R3));
        yield* go(m, m.$readOnce(Y, R3));
      },
    );

  it("a seqlock reader with plain reads races; with ONCE it does not", () => {
    expect(kinds(seqlock(true))).toEqual(["data-race"]);
    expect(kinds(seqlock(false))).toEqual([]);
  });

  /** Whoever sees the other's flag down goes in; nobody tries twice. */
  const dekker = (ordered: boolean): Program => {
    const side = (mine: number, other: number): Body =>
      function* (m) {
        yield* go(m, m.$writeOnce(mine, 1, W1));
        if (ordered) yield* go(m, m.$fence(W1));
        const up = yield* go(m, ordered ? m.$loadAcquire(other, W2) : m.$readOnce(other, W2));
        if (up === 0) {
          const value = yield* go(m, m.$read(X, W2));
          yield* go(m, m.$write(X, value + 1, W2));
        }
        yield* go(m, ordered ? m.$storeRelease(mine, 0, W3) : m.$writeOnce(mine, 0, W3));
      };
    return program(side(Y, Z), side(Z, Y));
  };

  it("Dekker's flags order the section with fences, release and acquire, and not without", () => {
    expect(kinds(dekker(true))).toEqual([]);
    expect(kinds(dekker(false))).toEqual(["data-race"]);
  });

  it("what a thread did before a notify is seen by those it wakes", () => {
    const sleeper: Body = function* (m) {
      yield* go(m, m.$wait(Y, 0, Infinity, R1));
      yield* go(m, m.$read(X, R2));
    };
    const waker: Body = function* (m) {
      yield* go(m, m.$write(X, 1, W1));
      yield* go(m, m.$notify(Y, 1, W2));
    };
    expect(runOn(program(sleeper, waker), [0, 1, 1, 0, 0]).finding).toBeUndefined();
    const late: Body = function* (m) {
      yield* go(m, m.$notify(Y, 1, W2));
      yield* go(m, m.$write(X, 1, W1));
    };
    expect(runOn(program(sleeper, late), [0, 1, 1, 0, 0]).finding?.kind).toBe("data-race");
  });

  it("the last thread comes after all others", () => {
    const writer: Body = function* (m) {
      yield* go(m, m.$write(X, 1, W1));
    };
    const last = hand(function* (m): Steps {
      yield* go(m, m.$read(X, R1));
    });
    expect(kinds({ ...program(writer), lastly: last })).toEqual([]);
  });
});

describe("mutes", () => {
  const { after: _, ...plain } = lostUpdate();
  const race = messagePassing({ store: "once", load: "once" });
  it("of a site marked data_race cover this site only", () => {
    const reader = (site: { name: string; line: number }): boolean =>
      site.name === "consumer" && site.line === 3;
    expect(kinds(race, { dataRace: reader })).toEqual([]);
    expect(kinds(race, { dataRace: (site) => site.name === "consumer" && site.line === 1 })).toEqual([
      "data-race",
    ]);
  });
  it("of a file cover races within it only", () => {
    expect(kinds(race, { benign: ["mp.ts"] })).toEqual([]);
    expect(kinds(race, { benign: ["other.ts"] })).toEqual(["data-race"]);
    expect(kinds(plain, { benign: ["mp.ts"] })).toEqual(["data-race"]);
  });
});

describe("the monitor", () => {
  it("collects each pair of sites once when asked to go on", () => {
    const races: Finding[] = [];
    const collect = (finding: Finding): void => void races.push(finding);
    const execution = new Execution(messagePassing({ store: "plain", load: "plain" }), {
      monitors: defaultMonitors({ collect }),
    });
    const { failure } = explore(execution, new RandomWalk(3), { executions: 200 });
    expect(failure).toBeUndefined();
    const places = races.map(({ message }) => /0x\d+/.exec(message)?.[0]);
    expect(places).toHaveLength(2);
    expect(new Set(places)).toEqual(new Set(["0x00000100", "0x00000200"]));
  });

  it("gives equal findings for equal schedules, whatever was run in between", () => {
    const execution = new Execution(messagePassing({ store: "once", load: "once" }), {
      monitors: defaultMonitors(),
    });
    const random = new RandomWalk(5);
    const run = (index: number): string | undefined => {
      random.begin(execution, index);
      return execution.run(random, index).finding?.report;
    };
    const first = Array.from({ length: 50 }, (_, i) => run(i));
    expect(first.filter((report) => report !== undefined).length).toBeGreaterThan(0);
    expect(Array.from({ length: 50 }, (_, i) => run(49 - i)).toReversed()).toEqual(first);
  });
});
