/**
 * A machine under control: a kernel scenario as a program for the checker. One thread of the program is one CPU; the
 * grace-period thread and the kworkers are daemons. Boot and the scenario's setup run once, unscheduled; every
 * execution starts from what they left in memory.
 *
 * The checker is not imported: KernelProgram has the shape of its Program. What a Cpu keeps outside the memory is made
 * anew when its thread starts.
 */
// First: the root of the kernel image.
import "../kernel.ts";
import { LOG_BUG, LOG_VIOLATION } from "@ringside/core/debug/dmesg";
import { start_kernel } from "@ringside/core/debug/image";
import { DEFAULT_CONFIG, type KernelConfig, memory_map } from "@ringside/core/mm/memory-map";
import { GFP_KERNEL, kfree, kmalloc } from "@ringside/core/mm/slab";
import { KMALLOC_SIZES } from "@ringside/core/mm/slab-meta";
import { kmem_leaks, kmem_mark } from "@ringside/core/mm/slab-report";
import { rcu_barrier, rcu_gp_kthread, rcu_gp_once } from "@ringside/core/rcu/rcu";
import { Cpu, type Platform } from "@ringside/core/sched/cpu";
import { kthread_start } from "@ringside/core/sched/kthread";
import { cpu_enter, cpu_exit } from "@ringside/core/sched/schedule";
import {
  flush_workqueue,
  kworker_thread,
  system_dfl_wq,
  system_wq,
  workqueue_run_one,
} from "@ringside/core/sched/workqueue";
import type { Memory } from "atomics-sync/memory";
import { LEAK } from "./leak.ts";
import { observer_of } from "./observer-memory.ts";
import { place_name } from "./place-name.ts";
import type { KernelForm, KernelScenario } from "./scenario.ts";
import { site_names } from "./site-names.ts";

/** What a thread asks of the checker: the part of its ThreadContext that is used here. */
export interface CheckThread {
  choose(n: number): number;
  fail(message: string, kind?: string, report?: string): void;
}

type Body = (memory: Memory, thread: CheckThread) => unknown;

interface KernelThread {
  readonly name: string;
  readonly daemon?: boolean;
  readonly body: Body;
}

export interface KernelProgram {
  readonly name: string;
  readonly bytes: number;
  readonly setup: (memory: Memory) => unknown;
  readonly threads: readonly KernelThread[];
  readonly lastly: Body;
  readonly describe: (place: number) => string;
  readonly focus?: (file: string, name: string) => boolean;
}

const KWORKERS = 2;
const MIB = 1 << 20;
/** Rounds of grace period and flush after which a released token is gone: map, fence, token. */
const SETTLE_ROUNDS = 3;

/** The smallest machine with a thread for each of the form's. */
export function machine_config(
  scenario: KernelScenario,
  form: KernelForm,
  overrides: Partial<KernelConfig>,
): KernelConfig {
  return {
    ...DEFAULT_CONFIG,
    cpus: Object.keys(form.threads).length,
    kthreads: 1 + (scenario.kworkers ?? KWORKERS),
    ram: 2 * MIB,
    vram: MIB >> 4,
    media: MIB >> 4,
    iommu: "passthrough",
    kasan: true,
    rcu: "strict",
    ...form.config,
    ...overrides,
  };
}

class ControlledMachine {
  readonly config: KernelConfig;
  readonly tolerates: readonly string[];
  readonly scenario: KernelScenario;
  readonly start: ((cpu: Cpu) => void) | undefined;
  /** Looks at memory from outside, once it is set up. */
  observer: Cpu | undefined = undefined;

  constructor(scenario: KernelScenario, form: KernelForm, overrides: Partial<KernelConfig>) {
    this.config = machine_config(scenario, form, overrides);
    this.tolerates = form.tolerates ?? [];
    this.scenario = scenario;
    this.start = form.start;
  }

  /** The Cpu of a thread that starts. */
  cpu(id: number, memory: Memory, thread: CheckThread): Cpu {
    const cpu = new Cpu(memory, id, this.config, {
      now: () => memory.now(),
      choose: (n) => thread.choose(n),
      logged: (level, text) => this.judge(thread, level, text),
      sites: site_names,
    });
    cpu.idle_spin.off();
    cpu.flush_spin.off();
    return cpu;
  }

  is_tolerated(text: string): boolean {
    return this.tolerates.some((part) => text.includes(part));
  }

  judge(thread: CheckThread, level: number, text: string): void {
    if (this.is_tolerated(text)) return;
    thread.fail(text.split("\n")[0] as string, kind_of(level, text), text);
  }
}

/** The kernel's words for what the checker has kinds for. */
const KINDS: readonly (readonly [RegExp, string])[] = [
  [/double-free|invalid-free/, "double-free"],
  [/use-after-free|null-ptr-deref|wild-memory/, "use-after-free"],
  [/out-of-bounds/, "out-of-bounds"],
  [/refcount_t|percpu ref/, "refcount"],
  [/RCU|rcu_/, "rcu"],
  [/lockup|blocked for more than/, "deadlock"],
];

function kind_of(level: number, text: string): string {
  if (level === LOG_VIOLATION) return "assertion";
  const known = KINDS.find(([pattern]) => pattern.test(text));
  if (known !== undefined) return known[1];
  return level === LOG_BUG ? "crash" : "warning";
}

/** Time and idleness of setup: what would run elsewhere runs here, as in a solo kernel. */
function setup_platform(): Platform {
  let time = 0;
  return {
    now: () => time,
    idle: (cpu) => {
      time++;
      return workqueue_run_one(cpu) || rcu_gp_once(cpu);
    },
    logged: (_level, text) => {
      throw new Error(`setup: ${text}`);
    },
    sites: site_names,
  };
}

/** Slabs of every size, so that executions do not make them. */
function warm_slabs(cpu: Cpu): void {
  for (let i = 0; i < KMALLOC_SIZES.length; i++) {
    const p = kmalloc(cpu, KMALLOC_SIZES[i] as number, GFP_KERNEL);
    kfree(cpu, p);
  }
}

function set_up(machine: ControlledMachine, memory: Memory): void {
  const { scenario, config } = machine;
  const cpu = new Cpu(memory, 0, config, setup_platform());
  machine.observer = new Cpu(observer_of(memory), 0, config, setup_platform());
  cpu_enter(cpu);
  const error = start_kernel(cpu);
  if (error < 0) throw new Error(`${scenario.name}: boot failed with ${error}`);
  warm_slabs(cpu);
  kmem_mark(cpu);
  const { setup } = scenario;
  const { start } = machine;
  // indirect: the scenario's own code.
  if (setup !== undefined) setup(cpu);
  if (start !== undefined) start(cpu);
  while (workqueue_run_one(cpu) || rcu_gp_once(cpu));
  for (let i = 1; i < config.kthreads; i++) kthread_start(cpu);
  cpu_exit(cpu);
}

function settle(cpu: Cpu): void {
  for (let i = 0; i < SETTLE_ROUNDS; i++) {
    rcu_barrier(cpu);
    flush_workqueue(cpu, system_wq(cpu));
    flush_workqueue(cpu, system_dfl_wq(cpu));
  }
}

function check_leaks(machine: ControlledMachine, cpu: Cpu, thread: CheckThread): void {
  const leaks = kmem_leaks(cpu);
  const [first] = leaks;
  if (first === undefined || machine.is_tolerated(LEAK)) return;
  const lines = leaks.map(
    (leak) => `${LEAK}: ${leak.objects} objects, ${leak.bytes} bytes, from ${leak.site}`,
  );
  thread.fail(
    `${lines[0]}${leaks.length > 1 ? `, and ${leaks.length - 1} more sites` : ""}`,
    "leak",
    lines.join("\n"),
  );
}

/** The machine of a form, as a program. */
export function kernel_program(
  scenario: KernelScenario,
  form_name: string,
  form: KernelForm,
  overrides: Partial<KernelConfig>,
): KernelProgram {
  const machine = new ControlledMachine(scenario, form, overrides);
  const { cpus, kthreads } = machine.config;
  const threads: KernelThread[] = [];
  for (const [name, run] of Object.entries(form.threads)) {
    const id = threads.length;
    threads.push({
      name,
      body: (memory, thread) => {
        const cpu = machine.cpu(id, memory, thread);
        cpu_enter(cpu);
        run(cpu);
        cpu_exit(cpu);
      },
    });
  }
  threads.push({
    name: "rcu_gp",
    daemon: true,
    body: (memory, thread) => {
      const cpu = machine.cpu(cpus, memory, thread);
      cpu_enter(cpu);
      rcu_gp_kthread(cpu);
    },
  });
  for (let i = 1; i < kthreads; i++) {
    threads.push({
      name: `kworker${i - 1}`,
      daemon: true,
      body: (memory, thread) => {
        const cpu = machine.cpu(cpus + i, memory, thread);
        cpu_enter(cpu);
        kworker_thread(cpu);
      },
    });
  }
  const { lastly } = form;
  const { focus } = scenario;
  return {
    name: `${scenario.name} (${form_name})`,
    bytes: memory_map(machine.config).size,
    setup: (memory) => {
      set_up(machine, memory);
    },
    threads,
    describe: (place) => (machine.observer === undefined ? "" : place_name(machine.observer, place)),
    lastly: (memory, thread) => {
      const cpu = machine.cpu(0, memory, thread);
      cpu_enter(cpu);
      if (lastly !== undefined) lastly(cpu);
      settle(cpu);
      check_leaks(machine, cpu, thread);
      cpu_exit(cpu);
    },
    ...(focus === undefined
      ? {}
      : { focus: (file, name) => focus.some((part) => in_focus(part, file, name)) }),
  };
}

function in_focus(part: string, file: string, name: string): boolean {
  const hash = part.indexOf("#");
  if (hash < 0) return file.startsWith(part);
  return file.startsWith(part.slice(0, hash)) && name === part.slice(hash + 1);
}
