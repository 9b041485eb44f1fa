/**
 * Entry of one thread of a test machine (see threads.ts): loads the test's module, says it is ready, and runs its
 * part when told. Every thread loads the same modules in the same order, so all have the same kernel image.
 */
import { parentPort, workerData } from "node:worker_threads";
import { threadMemory, type WasmMemory } from "atomics-sync";
import { hung_task_report } from "../debug/hung-task.ts";
import { image_hash, start_kernel, stop_kernel } from "../debug/image.ts";
import { kasan_attach, kasan_memory } from "../debug/kasan.ts";
import type { KernelConfig } from "../mm/memory-map.ts";
import { rcu_gp_kthread } from "../rcu/rcu.ts";
import { Cpu } from "../sched/cpu.ts";
import { kthread_start, kthread_stop_all, kthread_wanted_word } from "../sched/kthread.ts";
import { cpu_enter, cpu_exit } from "../sched/schedule.ts";
import { virtual_clock_join, virtual_clock_leave, virtual_clock_ms } from "../sched/virtual-clock.ts";
import { kworker_thread } from "../sched/workqueue.ts";

/** A watchdog is no part of the machine: it looks at one that hangs. */
export type ThreadRole = "cpu" | "rcu_gp" | "kworker" | "custom" | "watchdog";

export interface ThreadData {
  readonly wasm: WasmMemory;
  readonly shadow: SharedArrayBuffer | undefined;
  readonly config: KernelConfig;
  /** smp_processor_id. */
  readonly id: number;
  readonly role: ThreadRole;
  /** URL of the module with the bodies. */
  readonly module: string;
  /** Name of the function to run; "" for none. */
  readonly run: string;
  readonly args: readonly unknown[];
  /** process.hrtime() at the machine's epoch. */
  readonly epoch: [number, number];
}

/** What the host tells a thread. */
export type ThreadOrder = "boot" | "run" | { readonly call: string } | "stop";

/** What a thread tells the host. */
export type ThreadNews =
  | { readonly news: "ready"; readonly hash: number; readonly wanted: number }
  | { readonly news: "done"; readonly value: unknown }
  | { readonly news: "failed"; readonly stack: string };

type Body = (cpu: Cpu, ...args: readonly unknown[]) => unknown;

const data = workerData as ThreadData;
const port = parentPort as NonNullable<typeof parentPort>;
const bodies = (await import(data.module)) as Record<string, Body>;

function now(): number {
  if (data.config.clock === "virtual") return virtual_clock_ms(memory);
  const [seconds, nanoseconds] = process.hrtime(data.epoch);
  return seconds * 1e3 + nanoseconds / 1e6;
}

const watchdog = data.role === "watchdog";
const memory = data.shadow === undefined ? threadMemory(data.wasm) : kasan_memory(data.wasm, data.shadow);
const cpu = new Cpu(memory, data.id, data.config, { now });
kasan_attach(cpu);

function call_body(name: string): unknown {
  if (name === "") return undefined;
  const body = bodies[name];
  if (body === undefined) throw new Error(`${data.module} does not export ${name}`);
  return body(cpu, ...data.args);
}

function boot(): void {
  const error = start_kernel(cpu);
  if (error < 0) throw new Error(`boot failed with ${error}`);
}

function run(): unknown {
  if (data.role === "rcu_gp" && data.run === "") return rcu_gp_kthread(cpu);
  if (data.role === "kworker" && data.run === "") return kworker_thread(cpu);
  return call_body(data.run);
}

function stop(): void {
  stop_kernel(cpu);
  kthread_stop_all(cpu);
}

function obey(order: ThreadOrder): unknown {
  if (data.role === "watchdog") return hung_task_report(cpu);
  if (order === "boot") return boot();
  if (order === "run") return run();
  if (order === "stop") return stop();
  return call_body(order.call);
}

function enter(): void {
  virtual_clock_join(cpu);
  cpu_enter(cpu);
}

function leave(): void {
  cpu_exit(cpu);
  virtual_clock_leave(cpu);
}

function tell(news: ThreadNews): void {
  port.postMessage(news);
}

port.on("message", (order: ThreadOrder) => {
  try {
    if (!watchdog) enter();
    const value = obey(order);
    if (!watchdog) leave();
    tell({ news: "done", value });
  } catch (error) {
    tell({ news: "failed", stack: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
});
// Counted before the machine runs: rcu_gp must not leave while a kworker has yet to start.
if (data.role === "kworker" && data.run === "") kthread_start(cpu);
// Nor may virtual time move before a kernel thread has started.
if (data.role !== "cpu" && !watchdog) virtual_clock_join(cpu);
tell({ news: "ready", hash: image_hash(), wanted: kthread_wanted_word() });
