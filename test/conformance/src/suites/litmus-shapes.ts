/**
 * Litmus tests of tools/memory-model/litmus-tests on coherence, three and four CPUs, and load buffering: each as its
 * programs and the state its `exists` clause names.
 *
 * "Sometimes" is what LKMM allows; this memory may be stronger, so nobody has to see it.
 */
import { type Litmus, X, Y, Z } from "./litmus-engine.ts";
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

const COHERENCE: readonly Litmus[] = [
  {
    name: "CoRR+poonceonce+Once",
    result: "Never",
    threads: [write_x, reads(X, X, false)],
    state: (_, reg) => reg(1, 0) === 1 && reg(1, 1) === 0,
  },
  {
    name: "CoRW+poonceonce+Once",
    result: "Never",
    threads: [read_write(X, X, false, false), (cpu, v) => cpu.mem.writeOnce(v + X, 2)],
    state: (word, reg) => word(X) === 2 && reg(0, 0) === 2,
  },
  {
    name: "CoWR+poonceonce+Once",
    result: "Never",
    threads: [write_read(X, 1, X, false), (cpu, v) => cpu.mem.writeOnce(v + X, 2)],
    state: (word, reg) => word(X) === 1 && reg(0, 0) === 2,
  },
  {
    name: "CoWW+poonceonce",
    result: "Never",
    threads: [
      (cpu, v) => {
        cpu.mem.writeOnce(v + X, 1);
        cpu.mem.writeOnce(v + X, 2);
      },
    ],
    state: (word) => word(X) === 1,
  },
];

const IRIW_STATE: Litmus["state"] = (_, reg) =>
  reg(1, 0) === 1 && reg(1, 1) === 0 && reg(3, 0) === 1 && reg(3, 1) === 0;
/** ISA2 and WRC: the message came through the middleman, what it tells of did not. */
const RELAY_STATE: Litmus["state"] = (_, reg) => reg(1, 0) === 1 && reg(2, 0) === 1 && reg(2, 1) === 0;

const FOUR_AND_THREE: readonly Litmus[] = [
  {
    name: "IRIW+fencembonceonces+OnceOnce",
    result: "Never",
    threads: [write_x, reads(X, Y, true), write_y, reads(Y, X, true)],
    state: IRIW_STATE,
  },
  {
    name: "IRIW+poonceonces+OnceOnce",
    result: "Sometimes",
    threads: [write_x, reads(X, Y, false), write_y, reads(Y, X, false)],
    state: IRIW_STATE,
  },
  {
    name: "ISA2+pooncelock+pooncelock+pombonce",
    result: "Never",
    threads: [locked(writes(X, 1, Y, "none")), locked(read_write(Y, Z, false, false)), reads(Z, X, true)],
    state: RELAY_STATE,
  },
  {
    name: "ISA2+poonceonces",
    result: "Sometimes",
    threads: [writes(X, 1, Y, "none"), read_write(Y, Z, false, false), reads(Z, X, false)],
    state: RELAY_STATE,
  },
  {
    name: "ISA2+pooncerelease+poacquirerelease+poacquireonce",
    result: "Never",
    threads: [
      writes(X, 1, Y, "release"),
      read_write(Y, Z, true, true),
      (cpu, v, r) => {
        cpu.mem.write(r, cpu.mem.loadAcquire(v + Z));
        cpu.mem.write(r + 4, cpu.mem.readOnce(v + X));
      },
    ],
    state: RELAY_STATE,
  },
  {
    name: "WRC+poonceonces+Once",
    result: "Sometimes",
    threads: [write_x, read_write(X, Y, false, false), reads(Y, X, false)],
    state: RELAY_STATE,
  },
  {
    name: "WRC+pooncerelease+fencermbonceonce+Once",
    result: "Never",
    threads: [write_x, read_write(X, Y, false, true), reads(Y, X, true)],
    state: RELAY_STATE,
  },
];

const Z6_STATE: Litmus["state"] = (word, reg) => reg(1, 0) === 1 && word(Z) === 2 && reg(2, 0) === 0;

const Z6: readonly Litmus[] = [
  {
    name: "Z6.0+pooncelock+poonceLock+pombonce",
    result: "Never",
    threads: [
      locked(writes(X, 1, Y, "none")),
      locked(read_write(Y, Z, false, false), true),
      write_read(Z, 2, X, true),
    ],
    state: Z6_STATE,
  },
  {
    name: "Z6.0+pooncelock+pooncelock+pombonce",
    result: "Sometimes",
    threads: [
      locked(writes(X, 1, Y, "none")),
      locked(read_write(Y, Z, false, false)),
      write_read(Z, 2, X, true),
    ],
    state: Z6_STATE,
  },
  {
    name: "Z6.0+pooncerelease+poacquirerelease+fencembonceonce",
    result: "Sometimes",
    threads: [writes(X, 1, Y, "release"), read_write(Y, Z, true, true), write_read(Z, 2, X, true)],
    state: Z6_STATE,
  },
];

const BOTH_ONE: Litmus["state"] = (_, reg) => reg(0, 0) === 1 && reg(1, 0) === 1;

const LOAD_BUFFERING: readonly Litmus[] = [
  {
    name: "LB+fencembonceonce+ctrlonceonce",
    result: "Never",
    threads: [
      (cpu, v, r) => {
        const r0 = cpu.mem.readOnce(v + X);
        if (r0 !== 0) cpu.mem.writeOnce(v + Y, 1);
        cpu.mem.write(r, r0);
      },
      (cpu, v, r) => {
        cpu.mem.write(r, cpu.mem.readOnce(v + Y));
        cpu.mem.fence();
        cpu.mem.writeOnce(v + X, 1);
      },
    ],
    state: BOTH_ONE,
  },
  {
    name: "LB+poacquireonce+pooncerelease",
    result: "Never",
    threads: [read_write(X, Y, false, true), read_write(Y, X, true, false)],
    state: BOTH_ONE,
  },
  {
    name: "LB+poonceonces",
    result: "Sometimes",
    threads: [read_write(X, Y, false, false), read_write(Y, X, false, false)],
    state: BOTH_ONE,
  },
  {
    name: "LB+unlocklockonceonce+poacquireonce",
    result: "Never",
    threads: [in_turn(locked(read_into(X, 0)), locked(write_y)), read_write(Y, X, true, false)],
    state: BOTH_ONE,
  },
  {
    name: "dep+plain",
    result: "Never",
    threads: [
      (cpu, v) => {
        cpu.mem.write(v + Z, cpu.mem.readOnce(v + X));
        cpu.mem.write(v + Z + 4, cpu.mem.read(v + Z));
        if (cpu.mem.read(v + Z + 4) === 1) cpu.mem.writeOnce(v + Y, 1);
      },
      (cpu, v) => cpu.mem.storeRelease(v + X, cpu.mem.loadAcquire(v + Y)),
    ],
    state: (word) => word(X) === 1 && word(Y) === 1,
  },
];

export const SHAPES: readonly Litmus[] = [...COHERENCE, ...FOUR_AND_THREE, ...LOAD_BUFFERING, ...Z6];
