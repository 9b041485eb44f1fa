/**
 * Litmus tests of tools/memory-model/litmus-tests on message passing and on two CPUs that store and look: each as its
 * programs and the state its `exists` clause names. "Sometimes" as in litmus-shapes.ts.
 */
import { rcu_assign_pointer, rcu_dereference, rcu_read_lock, rcu_read_unlock } from "@ringside/core/rcu/rcu";
import { spin_is_locked } from "@ringside/core/lock/spinlock";
import { type Litmus, LOCK, type Program, X, Y, Z } from "./litmus-engine.ts";
import {
  in_turn,
  locked,
  read_into,
  read_write,
  reads,
  write_read,
  write_x,
  write_y,
  writes,
} from "./litmus-programs.ts";

/** The flag is seen, the message is not. */
const MP_STATE: Litmus["state"] = (_, reg) => reg(1, 0) === 1 && reg(1, 1) === 0;

/** Sees the store, finds the lock free, then taken. */
const looks_at_lock: Program = (cpu, v, r) => {
  cpu.mem.write(r, cpu.mem.loadAcquire(v + X));
  cpu.mem.write(r + 4, spin_is_locked(cpu, v + LOCK) ? 1 : 0);
  cpu.mem.write(r + 8, spin_is_locked(cpu, v + LOCK) ? 1 : 0);
};
const LOCK_SEEN_LATE: Litmus["state"] = (_, reg) => reg(1, 0) === 1 && reg(1, 1) === 0 && reg(1, 2) === 1;

const MESSAGE_PASSING: readonly Litmus[] = [
  {
    name: "MP+fencewmbonceonce+fencermbonceonce",
    result: "Never",
    threads: [writes(X, 1, Y, "mb"), reads(Y, X, true)],
    state: MP_STATE,
  },
  {
    // Y is the pointer: to Z at first, then to X.
    name: "MP+onceassign+derefonce",
    result: "Never",
    init: (cpu, v) => cpu.mem.write(v + Y, v + Z),
    threads: [
      (cpu, v) => {
        cpu.mem.writeOnce(v + X, 1);
        rcu_assign_pointer(cpu, v + Y, v + X);
      },
      (cpu, v, r) => {
        rcu_read_lock(cpu);
        const p = rcu_dereference(cpu, v + Y);
        cpu.mem.write(r + 4, cpu.mem.readOnce(p));
        rcu_read_unlock(cpu);
        cpu.mem.write(r, p === v + X ? 1 : 0);
      },
    ],
    state: MP_STATE,
  },
  {
    name: "MP+polockmbonce+poacquiresilsil",
    result: "Never",
    threads: [locked(write_x, true), looks_at_lock],
    state: LOCK_SEEN_LATE,
  },
  {
    name: "MP+polockonce+poacquiresilsil",
    result: "Sometimes",
    threads: [locked(write_x), looks_at_lock],
    state: LOCK_SEEN_LATE,
  },
  {
    name: "MP+polocks",
    result: "Never",
    threads: [in_turn(write_x, locked(write_y)), in_turn(locked(read_into(Y, 0)), read_into(X, 1))],
    state: MP_STATE,
  },
  {
    name: "MP+poonceonces",
    result: "Sometimes",
    threads: [writes(X, 1, Y, "none"), reads(Y, X, false)],
    state: MP_STATE,
  },
  {
    name: "MP+pooncerelease+poacquireonce",
    result: "Never",
    threads: [
      writes(X, 1, Y, "release"),
      (cpu, v, r) => {
        cpu.mem.write(r, cpu.mem.loadAcquire(v + Y));
        cpu.mem.write(r + 4, cpu.mem.readOnce(v + X));
      },
    ],
    state: MP_STATE,
  },
  {
    name: "MP+porevlocks",
    result: "Never",
    threads: [in_turn(read_into(Y, 0), locked(read_into(X, 1))), in_turn(locked(write_x), write_y)],
    state: (_, reg) => reg(0, 0) === 1 && reg(0, 1) === 0,
  },
  {
    name: "MP+unlocklockonceonce+fencermbonceonce",
    result: "Never",
    threads: [in_turn(locked(write_x), locked(write_y)), reads(Y, X, true)],
    state: MP_STATE,
  },
];

const R_STATE: Litmus["state"] = (word, reg) => word(Y) === 2 && reg(1, 0) === 0;
const S_STATE: Litmus["state"] = (word, reg) => word(X) === 2 && reg(1, 0) === 1;
const SB_STATE: Litmus["state"] = (_, reg) => reg(0, 0) === 0 && reg(1, 0) === 0;

/** Stores, reads it back, reads the other's word. */
function store_forward(mine: number, other: number): Program {
  return (cpu, v, r) => {
    cpu.mem.writeOnce(v + mine, 1);
    cpu.mem.write(r + 4, cpu.mem.readOnce(v + mine));
    cpu.mem.write(r, cpu.mem.readOnce(v + other));
  };
}

const R_S_SB: readonly Litmus[] = [
  {
    name: "R+fencembonceonces",
    result: "Never",
    threads: [writes(X, 1, Y, "mb"), write_read(Y, 2, X, true)],
    state: R_STATE,
  },
  {
    name: "R+poonceonces",
    result: "Sometimes",
    threads: [writes(X, 1, Y, "none"), write_read(Y, 2, X, false)],
    state: R_STATE,
  },
  {
    name: "S+fencewmbonceonce+poacquireonce",
    result: "Never",
    threads: [writes(X, 2, Y, "mb"), read_write(Y, X, true, false)],
    state: S_STATE,
  },
  {
    name: "S+poonceonces",
    result: "Sometimes",
    threads: [writes(X, 2, Y, "none"), read_write(Y, X, false, false)],
    state: S_STATE,
  },
  {
    name: "SB+fencembonceonces",
    result: "Never",
    threads: [write_read(X, 1, Y, true), write_read(Y, 1, X, true)],
    state: SB_STATE,
  },
  {
    name: "SB+poonceonces",
    result: "Sometimes",
    threads: [write_read(X, 1, Y, false), write_read(Y, 1, X, false)],
    state: SB_STATE,
  },
  {
    name: "SB+rfionceonce-poonceonces",
    result: "Sometimes",
    threads: [store_forward(X, Y), store_forward(Y, X)],
    state: SB_STATE,
  },
];

export const MESSAGES: readonly Litmus[] = [...MESSAGE_PASSING, ...R_S_SB];
