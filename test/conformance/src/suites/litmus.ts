/**
 * The litmus tests of Documentation/litmus-tests (RCU and atomics) and of tools/memory-model/litmus-tests, run on real
 * threads: a state that the Linux kernel memory model forbids must never be seen.
 */
import {
  rcu_assign_pointer,
  rcu_dereference,
  rcu_read_lock,
  rcu_read_unlock,
  synchronize_rcu,
} from "@ringside/core/rcu/rcu";
import type { Cpu } from "@ringside/core/sched/cpu";
import type { Suite } from "../suite.ts";
import { type Litmus, litmus_case, LOCK, X, Y, Z } from "./litmus-engine.ts";
import { MESSAGES } from "./litmus-messages.ts";
import { SHAPES } from "./litmus-shapes.ts";

/** No lock here: the word says that the reader is inside. */
const INSIDE = LOCK;
/** Longest delays inside a section, microseconds: mostly short, now and then as long as wake-ups of a busy machine. */
const DWELL_US = 1000;
const LONG_DWELL_US = 20_000;
const RCU_ROUNDS = 100;
/** How long an updater waits for the reader to be inside, in pauses. */
const ARRIVAL = 2000;

/** In a section: busy for a random while, without a safe point. */
function dwell(cpu: Cpu): void {
  const most = (cpu.random32() & 3) === 0 ? LONG_DWELL_US : DWELL_US;
  const end = cpu.now() + (cpu.random32() % most) / 1000;
  while (cpu.now() < end) cpu.mem.pause();
}

/** Before an update: waits a little for `word` to become 1, so that most updates meet a reader. */
function await_reader(cpu: Cpu, word: number): void {
  for (let i = 0; i < ARRIVAL && cpu.mem.loadAcquire(word) === 0; i++) cpu.mem.pause();
}

const DOCUMENTED: readonly Litmus[] = [
  {
    // atomic_add_unless(v, 1, 0) against atomic_set(v, 0), from 1: X is v.
    name: "Atomic-RMW-ops-are-atomic-WRT-atomic_set",
    result: "Never",
    init: (cpu, v) => cpu.mem.write(v + X, 1),
    threads: [
      (cpu, v) => {
        for (let old = cpu.mem.loadAcquire(v + X); old !== 0; ) {
          const seen = cpu.mem.compareExchange(v + X, old, old + 1);
          if (seen === old) break;
          old = seen;
        }
      },
      (cpu, v) => cpu.mem.writeOnce(v + X, 0),
    ],
    state: (word) => word(X) === 2,
  },
  {
    name: "Atomic-RMW+mb__after_atomic-is-stronger-than-acquire",
    result: "Never",
    threads: [
      (cpu, v, r) => {
        const r0 = cpu.mem.readOnce(v + X);
        cpu.mem.fence();
        cpu.mem.write(r + 4, cpu.mem.readOnce(v + Y));
        cpu.mem.write(r, r0);
      },
      (cpu, v) => {
        cpu.mem.fetchAdd(v + Y, 1);
        cpu.mem.fence();
        cpu.mem.writeOnce(v + X, 1);
      },
    ],
    state: (_, reg) => reg(0, 0) === 1 && reg(0, 1) === 0,
  },
  {
    // Y points to X, which is 1, then to Z; X is "freed", 0, after a grace period.
    name: "RCU+sync+free",
    result: "Never",
    batch: 1,
    rounds: RCU_ROUNDS,
    init: (cpu, v) => {
      cpu.mem.write(v + X, 1);
      cpu.mem.write(v + Z, 1);
      cpu.mem.write(v + Y, v + X);
    },
    threads: [
      (cpu, v, r) => {
        rcu_read_lock(cpu);
        const p = rcu_dereference(cpu, v + Y);
        cpu.mem.writeOnce(v + INSIDE, 1);
        dwell(cpu);
        const r1 = cpu.mem.loadAcquire(p);
        rcu_read_unlock(cpu);
        cpu.mem.write(r, p === v + X ? 1 : 0);
        cpu.mem.write(r + 4, r1);
      },
      (cpu, v) => {
        await_reader(cpu, v + INSIDE);
        rcu_assign_pointer(cpu, v + Y, v + Z);
        synchronize_rcu(cpu);
        cpu.mem.writeOnce(v + X, 0);
      },
    ],
    state: (_, reg) => reg(0, 0) === 1 && reg(0, 1) === 0,
  },
  {
    name: "RCU+sync+read",
    result: "Never",
    batch: 1,
    rounds: RCU_ROUNDS,
    threads: [
      (cpu, v) => {
        rcu_read_lock(cpu);
        cpu.mem.writeOnce(v + X, 1);
        dwell(cpu);
        cpu.mem.writeOnce(v + Y, 1);
        rcu_read_unlock(cpu);
      },
      (cpu, v, r) => {
        await_reader(cpu, v + X);
        const r0 = cpu.mem.loadAcquire(v + X);
        synchronize_rcu(cpu);
        cpu.mem.write(r + 4, cpu.mem.loadAcquire(v + Y));
        cpu.mem.write(r, r0);
      },
    ],
    state: (_, reg) => reg(1, 0) === 1 && reg(1, 1) === 0,
  },
];

export const suite: Suite = {
  name: "litmus",
  source: "Documentation/litmus-tests, tools/memory-model/litmus-tests",
  cases: [...DOCUMENTED, ...SHAPES, ...MESSAGES].map(litmus_case),
};
