/**
 * Small random programs, to hold one search against another: two or three threads of a few ops over one to three
 * places. Each thread folds what it reads into a number; the final state is all places and all numbers, so two
 * executions that differ in what anybody saw have different states.
 */
import type { ControlledMemory } from "../../controlled-memory.ts";
import type { Execution, Outcome } from "../../execution.ts";
import type { Program, ThreadContext } from "../../program.ts";
import { hand } from "../../testing/hand.ts";
import type { Memory } from "atomics-sync/memory";
import { Random } from "../random.ts";

type Steps = Generator<unknown, void>;

/** What programs may be made of. */
export const KINDS = [
  "read",
  "write",
  "add",
  "cas",
  "exchange",
  "wait",
  "timed",
  "notify",
  "spin",
  "await",
  "either",
  "lock",
  "branch",
  "choose",
  "assert",
  "pair",
  "quiet",
  "cond",
] as const;
export type Kind = (typeof KINDS)[number];

interface Op {
  readonly kind: Kind;
  readonly p: number;
  readonly q: number;
  readonly a: number;
  readonly b: number;
}

/** Of place number `i`. */
const at = (i: number): number => 256 * (i + 1);
/** Of the number of thread `t`. */
const seenAt = (t: number): number => 2048 + 256 * t;
const PLACES = 3;
const THREADS = 3;

export interface Limits {
  readonly kinds: readonly Kind[];
  readonly threads: number;
  readonly ops: number;
}

export function generate(seed: number, limits: Limits): { program: Program; text: string } {
  const random = new Random(seed, 77);
  const places = 1 + random.below(PLACES);
  const threads = 2 + random.below(limits.threads - 1);
  const bodies = Array.from({ length: threads }, () =>
    Array.from({ length: 1 + random.below(limits.ops) }, (): Op => {
      const kind = limits.kinds[random.below(limits.kinds.length)] as Kind;
      const [p, q] = [random.below(places), random.below(places)];
      return { kind, p: at(p), q: at(q), a: random.below(3), b: random.below(3) };
    }),
  );
  const text = bodies
    .map((ops) => ops.map((o) => `${o.kind} ${o.p / 256}/${o.q / 256} ${o.a},${o.b}`).join("; "))
    .join(" || ");
  const lastly = random.below(4) === 0 ? { lastly: hand((m) => run(m, [bodies[0]?.[0] as Op], 4)) } : {};
  return {
    text: text + ("lastly" in lastly ? " || lastly" : ""),
    program: {
      name: `generated ${seed}`,
      threads: bodies.map((ops, t) => ({
        name: `t${t}`,
        body: (memory: Memory, thread: ThreadContext) => run(memory as ControlledMemory, ops, t, thread),
      })),
      ...lastly,
    },
  };
}

function* run(m: ControlledMemory, ops: readonly Op[], t: number, thread?: ThreadContext): Steps {
  let seen = 1;
  const saw = (value: number): void => {
    seen = (Math.imul(seen, 31) + value) | 0;
    // Quiet, and to a place of its own.
    m.write(seenAt(t), seen);
  };
  for (const { kind, p, q, a, b } of ops) {
    switch (kind) {
      case "read":
        saw((m.$loadAcquire(p, 0) && (yield), m.$go()));
        break;
      case "write":
        {
          if (m.$storeRelease(p, a, 0)) yield;
          m.$go();
        }
        break;
      case "add":
        saw((m.$fetchAdd(p, 1, 0) && (yield), m.$go()));
        break;
      case "cas":
        saw((m.$compareExchange(p, a, b, 0) && (yield), m.$go()));
        break;
      case "exchange":
        saw((m.$exchange(p, a, 0) && (yield), m.$go()));
        break;
      case "wait":
      case "timed": {
        const timeout = kind === "wait" ? Number.POSITIVE_INFINITY : 5 + b;
        const result = (m.$wait(p, a, timeout, 0) && (yield), m.$go()) as string;
        saw(["ok", "not-equal", "timed-out"].indexOf(result));
        break;
      }
      case "notify":
        saw((m.$notify(p, 1 + (a & 1), 0) && (yield), m.$go()));
        break;
      case "spin":
      case "await": {
        // Counts its rounds, so that it matters when it looked.
        let rounds = 0;
        for (; ; rounds++) {
          const value = (m.$loadAcquire(p, 0) && (yield), m.$go()) as number;
          if ((value === a) === (kind === "await")) break;
          if (m.$pause(0)) yield;
          m.$go();
        }
        saw(m.result + 8 * rounds);
        break;
      }
      case "either":
        for (;;) {
          const value = (m.$loadAcquire(p, 0) && (yield), m.$go()) as number;
          const other = (m.$loadAcquire(q, 0) && (yield), m.$go()) as number;
          if (value === a || other === b) break;
          {
            if (m.$pause(0)) yield;
            m.$go();
          }
        }
        saw(m.result);
        break;
      case "lock":
        while (((m.$exchange(p, 1, 0) && (yield), m.$go()) as number) === 1) {
          if (m.$pause(0)) yield;
          m.$go();
        }
        saw((m.$loadAcquire(q, 0) && (yield), m.$go()));
        {
          if (m.$storeRelease(p, 0, 0)) yield;
          m.$go();
        }
        break;
      case "branch":
        if ((seen & 1) === 0) {
          if (m.$storeRelease(p, b, 0)) yield;
          m.$go();
        } else saw((m.$loadAcquire(q, 0) && (yield), m.$go()));
        break;
      case "choose":
        saw(thread?.choose(2 + (a & 1)) ?? 0);
        break;
      case "assert":
        if ((seen & 3) === a) thread?.fail(`t${t} saw ${seen}`);
        break;
      case "pair":
        // One step, two places.
        saw((m.$loadAcquire(p, 0) && (yield), m.$go()));
        m.writeOnce(q, a);
        break;
      case "cond": {
        // One step whose second place hangs on what it found at the first.
        const value = (m.$loadAcquire(p, 0) && (yield), m.$go()) as number;
        saw(value);
        if (value === a) m.storeRelease(q, b);
        break;
      }
      case "quiet":
        {
          if (m.$fence(0)) yield;
          m.$go();
        }
        saw(m.loadAcquire(p));
        saw(m.fetchAdd(q, b));
        break;
    }
  }
}

/** Names how an execution ended; a deadlock together with everything in memory. */
export function endOf(execution: Execution, outcome: Outcome): string {
  const { finding } = outcome;
  const asleep = finding?.kind === "deadlock" || finding?.kind === "lost-wakeup";
  if (finding !== undefined && !asleep) return `${finding.kind}: ${finding.message}`;
  const words: number[] = [];
  for (let i = 0; i < PLACES; i++) words.push(execution.world.wordAt(at(i)));
  for (let t = 0; t <= THREADS + 1; t++) words.push(execution.world.wordAt(seenAt(t)));
  return `${finding?.message ?? "end"} ${words.join(" ")}`;
}
