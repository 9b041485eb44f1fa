/** RCU's laws on one CPU. Parallel ones are in rcu-threads.test.ts and in the public suites. */
import { beforeEach, expect, test } from "vitest";
import { kernel_static, kernel_symbol, STATIC_BASE, STATIC_LIMIT, static_name } from "../debug/image.ts";
import { GFP_KERNEL, kmalloc, kmem_in_use } from "../mm/slab.ts";
import { type Cpu, stack_pop, stack_push } from "../sched/cpu.ts";
import { cond_resched, might_sleep } from "../sched/schedule.ts";
import { boot_solo, dmesg } from "../testing/solo.ts";
import { kfree_rcu, kfree_rcu_mightsleep } from "./kfree-rcu.ts";
import { rcu_cpu_passed, rcu_gp_start, rcu_is_watching, rcu_note_qs } from "./qs.ts";
import {
  call_rcu,
  cond_synchronize_rcu,
  cond_synchronize_rcu_full,
  destroy_rcu_head_on_stack,
  get_completed_synchronize_rcu,
  get_completed_synchronize_rcu_full,
  get_state_synchronize_rcu,
  get_state_synchronize_rcu_full,
  init_rcu_head_on_stack,
  poll_state_synchronize_rcu,
  poll_state_synchronize_rcu_full,
  rcu_access_pointer,
  rcu_barrier,
  rcu_callbacks_run,
  rcu_dereference_check,
  rcu_dereference_protected,
  RCU_GP_OLDSTATE_SIZE,
  rcu_gp_once,
  rcu_grace_periods,
  rcu_head_after_call_rcu,
  rcu_head_init,
  RCU_HEAD_SIZE,
  RCU_INIT_POINTER,
  rcu_momentary_eqs,
  rcu_read_lock,
  rcu_read_lock_held,
  rcu_read_unlock,
  rcu_replace_pointer,
  type RcuHeadPtr,
  same_state_synchronize_rcu,
  same_state_synchronize_rcu_full,
  start_poll_synchronize_rcu,
  start_poll_synchronize_rcu_full,
  synchronize_rcu,
  synchronize_rcu_expedited,
} from "./rcu.ts";

const NOTE = kernel_symbol(note_callback);
const AGAIN = kernel_symbol(queue_again);
const SLEEPER = kernel_symbol(sleep_in_callback);
const PROTECTED = kernel_static("test_protected", 4);
let log: number[] = [];
function note_callback(_cpu: Cpu, head: number): void {
  log.push(head);
}
function queue_again(cpu: Cpu, head: number): void {
  log.push(head);
  call_rcu(cpu, head as RcuHeadPtr, NOTE);
}
function sleep_in_callback(cpu: Cpu): void {
  might_sleep(cpu);
}

let cpu: Cpu;
beforeEach(() => {
  cpu = boot_solo();
  log = [];
});
function head(): RcuHeadPtr {
  return stack_push(cpu, RCU_HEAD_SIZE) as RcuHeadPtr;
}

test("a callback runs after a grace period, once, in order", () => {
  const [a, b, c] = [head(), head(), head()];
  for (const h of [a, b, c]) call_rcu(cpu, h, NOTE);
  expect(log).toEqual([]);
  expect(rcu_gp_once(cpu)).toBe(true);
  expect(log).toEqual([a, b, c]);
  expect(rcu_gp_once(cpu), "nothing left").toBe(false);
  expect([rcu_grace_periods(cpu), rcu_callbacks_run(cpu)]).toEqual([1, 3]);
});

test("a callback may queue itself again, for a later grace period", () => {
  const a = head();
  call_rcu(cpu, a, AGAIN);
  rcu_gp_once(cpu);
  expect(log).toEqual([a]);
  rcu_gp_once(cpu);
  expect(log).toEqual([a, a]);
});

test("rcu_barrier: everything queued before has run", () => {
  for (let i = 0; i < 10; i++) call_rcu(cpu, head(), NOTE);
  rcu_barrier(cpu);
  expect(log).toHaveLength(10);
});

test("read sections nest", () => {
  expect(rcu_read_lock_held(cpu)).toBe(false);
  rcu_read_lock(cpu);
  rcu_read_lock(cpu);
  rcu_read_unlock(cpu);
  expect(rcu_read_lock_held(cpu)).toBe(true);
  rcu_read_unlock(cpu);
  expect(rcu_read_lock_held(cpu)).toBe(false);
});

test("an unlock without a lock warns and leaves the count alone", () => {
  rcu_read_unlock(cpu);
  expect(dmesg(cpu).join()).toContain("bad unlock balance detected!");
  expect(cpu.rcu_nesting).toBe(0);
  rcu_read_lock(cpu);
  expect(rcu_read_lock_held(cpu)).toBe(true);
});

test.each([
  ["synchronize_rcu", synchronize_rcu],
  ["synchronize_rcu_expedited", synchronize_rcu_expedited],
] as const)("%s inside a read section warns, waits for nothing and returns", (name, verb) => {
  rcu_read_lock(cpu);
  cond_resched(cpu);
  rcu_momentary_eqs(cpu);
  expect(dmesg(cpu), "a safe point is fine").toEqual([]);
  verb(cpu);
  expect(dmesg(cpu)).toHaveLength(1);
  expect(dmesg(cpu).join()).toContain(`Illegal ${name}() in RCU read-side critical section!`);
  expect(rcu_grace_periods(cpu)).toBe(0);
});

test("cond_synchronize_rcu inside a read section warns if it would wait", () => {
  rcu_read_lock(cpu);
  cond_synchronize_rcu(cpu, get_completed_synchronize_rcu(cpu));
  expect(dmesg(cpu)).toEqual([]);
  cond_synchronize_rcu(cpu, get_state_synchronize_rcu(cpu));
  expect(dmesg(cpu).join()).toContain("Illegal synchronize_rcu()");
});

test("sleeping inside a read section warns", () => {
  rcu_read_lock(cpu);
  might_sleep(cpu);
  expect(dmesg(cpu).join()).toContain("Illegal context switch in RCU read-side critical section!");
});

test("a head given to call_rcu twice is reported; neither callback runs, and no list breaks", () => {
  const [a, b, c] = [head(), head(), head()];
  call_rcu(cpu, a, NOTE);
  call_rcu(cpu, b, NOTE);
  call_rcu(cpu, b, AGAIN);
  call_rcu(cpu, c, NOTE);
  expect(dmesg(cpu).join()).toContain("ODEBUG: activate active (active state 1) object: 0x");
  expect(dmesg(cpu).join()).toContain("object type: rcu_head hint: note_callback");
  rcu_barrier(cpu);
  expect(log).toEqual([a, c]);
  call_rcu(cpu, b, NOTE);
  rcu_barrier(cpu);
  expect(log, "and it can be queued again").toEqual([a, c, b]);
  expect(dmesg(cpu)).toHaveLength(1);
});

test("a head needs no initialisation, whatever its memory held", () => {
  for (const word of [0, -1, 0x5a5a5a5a, 0x6b6b6b6b, 0x7fffffff, -4095]) {
    const h = head();
    cpu.mem.write(h, word);
    cpu.mem.write(h + 4, word);
    call_rcu(cpu, h, NOTE);
  }
  rcu_barrier(cpu);
  expect([log.length, dmesg(cpu).length]).toEqual([6, 0]);
});

test("a head on the stack that RCU still owns must not go", () => {
  const h = head();
  init_rcu_head_on_stack(cpu, h);
  call_rcu(cpu, h, NOTE);
  destroy_rcu_head_on_stack(cpu, h);
  expect(dmesg(cpu).join()).toContain("ODEBUG: free active");
  rcu_barrier(cpu);
  destroy_rcu_head_on_stack(cpu, h);
  expect(dmesg(cpu)).toHaveLength(1);
});

test("rcu_head_after_call_rcu: has this head been queued, and with this function?", () => {
  const h = head();
  rcu_head_init(cpu, h);
  expect(rcu_head_after_call_rcu(cpu, h, NOTE)).toBe(false);
  call_rcu(cpu, h, NOTE);
  expect(rcu_head_after_call_rcu(cpu, h, NOTE)).toBe(true);
  expect(dmesg(cpu)).toEqual([]);
  expect(rcu_head_after_call_rcu(cpu, h, AGAIN)).toBe(false);
  expect(dmesg(cpu)).toHaveLength(1);
});

test("a cookie is done after a full grace period, not before", () => {
  const cookie = get_state_synchronize_rcu(cpu);
  expect(poll_state_synchronize_rcu(cpu, cookie)).toBe(false);
  expect(rcu_gp_once(cpu), "get_state starts nothing").toBe(false);
  synchronize_rcu(cpu);
  expect(poll_state_synchronize_rcu(cpu, cookie)).toBe(true);
  const periods = rcu_grace_periods(cpu);
  cond_synchronize_rcu(cpu, cookie);
  expect(rcu_grace_periods(cpu), "it is over already").toBe(periods);
  cond_synchronize_rcu(cpu, get_state_synchronize_rcu(cpu));
  expect(rcu_grace_periods(cpu)).toBe(periods + 1);
});

test("start_poll_synchronize_rcu makes its grace period happen, without callbacks and once", () => {
  const a = start_poll_synchronize_rcu(cpu);
  const b = start_poll_synchronize_rcu(cpu);
  expect(same_state_synchronize_rcu(cpu, a, b)).toBe(true);
  expect(rcu_gp_once(cpu)).toBe(true);
  expect(poll_state_synchronize_rcu(cpu, a)).toBe(true);
  expect(rcu_gp_once(cpu)).toBe(false);
  expect(same_state_synchronize_rcu(cpu, a, get_state_synchronize_rcu(cpu))).toBe(false);
  expect(poll_state_synchronize_rcu(cpu, get_completed_synchronize_rcu(cpu))).toBe(true);
});

/** The static word called `name`, at `offset`. */
function static_word(name: string, offset: number): number {
  for (let p = STATIC_BASE; p < STATIC_LIMIT; p += 4) if (static_name(p) === name) return p + offset;
  throw new Error(`no static ${name}`);
}

test("the numbers of grace periods wrap, and cookies and quiescent states go on", () => {
  const done = (1 << 30) - 3;
  cpu.mem.write(static_word("rcu_gp_seq", 0), 2 * done + 1);
  cpu.mem.write(static_word("rcu_gp_needed", 0), done);
  cpu.mem.write(static_word("rcu_state", 4), done);
  for (let i = 0; i < 6; i++) {
    const cookie = start_poll_synchronize_rcu(cpu);
    expect(poll_state_synchronize_rcu(cpu, cookie), `asked for, ${i}`).toBe(false);
    expect(rcu_gp_once(cpu), `happens, ${i}`).toBe(true);
    expect(poll_state_synchronize_rcu(cpu, cookie), `over, ${i}`).toBe(true);
    expect(rcu_gp_once(cpu), `once, ${i}`).toBe(false);
    expect(rcu_grace_periods(cpu)).toBe(done + 1 + i);
  }
  cpu.mem.write(static_word("rcu_gp_seq", 0), 0x7fffffff);
  const sequence = rcu_gp_start(cpu);
  rcu_note_qs(cpu);
  expect(rcu_cpu_passed(cpu, 0, sequence)).toBe(true);
});

test("strict: a CPU holds up grace periods from the outermost lock to its unlock, and never else", () => {
  const strict = boot_solo({ rcu: "strict" });
  const sequence = rcu_gp_start(strict);
  expect(rcu_cpu_passed(strict, 0, sequence)).toBe(true);
  rcu_read_lock(strict);
  rcu_read_lock(strict);
  const next = rcu_gp_start(strict);
  rcu_note_qs(strict);
  expect(rcu_cpu_passed(strict, 0, next), "inside").toBe(false);
  rcu_read_unlock(strict);
  expect(rcu_cpu_passed(strict, 0, next), "still inside").toBe(false);
  rcu_read_unlock(strict);
  expect(rcu_cpu_passed(strict, 0, next), "outside").toBe(true);
  expect(rcu_is_watching(strict)).toBe(false);
  synchronize_rcu(strict);
  expect(dmesg(strict)).toEqual([]);
});

test("the _full forms keep cookies in memory and mean the same", () => {
  const [a, b] = [stack_push(cpu, RCU_GP_OLDSTATE_SIZE), stack_push(cpu, RCU_GP_OLDSTATE_SIZE)];
  get_state_synchronize_rcu_full(cpu, a);
  start_poll_synchronize_rcu_full(cpu, b);
  expect(same_state_synchronize_rcu_full(cpu, a, b)).toBe(true);
  expect(poll_state_synchronize_rcu_full(cpu, a)).toBe(false);
  cond_synchronize_rcu_full(cpu, a);
  expect(poll_state_synchronize_rcu_full(cpu, b)).toBe(true);
  get_completed_synchronize_rcu_full(cpu, a);
  expect(poll_state_synchronize_rcu_full(cpu, a)).toBe(true);
  stack_pop(cpu, a);
});

test.each([0, 8, 120, 248])("kfree_rcu frees after a grace period; rcu_head at %d", (offset) => {
  const before = kmem_in_use(cpu);
  const p = kmalloc(cpu, 256, GFP_KERNEL);
  kfree_rcu(cpu, p, offset);
  expect(kmem_in_use(cpu)).not.toEqual(before);
  rcu_barrier(cpu);
  expect(kmem_in_use(cpu)).toEqual(before);
  kfree_rcu(cpu, 0, offset);
  expect(rcu_gp_once(cpu), "NULL is nothing to free").toBe(false);
});

test("kfree_rcu_mightsleep needs no rcu_head; inside a read section it leaks", () => {
  const before = kmem_in_use(cpu);
  kfree_rcu_mightsleep(cpu, kmalloc(cpu, 4, GFP_KERNEL));
  expect([kmem_in_use(cpu), dmesg(cpu)]).toEqual([before, []]);
  const p = kmalloc(cpu, 4, GFP_KERNEL);
  const held = kmem_in_use(cpu);
  rcu_read_lock(cpu);
  kfree_rcu_mightsleep(cpu, p);
  rcu_read_unlock(cpu);
  expect(kmem_in_use(cpu)).toEqual(held);
  expect(dmesg(cpu).join()).toContain("Illegal synchronize_rcu()");
});

test("rcu_dereference_check warns without section and condition", () => {
  rcu_dereference_check(cpu, PROTECTED, true);
  rcu_read_lock(cpu);
  rcu_dereference_check(cpu, PROTECTED, false);
  rcu_read_unlock(cpu);
  expect(dmesg(cpu)).toEqual([]);
  rcu_dereference_check(cpu, PROTECTED, false);
  expect(dmesg(cpu).join()).toContain("suspicious RCU usage: suspicious rcu_dereference_check() usage!");
});

test("rcu_replace_pointer puts one in and hands the other out", () => {
  RCU_INIT_POINTER(cpu, PROTECTED, 16);
  expect(rcu_replace_pointer(cpu, PROTECTED, 32, true)).toBe(16);
  expect(rcu_access_pointer(cpu, PROTECTED)).toBe(32);
  expect(dmesg(cpu)).toEqual([]);
  rcu_replace_pointer(cpu, PROTECTED, 0, false);
  expect(dmesg(cpu).join()).toContain("suspicious rcu_dereference_protected() usage!");
});

test("a callback runs in softirq context: sleeping in it warns", () => {
  call_rcu(cpu, head(), SLEEPER);
  rcu_gp_once(cpu);
  expect(dmesg(cpu).join()).toContain("BUG: sleeping function called from invalid context");
});

test("rcu_dereference_protected without the lock warns", () => {
  rcu_dereference_protected(cpu, PROTECTED, true);
  expect(dmesg(cpu)).toEqual([]);
  rcu_dereference_protected(cpu, PROTECTED, false);
  expect(dmesg(cpu).join()).toContain("suspicious rcu_dereference_protected() usage");
});
