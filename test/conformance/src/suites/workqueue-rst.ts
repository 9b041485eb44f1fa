/**
 * Documentation/core-api/workqueue.rst, "Example Execution Scenarios": who runs when, in whole milliseconds, under the
 * four settings the document goes through. Models kernel/workqueue.c's concurrency management: one worker of a pool
 * runs, the next starts when it sleeps, and CPU intensive works do not count.
 *
 * The document assumes one CPU, first come first served, and no overhead. That is the virtual clock: mdelay burns the
 * pool's CPU, and what a work notes it notes while it has the CPU.
 */
import { kernel_symbol } from "@ringside/core/debug/image";
import type { Cpu } from "@ringside/core/sched/cpu";
import { mdelay, msleep } from "@ringside/core/sched/delay";
import {
  alloc_workqueue,
  destroy_workqueue,
  flush_workqueue,
  INIT_WORK,
  queue_work,
  WORK_STRUCT_SIZE,
  WQ_CPU_INTENSIVE,
} from "@ringside/core/sched/workqueue";
import type { Checks } from "../checks.ts";
import type { Case, Suite } from "../suite.ts";

// The works, in scratch memory: the item, its number, ms it burns after its sleep, the log.
const NUMBER = WORK_STRUCT_SIZE;
const BURNS_AGAIN = WORK_STRUCT_SIZE + 4;
const LOG_POINTER = WORK_STRUCT_SIZE + 8;
const ITEM_SIZE = 32;
const WORKS = 3;
const LOG = WORKS * ITEM_SIZE;

// The log: start in microseconds (64-bit), number of entries, entries of { work, event, microseconds since start }.
const START = 0;
const ENTRIES = 8;
const FIRST_ENTRY = 16;
const ENTRY_SIZE = 12;
const ENTRIES_MAX = 32;

const STARTS = 0;
const SLEEPS = 1;
const WAKES = 2;
const FINISHES = 3;
const WAKES_AND_FINISHES = 4;
/** In the words of the document. */
const WORDS = [
  "starts and burns CPU",
  "sleeps",
  "wakes up and burns CPU",
  "finishes",
  "wakes up and finishes",
] as const;

const BURN_MS = 5;
const SLEEP_MS = 10;

const BURN_SLEEP_BURN = kernel_symbol(burn_sleep_burn);

function now_us(cpu: Cpu): number {
  return Math.round(cpu.now() * 1000);
}

function note(cpu: Cpu, work: number, event: number): void {
  const log = cpu.mem.read(work + LOG_POINTER);
  const index = cpu.mem.fetchAdd(log + ENTRIES, 1);
  if (index >= ENTRIES_MAX) return;
  const entry = log + FIRST_ENTRY + index * ENTRY_SIZE;
  cpu.mem.write(entry, cpu.mem.read(work + NUMBER));
  cpu.mem.write(entry + 4, event);
  cpu.mem.write(entry + 8, now_us(cpu) - cpu.mem.read64(log + START));
}

function burn_sleep_burn(cpu: Cpu, work: number): void {
  note(cpu, work, STARTS);
  mdelay(cpu, BURN_MS);
  note(cpu, work, SLEEPS);
  msleep(cpu, SLEEP_MS);
  // Awake, but on the CPU only when it is free.
  mdelay(cpu, 0);
  const again = cpu.mem.read(work + BURNS_AGAIN);
  if (again === 0) {
    note(cpu, work, WAKES_AND_FINISHES);
    return;
  }
  note(cpu, work, WAKES);
  mdelay(cpu, again);
  note(cpu, work, FINISHES);
}

/** One line an event; works that start at once share a line, as in the document. */
function read_log(cpu: Cpu, log: number): string[] {
  const lines: string[] = [];
  const count = Math.min(ENTRIES_MAX, cpu.mem.read(log + ENTRIES));
  let before = "";
  for (let i = 0; i < count; i++) {
    const entry = log + FIRST_ENTRY + i * ENTRY_SIZE;
    const time = String(cpu.mem.read(entry + 8) / 1000);
    const work = `w${cpu.mem.read(entry)}`;
    const event = cpu.mem.read(entry + 4);
    if (event === STARTS && before === time) {
      lines.push(both_start(time, lines.pop() ?? "", work));
    } else lines.push(`${time} ${work} ${WORDS[event]}`);
    before = event === STARTS ? time : "";
  }
  return lines;
}

function both_start(time: string, line: string, work: string): string {
  const names = [line.split(" ")[1] ?? "", work].toSorted();
  return `${time} ${names.join(" and ")} start and burn CPU`;
}

/** Runs w0 on a queue with `max_active`, w1 and w2 on the same or on a CPU intensive one. */
function scenario(max_active: number, intensive: boolean, expected: string) {
  return (cpu: Cpu, t: Checks): void => {
    const q0 = alloc_workqueue(cpu, "q0", 0, max_active);
    const q1 = intensive ? alloc_workqueue(cpu, "q1", WQ_CPU_INTENSIVE, max_active) : q0;
    const log = t.scratch + LOG;
    cpu.mem.write64(log + START, now_us(cpu));
    for (let i = 0; i < WORKS; i++) {
      const work = t.scratch + i * ITEM_SIZE;
      INIT_WORK(cpu, work, BURN_SLEEP_BURN);
      cpu.mem.write(work + NUMBER, i);
      cpu.mem.write(work + BURNS_AGAIN, i === 0 ? BURN_MS : 0);
      cpu.mem.write(work + LOG_POINTER, log);
    }
    for (let i = 0; i < WORKS; i++) {
      const queued = queue_work(cpu, i === 0 ? q0 : q1, t.scratch + i * ITEM_SIZE);
      t.ok(queued, `w${i} is queued`);
    }
    flush_workqueue(cpu, q0);
    if (intensive) flush_workqueue(cpu, q1);
    t.equal(read_log(cpu, log).join("\n"), expected, "events");
    destroy_workqueue(cpu, q0);
    if (intensive) destroy_workqueue(cpu, q1);
  };
}

function timed(name: string, max_active: number, intensive: boolean, expected: readonly string[]): Case {
  return {
    name,
    bodies: [scenario(max_active, intensive, expected.join("\n"))],
    config: { clock: "virtual" },
  };
}

export const suite: Suite = {
  name: "workqueue.rst",
  source: "Documentation/core-api/workqueue.rst",
  cases: [
    timed("original wq", 1, false, [
      "0 w0 starts and burns CPU",
      "5 w0 sleeps",
      "15 w0 wakes up and burns CPU",
      "20 w0 finishes",
      "20 w1 starts and burns CPU",
      "25 w1 sleeps",
      "35 w1 wakes up and finishes",
      "35 w2 starts and burns CPU",
      "40 w2 sleeps",
      "50 w2 wakes up and finishes",
    ]),
    timed("cmwq with @max_active >= 3", 3, false, [
      "0 w0 starts and burns CPU",
      "5 w0 sleeps",
      "5 w1 starts and burns CPU",
      "10 w1 sleeps",
      "10 w2 starts and burns CPU",
      "15 w2 sleeps",
      "15 w0 wakes up and burns CPU",
      "20 w0 finishes",
      "20 w1 wakes up and finishes",
      "25 w2 wakes up and finishes",
    ]),
    timed("cmwq with @max_active == 2", 2, false, [
      "0 w0 starts and burns CPU",
      "5 w0 sleeps",
      "5 w1 starts and burns CPU",
      "10 w1 sleeps",
      "15 w0 wakes up and burns CPU",
      "20 w0 finishes",
      "20 w1 wakes up and finishes",
      "20 w2 starts and burns CPU",
      "25 w2 sleeps",
      "35 w2 wakes up and finishes",
    ]),
    timed("WQ_CPU_INTENSIVE", 0, true, [
      "0 w0 starts and burns CPU",
      "5 w0 sleeps",
      "5 w1 and w2 start and burn CPU",
      "10 w1 sleeps",
      "15 w2 sleeps",
      "15 w0 wakes up and burns CPU",
      "20 w0 finishes",
      "20 w1 wakes up and finishes",
      "25 w2 wakes up and finishes",
    ]),
  ],
};
