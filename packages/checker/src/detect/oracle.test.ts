/** The fast detector finds a race exactly where the rules, applied to every pair of accesses, say there is one. */
import { describe, expect, it } from "vitest";
import type { ControlledMemory } from "../controlled-memory.ts";
import { Execution } from "../execution.ts";
import type { Monitor } from "../monitor.ts";
import type { Program } from "../program.ts";
import { Random, RandomWalk } from "../strategy/random.ts";
import { hand, X } from "../testing/hand.ts";
import { HappensBefore } from "./race.ts";
import { go, type Steps } from "./testing/steps.ts";
import { Oracle } from "./testing/oracle.ts";

type Step = (m: ControlledMemory) => Generator<unknown, unknown>;

/** Words the programs use. */
const WORDS = [X, X + 4, X + 64];
/** Ops, each as often as it stands here. Plain ones are rare: with many, every program races at once. */
type Maker = (random: Random, p: number) => Step;
const MAKERS: readonly Maker[] = [
  ...repeat(3, (_, p) => (m) => go(m, m.$readOnce(p, 0))),
  ...repeat(3, (random, p) => (m) => go(m, m.$writeOnce(p, random.below(3), 0))),
  ...repeat(4, (_, p) => (m) => go(m, m.$loadAcquire(p, 0))),
  ...repeat(4, (_, p) => (m) => go(m, m.$storeRelease(p, 1, 0))),
  ...repeat(3, (_, p) => (m) => go(m, m.$fetchAdd(p, 1, 0))),
  ...repeat(3, () => (m) => go(m, m.$fence(0))),
  ...repeat(2, (random, p) => {
    const expected = random.below(3);
    return (m) => go(m, m.$compareExchange(p, expected, 5, 0));
  }),
  (_, p) => (m) => go(m, m.$wait(p, 77, Infinity, 0)),
  (_, p) => (m) => go(m, m.$read(p, 0)),
  (_, p) => (m) => go(m, m.$write(p, 1, 0)),
  (random, p) => {
    const byte = p + random.below(4);
    return (m) => go(m, m.$read8(byte, 0));
  },
  (random, p) => {
    const byte = p + random.below(4);
    return (m) => go(m, m.$write8(byte, 1, 0));
  },
  (random, p) => {
    const half = p + 2 * random.below(2);
    return (m) => go(m, m.$write16(half, 1, 0));
  },
  () => (m) => go(m, m.$read64(X, 0)),
  (random) => {
    const bytes = 1 + random.below(8);
    return function* (m) {
      yield* go(m, m.$readOnce(X + 128, 0));
      m.memset(X, 1, bytes);
    };
  },
];

function repeat(times: number, maker: Maker): Maker[] {
  return Array.from({ length: times }, () => maker);
}

function randomProgram(seed: number): Program {
  const random = new Random(seed);
  const threads = 2 + random.below(3);
  const few = random.below(2) === 0;
  return {
    name: `random ${seed}`,
    threads: Array.from({ length: threads }, () => {
      const steps = Array.from({ length: 2 + random.below(6) }, (): Step => {
        const maker = MAKERS[random.below(few ? MAKERS.length - 5 : MAKERS.length)] as Maker;
        return maker(random, WORDS[random.below(WORDS.length)] as number);
      });
      return hand(function* (m): Steps {
        for (const step of steps) yield* step(m);
      });
    }),
  };
}

describe("the race detector", () => {
  it("agrees with the oracle on the first race of every execution of random programs", () => {
    let races = 0;
    let clean = 0;
    for (let seed = 1; seed <= 4000; seed++) {
      const oracle = new Oracle();
      const detector = new HappensBefore({ lifetime: false });
      let found = 0;
      const watch: Monitor = {
        name: "watch",
        begin: () => void (found = 0),
        executed: ({ world }) => void (found ||= world.finding === undefined ? 0 : world.steps),
      };
      const execution = new Execution(randomProgram(seed), { monitors: [oracle, detector, watch] });
      const walk = new RandomWalk(seed);
      for (let i = 0; i < 6; i++) {
        walk.begin(execution, i);
        execution.run(walk, i);
        if (found > 0) races++;
        else clean++;
        expect({ seed, i, at: found }).toEqual({ seed, i, at: oracle.racedAt });
      }
    }
    // Neither answer is the rule, or the test would say nothing.
    expect(races).toBeGreaterThan(4000);
    expect(clean).toBeGreaterThan(4000);
  });
});
