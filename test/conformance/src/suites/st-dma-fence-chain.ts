/**
 * st-dma-fence-chain: drivers/dma-buf/st-dma-fence-chain.c. Finding the node for a number, collecting what is done, and
 * a node being signaled only when all before it are.
 *
 * CHAIN_SZ is 512 for 4096: backwards, each signal makes every later node look for another fence to wait for, which
 * is the square of it. The kthreads are bodies on CPUs.
 */
import { EINVAL } from "@ringside/core/debug/errno";
import {
  dma_fence_enable_signaling,
  dma_fence_get,
  dma_fence_is_signaled,
  dma_fence_put,
  dma_fence_seqno,
  dma_fence_signal,
  dma_fence_wait,
  type DmaFencePtr,
} from "@ringside/core/dma/fence";
import { dma_fence_chain_find_seqno } from "@ringside/core/dma/fence-chain";
import { mock_fence } from "@ringside/core/dma/testing/mock-fence";
import { type Cpu, stack_pop, stack_push } from "@ringside/core/sched/cpu";
import { cond_resched } from "@ringside/core/sched/schedule";
import type { Checks } from "../checks.ts";
import type { Body, Suite } from "../suite.ts";
import {
  chain_length,
  chain_of,
  chain_tail,
  fence_chains_fini,
  fence_chains_init,
  fence_of,
  mock_chain,
  randomise_fences,
} from "./fence-chains.ts";

const CHAIN_SZ = 512;
const SHORT = 64;

// In the scratch memory:
const FC = 0;
const STOP = 128;

function sanitycheck(cpu: Cpu, t: Checks): void {
  const fence = mock_fence(cpu, 0, 0);
  const chain = mock_chain(cpu, 0 as DmaFencePtr, fence, 1);
  if (t.ok(chain !== 0, "memory for a node")) dma_fence_enable_signaling(cpu, chain);
  dma_fence_signal(cpu, fence);
  dma_fence_put(cpu, fence);
  dma_fence_put(cpu, chain);
}

/** What find_seqno(from, seqno) says: the node it finds (no reference), 0 for "done", or -errno. */
function find(cpu: Cpu, from: DmaFencePtr, seqno: number): number {
  const word = stack_push(cpu, 4);
  cpu.mem.write(word, dma_fence_get(cpu, from));
  const error = dma_fence_chain_find_seqno(cpu, word, seqno);
  const found = cpu.mem.read(word) as DmaFencePtr;
  dma_fence_put(cpu, found);
  stack_pop(cpu, word);
  return error !== 0 ? error : found;
}

function find_seqno(cpu: Cpu, t: Checks): void {
  const fc = t.scratch + FC;
  fence_chains_init(cpu, fc, SHORT, 1, 1);
  const tail = chain_tail(cpu, fc);
  t.equal(find(cpu, tail, 0), tail, "find_seqno(0)");
  for (let i = 0; i < SHORT; i++) {
    const chain = chain_of(cpu, fc, i);
    t.equal(find(cpu, tail, i + 1), chain, `find_seqno(${SHORT}:${i + 1})`);
    t.equal(find(cpu, chain, i + 1), chain, `finding self, ${i + 1}`);
    t.equal(find(cpu, chain, i + 2), -EINVAL, `a future fence, find_seqno(${i + 1}:${i + 2})`);
    // The number of the first one is 0, which leaves it where it is.
    const previous = i > 0 ? chain_of(cpu, fc, i - 1) : chain;
    t.equal(find(cpu, chain, i), previous, `the fence before, find_seqno(${i + 1}:${i})`);
  }
  fence_chains_fini(cpu, fc);
}

function find_signaled(cpu: Cpu, t: Checks): void {
  const fc = t.scratch + FC;
  fence_chains_init(cpu, fc, 2, 1, 1);
  dma_fence_signal(cpu, fence_of(cpu, fc, 0));
  const found = find(cpu, chain_tail(cpu, fc), 1);
  const good = found === 0 || found === chain_of(cpu, fc, 0);
  t.ok(good, `Incorrect fence ${found} reported for completed seqno:1`);
  fence_chains_fini(cpu, fc);
}

function find_out_of_order(cpu: Cpu, t: Checks): void {
  const fc = t.scratch + FC;
  fence_chains_init(cpu, fc, 3, 1, 1);
  dma_fence_signal(cpu, fence_of(cpu, fc, 1));
  // Number 2 is done when 1 is, too: 1 is what is left to wait for.
  t.equal(find(cpu, chain_tail(cpu, fc), 2), chain_of(cpu, fc, 0), "the fence for seqno:2, its own done");
  fence_chains_fini(cpu, fc);
}

function find_gap(cpu: Cpu, t: Checks): void {
  const fc = t.scratch + FC;
  fence_chains_init(cpu, fc, SHORT, 2, 2);
  const tail = chain_tail(cpu, fc);
  for (let i = 0; i < SHORT; i++) {
    const chain = chain_of(cpu, fc, i);
    t.equal(find(cpu, tail, 2 * i + 1), chain, `find_seqno(${SHORT}:${2 * i + 1})`);
    t.equal(find(cpu, chain, 2 * i + 2), chain, "finding self");
  }
  fence_chains_fini(cpu, fc);
}

/** __find_race: any number is found, or done, while all collect what the others signal. Chain after chain. */
function find_race(cpu: Cpu, t: Checks): void {
  const fc = t.scratch + FC;
  const end = cpu.now() + t.seconds * 1000;
  let chains = 0;
  while (cpu.mem.loadAcquire(t.scratch + STOP) === 0) {
    if (t.index === 0) fence_chains_init(cpu, fc, CHAIN_SZ, 1, 1);
    t.meet();
    let good = true;
    for (let i = 0; i < 2 * CHAIN_SZ && good; i++) {
      good = race_once(cpu, t);
      cond_resched(cpu);
    }
    t.meet();
    if (t.index === 0) fence_chains_fini(cpu, fc);
    if (!good || (t.index === 0 && cpu.now() >= end)) cpu.mem.storeRelease(t.scratch + STOP, 1);
    chains++;
    t.meet();
  }
  t.note(`CPU ${t.index}: ${chains} chains`);
}

function race_once(cpu: Cpu, t: Checks): boolean {
  const fc = t.scratch + FC;
  const word = stack_push(cpu, 4);
  const seqno = 1 + (cpu.random32() % CHAIN_SZ);
  cpu.mem.write(word, dma_fence_get(cpu, chain_tail(cpu, fc)));
  let good = t.equal(dma_fence_chain_find_seqno(cpu, word, seqno), 0, `finding fence seqno:${seqno}`);
  let found = cpu.mem.read(word) as DmaFencePtr;
  // It can be found from itself only if it is the one that was asked for.
  if (good && found !== 0 && dma_fence_seqno(cpu, found) === seqno) {
    good = t.equal(dma_fence_chain_find_seqno(cpu, word, seqno), 0, `find-self:${seqno}`);
    found = cpu.mem.read(word) as DmaFencePtr;
  }
  dma_fence_put(cpu, found);
  stack_pop(cpu, word);
  // Never the last one: the tail stays to be walked from.
  dma_fence_signal(cpu, fence_of(cpu, fc, cpu.random32() % (CHAIN_SZ - 1)));
  return good;
}

function signal_forward(cpu: Cpu, t: Checks): void {
  const fc = t.scratch + FC;
  fence_chains_init(cpu, fc, SHORT, 1, 1);
  for (let i = 0; i < SHORT; i++) {
    dma_fence_signal(cpu, fence_of(cpu, fc, i));
    t.ok(dma_fence_is_signaled(cpu, chain_of(cpu, fc, i)), `chain[${i}] not signaled!`);
    const ahead = i + 1 < SHORT && dma_fence_is_signaled(cpu, chain_of(cpu, fc, i + 1));
    t.ok(!ahead, `chain[${i + 1}] is signaled!`);
  }
  fence_chains_fini(cpu, fc);
}

function signal_backward(cpu: Cpu, t: Checks): void {
  const fc = t.scratch + FC;
  fence_chains_init(cpu, fc, SHORT, 1, 1);
  for (let i = SHORT - 1; i >= 0; i--) {
    dma_fence_signal(cpu, fence_of(cpu, fc, i));
    t.ok(i === 0 || !dma_fence_is_signaled(cpu, chain_of(cpu, fc, i)), `chain[${i}] is signaled!`);
  }
  for (let i = 0; i < SHORT; i++) {
    t.ok(dma_fence_is_signaled(cpu, chain_of(cpu, fc, i)), `chain[${i}] was not signaled!`);
  }
  fence_chains_fini(cpu, fc);
}

/** __wait_fence_chains. */
function waiter(cpu: Cpu, t: Checks): void {
  t.meet();
  t.equal(dma_fence_wait(cpu, chain_tail(cpu, t.scratch + FC), false), 0, "waiting for the tail");
  t.ok(dma_fence_is_signaled(cpu, chain_tail(cpu, t.scratch + FC)), "the wait ended before the signal");
  t.meet();
}

function signal_all(cpu: Cpu, t: Checks, backward: boolean, random: boolean): void {
  const fc = t.scratch + FC;
  fence_chains_init(cpu, fc, CHAIN_SZ, 1, 1);
  if (random) randomise_fences(cpu, fc);
  t.meet();
  const length = chain_length(cpu, fc);
  for (let i = 0; i < length; i++) {
    dma_fence_signal(cpu, fence_of(cpu, fc, backward ? length - 1 - i : i));
    cond_resched(cpu);
  }
  t.meet();
  fence_chains_fini(cpu, fc);
}

const wait_forward: Body = (cpu, t) => signal_all(cpu, t, false, false);
const wait_backward: Body = (cpu, t) => signal_all(cpu, t, true, false);
const wait_random: Body = (cpu, t) => signal_all(cpu, t, false, true);

export const suite: Suite = {
  name: "st-dma-fence-chain",
  source: "drivers/dma-buf/st-dma-fence-chain.c",
  cases: [
    { name: "sanitycheck", bodies: [sanitycheck] },
    { name: "find_seqno", bodies: [find_seqno] },
    { name: "find_signaled", bodies: [find_signaled] },
    { name: "find_out_of_order", bodies: [find_out_of_order] },
    { name: "find_gap", bodies: [find_gap] },
    { name: "find_race", bodies: [find_race, find_race], seconds: 5 },
    { name: "signal_forward", bodies: [signal_forward] },
    { name: "signal_backward", bodies: [signal_backward] },
    { name: "wait_forward", bodies: [wait_forward, waiter] },
    { name: "wait_backward", bodies: [wait_backward, waiter] },
    { name: "wait_random", bodies: [wait_random, waiter] },
  ],
};
