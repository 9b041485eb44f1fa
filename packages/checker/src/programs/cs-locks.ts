/**
 * CS benchmarks of SCTBench about locks: wrong assertions under a lock, deadlocks, the wrong lock. Told again in own
 * words.
 */
import type { Memory } from "atomics-sync/memory";
import type { ThreadContext } from "../program.ts";
import { type Benchmark, benchmark, times } from "./benchmark.ts";
import { mutexLock, mutexUnlock } from "./lock.ts";

const M = 64;
const L = 68;
const BALANCE = 72;
const DEPOSITED = 76;
const WITHDRAWN = 80;
const START = 1;
const DEPOSIT = 2;
const WITHDRAWAL = 4;

function deposit(memory: Memory): void {
  mutexLock(memory, M);
  memory.write(BALANCE, memory.read(BALANCE) + DEPOSIT);
  memory.write(DEPOSITED, 1);
  mutexUnlock(memory, M);
}

function withdraw(memory: Memory): void {
  mutexLock(memory, M);
  memory.write(BALANCE, memory.read(BALANCE) - WITHDRAWAL);
  memory.write(WITHDRAWN, 1);
  mutexUnlock(memory, M);
}

function audit(memory: Memory, thread: ThreadContext, expected: number): void {
  mutexLock(memory, M);
  if (memory.read(DEPOSITED) !== 0 && memory.read(WITHDRAWN) !== 0)
    thread.assert(memory.read(BALANCE) === expected, "the balance does not add up");
  mutexUnlock(memory, M);
}

function openAccount(memory: Memory): void {
  memory.write(BALANCE, START);
}

const account = benchmark(
  "CS",
  "CS/account",
  {
    setup: openAccount,
    threads: [(memory, thread) => audit(memory, thread, START - DEPOSIT - WITHDRAWAL), deposit, withdraw],
  },
  {
    setup: openAccount,
    threads: [(memory, thread) => audit(memory, thread, START + DEPOSIT - WITHDRAWAL), deposit, withdraw],
  },
);

const DATA = 84;

function addUnder(memory: Memory, mutex: number, amount: number): void {
  mutexLock(memory, mutex);
  memory.write(DATA, memory.read(DATA) + amount);
  mutexUnlock(memory, mutex);
}

function staysBelow(memory: Memory, thread: ThreadContext, limit: number): void {
  mutexLock(memory, M);
  thread.assert(memory.read(DATA) < limit, "data reached the limit");
  mutexUnlock(memory, M);
}

const lazy01 = benchmark(
  "CS",
  "CS/lazy01",
  {
    threads: [
      (memory) => addUnder(memory, M, 1),
      (memory) => addUnder(memory, M, 2),
      (memory, thread) => staysBelow(memory, thread, 3),
    ],
  },
  {
    threads: [
      (memory) => addUnder(memory, M, 1),
      (memory) => addUnder(memory, M, 2),
      (memory, thread) => staysBelow(memory, thread, 4),
    ],
  },
);

/** Counts by `amount` under two locks. */
function countUnderBoth(memory: Memory, first: number, second: number, amount: number): void {
  mutexLock(memory, first);
  mutexLock(memory, second);
  memory.write(DATA, memory.read(DATA) + amount);
  mutexUnlock(memory, second);
  mutexUnlock(memory, first);
}

const deadlock01 = benchmark(
  "CS",
  "CS/deadlock01",
  {
    threads: [(memory) => countUnderBoth(memory, M, L, 1), (memory) => countUnderBoth(memory, L, M, -1)],
  },
  {
    threads: [(memory) => countUnderBoth(memory, M, L, 1), (memory) => countUnderBoth(memory, M, L, -1)],
  },
);

const A = 88;
const B = 92;
const M2 = 96;

/** Holds L while its group has members: the first locks it, the last unlocks it, both under `mutex`. */
function visit(memory: Memory, mutex: number, members: number): void {
  mutexLock(memory, mutex);
  memory.write(members, memory.read(members) + 1);
  if (memory.read(members) === 1) mutexLock(memory, L);
  mutexUnlock(memory, mutex);
  mutexLock(memory, mutex);
  memory.write(members, memory.read(members) - 1);
  if (memory.read(members) === 0) mutexUnlock(memory, L);
  mutexUnlock(memory, mutex);
}

const carter01 = benchmark(
  "CS",
  "CS/carter01",
  { threads: [(memory) => visit(memory, M, A), (memory) => visit(memory, M, B)] },
  { threads: [(memory) => visit(memory, M, A), (memory) => visit(memory, M2, B)] },
);

function phases(memory: Memory, unlocks: boolean): void {
  mutexLock(memory, M);
  mutexUnlock(memory, M);
  mutexLock(memory, M);
  if (unlocks) mutexUnlock(memory, M);
  mutexLock(memory, L);
  mutexUnlock(memory, L);
  mutexLock(memory, L);
  mutexUnlock(memory, L);
}

const phase01 = benchmark(
  "CS",
  "CS/phase01",
  { threads: [(memory) => phases(memory, false), (memory) => phases(memory, false)] },
  { threads: [(memory) => phases(memory, true), (memory) => phases(memory, true)] },
);

function incrementsByOne(memory: Memory, thread: ThreadContext): void {
  mutexLock(memory, M);
  const before = memory.read(DATA);
  memory.write(DATA, memory.read(DATA) + 1);
  thread.assert(memory.read(DATA) === before + 1, "somebody else counted under the lock");
  mutexUnlock(memory, M);
}

function countsUnderTheWrongLock(memory: Memory): void {
  addUnder(memory, L, 1);
}

function countsUnderTheLock(memory: Memory): void {
  addUnder(memory, M, 1);
}

function wronglock(name: string, others: number): Benchmark[] {
  return benchmark(
    "CS",
    name,
    { threads: [incrementsByOne, ...times(others, countsUnderTheWrongLock)] },
    { threads: [incrementsByOne, ...times(others, countsUnderTheLock)] },
  );
}

const FORKS = 128;
const EATEN = 84;

/**
 * The original takes both forks in an atomic section, which the mutex stands for. "All have eaten" is what it looks
 * for.
 */
function dines(memory: Memory, thread: ThreadContext, n: number): void {
  const left = FORKS + 4 * thread.id;
  const right = FORKS + 4 * ((thread.id + 1) % n);
  mutexLock(memory, M);
  mutexLock(memory, right);
  mutexLock(memory, left);
  mutexUnlock(memory, left);
  mutexUnlock(memory, right);
  mutexUnlock(memory, M);
  memory.write(EATEN, memory.read(EATEN) + 1);
  thread.assert(memory.read(EATEN) !== n, "all have eaten");
}

function dinesOfThree(memory: Memory, thread: ThreadContext): void {
  dines(memory, thread, 3);
}

function dinesOfSeven(memory: Memory, thread: ThreadContext): void {
  dines(memory, thread, 7);
}

const BLOCKS = 26;
const INODE_LOCKS = 256;
const BLOCK_LOCKS = INODE_LOCKS + 4 * BLOCKS;
const BUSY = BLOCK_LOCKS + 4 * BLOCKS;
const INODES = BUSY + 4 * BLOCKS;

/** Gives inode `thread.id` a block. There is a thread more than there are locks. */
function createsFile(memory: Memory, thread: ThreadContext): void {
  const i = thread.id;
  thread.assert(i < BLOCKS, "no lock for this inode");
  if (i >= BLOCKS) return;
  mutexLock(memory, INODE_LOCKS + 4 * i);
  if (memory.read(INODES + 4 * i) === 0) {
    let block = (2 * i) % BLOCKS;
    for (let tries = 0; tries < BLOCKS / 2; tries++) {
      const taken = takesBlock(memory, block);
      if (taken) {
        memory.write(INODES + 4 * i, block + 1);
        break;
      }
      block = (block + 1) % BLOCKS;
    }
  }
  mutexUnlock(memory, INODE_LOCKS + 4 * i);
}

function takesBlock(memory: Memory, block: number): boolean {
  mutexLock(memory, BLOCK_LOCKS + 4 * block);
  const free = memory.read(BUSY + 4 * block) === 0;
  if (free) memory.write(BUSY + 4 * block, 1);
  mutexUnlock(memory, BLOCK_LOCKS + 4 * block);
  return free;
}

export const CS_LOCKS: readonly Benchmark[] = [
  ...account,
  ...carter01,
  ...deadlock01,
  ...benchmark("CS", "CS/din_phil3", { threads: times(3, dinesOfThree) }),
  ...benchmark("CS", "CS/din_phil7", { threads: times(7, dinesOfSeven) }),
  ...benchmark("CS", "CS/fsbench", { threads: times(BLOCKS + 1, createsFile) }),
  ...lazy01,
  ...phase01,
  ...wronglock("CS/wronglock", 7),
  ...wronglock("CS/wronglock_3", 3),
];
