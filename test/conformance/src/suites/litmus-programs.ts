/**
 * Threads that many litmus tests have: READ_ONCE is readOnce, smp_load_acquire loadAcquire, smp_mb and its kin fence.
 */
import { spin_lock, spin_unlock } from "@ringside/core/lock/spinlock";
import { LOCK, type Program, X, Y } from "./litmus-engine.ts";

/** Stores 1 to one word. */
export const write_x: Program = (cpu, v) => cpu.mem.writeOnce(v + X, 1);
export const write_y: Program = (cpu, v) => cpu.mem.writeOnce(v + Y, 1);

/** Reads two words in this order, without or with a barrier between them. */
export function reads(first: number, second: number, barrier: boolean): Program {
  return (cpu, v, r) => {
    const r0 = cpu.mem.readOnce(v + first);
    if (barrier) cpu.mem.fence();
    cpu.mem.write(r + 4, cpu.mem.readOnce(v + second));
    cpu.mem.write(r, r0);
  };
}

/** Writes `value` to one word and reads another, without or with a barrier between. */
export function write_read(written: number, value: number, read: number, barrier: boolean): Program {
  return (cpu, v, r) => {
    cpu.mem.writeOnce(v + written, value);
    if (barrier) cpu.mem.fence();
    cpu.mem.write(r, cpu.mem.readOnce(v + read));
  };
}

/** Writes two words in this order. */
export function writes(
  first: number,
  value: number,
  second: number,
  order: "none" | "mb" | "release",
): Program {
  return (cpu, v) => {
    cpu.mem.writeOnce(v + first, value);
    if (order === "mb") cpu.mem.fence();
    if (order === "release") cpu.mem.storeRelease(v + second, 1);
    else cpu.mem.writeOnce(v + second, 1);
  };
}

/** Reads one word, then writes 1 to another. */
export function read_write(read: number, written: number, acquire: boolean, release: boolean): Program {
  return (cpu, v, r) => {
    cpu.mem.write(r, acquire ? cpu.mem.loadAcquire(v + read) : cpu.mem.readOnce(v + read));
    if (release) cpu.mem.storeRelease(v + written, 1);
    else cpu.mem.writeOnce(v + written, 1);
  };
}

/** Runs `program` under the instance's lock, with smp_mb__after_spinlock or without. */
export function locked(program: Program, after_spinlock: boolean = false): Program {
  return (cpu, v, r) => {
    spin_lock(cpu, v + LOCK);
    if (after_spinlock) cpu.mem.fence();
    program(cpu, v, r);
    spin_unlock(cpu, v + LOCK);
  };
}

export function in_turn(first: Program, second: Program): Program {
  return (cpu, v, r) => {
    first(cpu, v, r);
    second(cpu, v, r);
  };
}

/** Reads one word into register `n`. */
export function read_into(word: number, n: number): Program {
  return (cpu, v, r) => cpu.mem.write(r + 4 * n, cpu.mem.readOnce(v + word));
}
