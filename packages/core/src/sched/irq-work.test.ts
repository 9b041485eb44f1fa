import { expect, it } from "vitest";
import { kernel_static, kernel_symbol } from "../debug/image.ts";
import { spin_lock, spin_unlock } from "../lock/spinlock.ts";
import { boot_solo, dmesg } from "../testing/solo.ts";
import type { Cpu } from "./cpu.ts";
import { irq_poll } from "./irq.ts";
import { init_irq_work, IRQ_WORK_SIZE, irq_work_queue, irq_work_tick } from "./irq-work.ts";
import { cond_resched } from "./schedule.ts";

const WORKS = kernel_static("test_irq_works", 3 * IRQ_WORK_SIZE);
const LOCK = kernel_static("test_irq_work_lock", 4);
const [A, B, C] = [WORKS, WORKS + IRQ_WORK_SIZE, WORKS + 2 * IRQ_WORK_SIZE];
const ran: number[] = [];
const NOTE = kernel_symbol((cpu: Cpu, work: number) => {
  ran.push(work);
  expect(cpu.in_irq).toBe(true);
  if (work === B && ran.length < 4) irq_work_queue(cpu, C);
});

function boot(): Cpu {
  const cpu = boot_solo();
  ran.length = 0;
  for (const work of [A, B, C]) init_irq_work(cpu, work, NOTE);
  return cpu;
}

it("works run in the order they were queued, each once, those queued meanwhile too", () => {
  const cpu = boot();
  expect(irq_work_queue(cpu, B)).toBe(true);
  expect(irq_work_queue(cpu, A)).toBe(true);
  expect(irq_work_queue(cpu, B), "it is queued already").toBe(false);
  expect(ran).toEqual([]);
  irq_work_tick(cpu);
  expect(ran).toEqual([B, A, C]);
  irq_work_tick(cpu);
  expect(ran).toHaveLength(3);
  expect(irq_work_queue(cpu, A), "it may be queued again").toBe(true);
  cond_resched(cpu);
  expect(ran).toEqual([B, A, C, A]);
  expect(dmesg(cpu)).toEqual([]);
});

it("a spinlock keeps them off, also at what would be a safe point", () => {
  const cpu = boot();
  spin_lock(cpu, LOCK);
  irq_work_queue(cpu, A);
  irq_work_tick(cpu);
  cond_resched(cpu);
  expect(ran).toEqual([]);
  spin_unlock(cpu, LOCK);
  expect(irq_poll(cpu), "the interrupt is pending").toBe(true);
  expect(ran).toEqual([A]);
});
