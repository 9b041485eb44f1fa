/** Small wrong programs with sites of their own, written without the loader: one for each way to fail. */
import { KASAN_SLAB_FREE } from "atomics-sync/checked-memory";
import type { ControlledMemory } from "../../controlled-memory.ts";
import type { Program, ThreadBody } from "../../program.ts";
import { $sites } from "../../runtime.ts";
import { hand, lostUpdate, X, Y, Z } from "../../testing/hand.ts";
import type { Describe } from "../record.ts";

type Steps = Generator<unknown, void>;

const LINES = 64;

/** Site number `line` of this made-up file is its line. */
const base = $sites(
  "demo/bank.ts",
  Array.from({ length: 2 * LINES }, (_, i) => (i % 2 === 0 ? (i >> 1) + 1 : 3)),
  ["main"],
  Array.from({ length: LINES }, () => 0),
);
const at = (line: number): number => base + line - 1;

const NAMES: Readonly<Record<number, string>> = { [X]: "x", [Y]: "y", [Z]: "z", [Z + 4]: "done" };

export const describePlace: Describe = (place) => NAMES[place];

/** Noise: reads and writes of words nobody else looks at. */
function* chores(m: ControlledMemory, rounds: number, place: number, line: number): Steps {
  for (let i = 0; i < rounds; i++) {
    const value = (m.$read(place, at(line)) && (yield), m.$go()) as number;
    void (m.$write(place, value + 1, at(line + 1)) && (yield), m.$go());
  }
}

/** data = 1; flag = 1 || if (flag) assert(data == 1), with the two writes the wrong way round. */
export function messagePassing(rounds: number = 0): Program {
  return {
    name: "message passing",
    threads: [
      {
        name: "producer",
        body: hand(function* (m): Steps {
          yield* chores(m, rounds, 1024, 1);
          void (m.$storeRelease(Y, 1, at(3)) && (yield), m.$go());
          void (m.$write(X, 1, at(4)) && (yield), m.$go());
        }),
      },
      {
        name: "consumer",
        body: (memory, thread) =>
          hand(function* (m): Steps {
            yield* chores(m, rounds, 1088, 6);
            const flag = (m.$loadAcquire(Y, at(8)) && (yield), m.$go()) as number;
            if (flag === 0) return;
            const data = (m.$read(X, at(9)) && (yield), m.$go()) as number;
            thread.assert(data === 1, `data is ${data}, not 1`);
          })(memory, thread),
      },
    ],
  };
}

/** Two transfers that read, compute and write; money is lost or made. */
export function bank(tellers: number = 2, rounds: number = 1): Program {
  const transfer = (amount: number): ThreadBody =>
    hand(function* (m): Steps {
      for (let i = 0; i < rounds; i++) {
        const from = (m.$read(X, at(11)) && (yield), m.$go()) as number;
        void (m.$write(X, from - amount, at(12)) && (yield), m.$go());
        const to = (m.$read(Y, at(13)) && (yield), m.$go()) as number;
        void (m.$write(Y, to + amount, at(14)) && (yield), m.$go());
      }
    });
  return {
    name: "bank",
    setup: (memory) => memory.write(X, 1000),
    threads: Array.from({ length: tellers }, (_, i) => ({ name: `teller ${i + 1}`, body: transfer(i + 1) })),
    after: (memory) => {
      const sum = memory.read(X) + memory.read(Y);
      if (sum !== 1000) throw new Error(`the accounts hold ${sum}, not 1000`);
    },
  };
}

function* lock(m: ControlledMemory, p: number, line: number): Steps {
  while ((m.$compareExchange(p, 0, 1, at(line)) && (yield), m.$go()) !== 0) {
    void (m.$wait(p, 1, Number.POSITIVE_INFINITY, at(line + 1)) && (yield), m.$go());
  }
}
function* unlock(m: ControlledMemory, p: number, line: number): Steps {
  void (m.$storeRelease(p, 0, at(line)) && (yield), m.$go());
  void (m.$notify(p, 1, at(line + 1)) && (yield), m.$go());
}

/** Two locks in opposite order, `rounds` times. */
export function abba(rounds: number = 1): Program {
  const locker = (first: number, second: number, line: number): ThreadBody =>
    hand(function* (m): Steps {
      for (let i = 0; i < rounds; i++) {
        yield* lock(m, first, line);
        yield* lock(m, second, line + 2);
        yield* unlock(m, second, line + 4);
        yield* unlock(m, first, line + 6);
      }
    });
  return {
    name: "abba",
    threads: [
      { name: "ab", body: locker(X, Y, 16) },
      { name: "ba", body: locker(Y, X, 26) },
    ],
  };
}

/** A reader takes a pointer and uses it; a writer takes it away and frees it without waiting. */
export function useAfterFree(rounds: number = 0): Program {
  return {
    name: "use after free",
    setup: (memory) => {
      memory.write(X, 2048);
      memory.write(2048, 42);
    },
    threads: [
      {
        name: "reader",
        body: hand(function* (m): Steps {
          yield* chores(m, rounds, 1024, 38);
          const p = (m.$loadAcquire(X, at(40)) && (yield), m.$go()) as number;
          if (p !== 0) void (m.$read(p, at(41)) && (yield), m.$go());
        }),
      },
      {
        name: "writer",
        body: hand(function* (m): Steps {
          m.unpoison(2048, 64);
          yield* chores(m, rounds, 1088, 43);
          const p = (m.$exchange(X, 0, at(45)) && (yield), m.$go()) as number;
          m.at(at(46)).poison(p, 64, KASAN_SLAB_FREE);
        }),
      },
    ],
  };
}

/** Fails only when a fault is injected, and only in one order. */
export function fault(): Program {
  return {
    name: "fault",
    threads: [
      {
        name: "disk",
        body: (memory, thread) =>
          hand(function* (m): Steps {
            const slow = thread.choose(4);
            const broken = thread.choose(3);
            void (m.$write(Y, slow, at(48)) && (yield), m.$go());
            void (m.$write(X, broken === 0 ? 1 : -1, at(49)) && (yield), m.$go());
          })(memory, thread),
      },
      {
        name: "driver",
        body: (memory, thread) =>
          hand(function* (m): Steps {
            const status = (m.$read(X, at(51)) && (yield), m.$go()) as number;
            thread.assert(status >= 0, `status ${status}`);
          })(memory, thread),
      },
    ],
  };
}

/** Threads that count under a lock, but in one round of each without it; a long way to a small mistake. */
export function forgottenLock(threads: number, rounds: number): Program {
  const counter = (own: number): ThreadBody =>
    hand(function* (m): Steps {
      for (let i = 0; i < rounds; i++) {
        yield* chores(m, 4, own, 53);
        if (i !== rounds >> 1) yield* lock(m, X, 55);
        const value = (m.$read(Y, at(57)) && (yield), m.$go()) as number;
        void (m.$write(Y, value + 1, at(58)) && (yield), m.$go());
        if (i !== rounds >> 1) yield* unlock(m, X, 59);
      }
    });
  return {
    name: "forgotten lock",
    threads: Array.from({ length: threads }, (_, i) => ({ name: `cpu ${i}`, body: counter(1024 + 256 * i) })),
    after: (memory) => {
      const sum = memory.read(Y);
      if (sum !== threads * rounds) throw new Error(`counted ${sum}, not ${threads * rounds}`);
    },
  };
}

/** All of them, small. */
export function wrongPrograms(): Program[] {
  return [
    lostUpdate(),
    lostUpdate(3),
    messagePassing(),
    messagePassing(8),
    bank(),
    bank(3, 2),
    abba(),
    abba(4),
    useAfterFree(),
    useAfterFree(8),
    fault(),
  ];
}
