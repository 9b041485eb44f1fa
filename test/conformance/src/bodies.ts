/**
 * The thread's side of a conformance run: what the machine's CPUs do before, during and after a case.
 *
 * Interface: a module that exports `workloads = conformance_workloads(suites)` is what the runner gives to its
 * machines (Machine's option `workloads`); `suites` must be what the runner was given.
 */
import { dmesg_clear } from "@ringside/core/debug/dmesg";
import { clear_warn_once } from "@ringside/core/debug/warn";
import { lockdep_reset, lockdep_sys_exit } from "@ringside/core/lock/lockdep";
import { kmem_leaks, kmem_mark } from "@ringside/core/mm/slab-report";
import type { Cpu } from "@ringside/core/sched/cpu";
import { msleep } from "@ringside/core/sched/delay";
import { type Args, type Result, text_arg, type Workload } from "@ringside/scenarios/workload";
import { settle } from "@ringside/workers/settle";
import { Checks, checks_ended, checks_reset } from "./checks.ts";
import type { Body, Suite } from "./suite.ts";

/** Names of the workloads. */
export const BEGIN = "conformance-begin";
export const BODY = "conformance-body";
export const END = "conformance-end";

/** What is freed late, by a timer or a worker that goes idle, has so many times so long (ms). */
const LEAK_ROUNDS = 20;
const LEAK_NAP_MS = 10;

/** CPU 0, while nothing else runs: as if nothing had been before. */
function begin(cpu: Cpu): Result {
  settle(cpu);
  checks_reset(cpu);
  clear_warn_once(cpu);
  lockdep_reset(cpu);
  dmesg_clear(cpu);
  kmem_mark(cpu);
  return {};
}

/** CPU 0, after the bodies: what the case left allocated, a line a site. */
function end(cpu: Cpu): Result {
  settle(cpu);
  let leaks = kmem_leaks(cpu);
  for (let i = 0; i < LEAK_ROUNDS && leaks.length > 0; i++) {
    msleep(cpu, LEAK_NAP_MS);
    settle(cpu);
    leaks = kmem_leaks(cpu);
  }
  return {
    leaks: leaks.map((leak) => `leak: ${leak.objects} objects, ${leak.bytes} bytes from ${leak.site}`),
  };
}

/** Numbers differ between cases and bodies, and repeat with the seed, whatever ran before. */
function random_state(seed: number, name: string, index: number): number {
  let hash = Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b);
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return hash | 1;
}

/** What a thread must not take along when a body has returned; false: it does, and is good for nothing more. */
function check_context(cpu: Cpu, checks: Checks, sp: number): boolean {
  const rcu = checks.equal(cpu.rcu_nesting, 0, "RCU read sections still open at the end");
  const preempt = checks.equal(cpu.preempt_count, 0, "preempt_count at the end");
  const stack = checks.equal(cpu.sp - sp, 0, "bytes of kernel stack still in use at the end");
  return rcu && preempt && stack;
}

function run_body(cpu: Cpu, body: Body, args: Args): Result {
  const { index, parties, seconds, seed } = args;
  const path = `${text_arg(args, "suite")}/${text_arg(args, "name")}`;
  const checks = new Checks(cpu, Number(index), Number(parties), Number(seconds), Number(seed));
  const { sp } = cpu;
  cpu.random_state = random_state(Number(seed), path, checks.index);
  body(cpu, checks);
  checks_ended(cpu);
  if (cpu.lockdep) lockdep_sys_exit(cpu);
  const clean = check_context(cpu, checks, sp);
  return { failures: checks.failures, notes: checks.notes, clean };
}

function find_body(suites: readonly Suite[], args: Args): Body {
  const { suite, name, index } = args;
  const found = suites.find((each) => each.name === suite)?.cases.find((each) => each.name === name);
  const body = found?.bodies[Number(index)];
  if (body !== undefined) return body;
  throw new Error(
    `no body ${text_arg(args, "index")} of ${text_arg(args, "suite")}/${text_arg(args, "name")}`,
  );
}

export function conformance_workloads(suites: readonly Suite[]): Readonly<Record<string, Workload>> {
  return { [BEGIN]: begin, [BODY]: (cpu, args) => run_body(cpu, find_body(suites, args), args), [END]: end };
}
