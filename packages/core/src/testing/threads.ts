/**
 * A small machine on real threads, for tests of what is truly parallel. One worker thread per CPU, one rcu_gp, some
 * kworkers, one shared memory. Bounded by a timeout; leaves no thread behind.
 *
 * Interface: put the bodies into a module of their own, as exported functions `(cpu, ...args) => value` that
 * run on a thread of the machine and may block in schedule():
 *
 *   const { values, log } = await run_machine({
 *     module: new URL("./my-bodies.ts", import.meta.url),
 *     cpus: ["writer", "reader", "reader"],      // CPU i runs the i-th body
 *     boot: "set_up",                            // optional: CPU 0, after start_kernel, before the bodies
 *     finish: "check",                           // optional: CPU 0, after all bodies; its value is `finished`
 *   });
 *
 * Order: start_kernel, boot, then all bodies at once while rcu_gp and the kworkers run, then finish, then the
 * kernel threads stop. When a body throws, run_machine rejects with its stack and the thread's name.
 * Shared state of the bodies: kernel_static at the module's level, as everywhere. Arguments and values are
 * cloned. The test's own thread is no CPU: it loads modules in another order, so it must not call the kernel.
 */
import { Worker } from "node:worker_threads";
import { CheckedMemory, createSharedMemory, Memory, type WasmMemory } from "atomics-sync";
import { dmesg_read, LOG_INFO, type LogRecord } from "../debug/dmesg.ts";
import { DEFAULT_CONFIG, type KernelConfig, memory_map } from "../mm/memory-map.ts";
import { Cpu } from "../sched/cpu.ts";
import { kthread_served } from "../sched/kthread-request.ts";
import type { ThreadData, ThreadNews, ThreadOrder, ThreadRole } from "./thread-main.ts";

const ENTRY = new URL("./thread-main.ts", import.meta.url);
const DEFAULT_TIMEOUT_MS = 30_000;
/** A loaded machine takes its time to start threads. */
const LOAD_TIMEOUT_MS = 40_000;
/** Time for the report of a machine that hangs; loading its modules is most of it. */
const REPORT_TIMEOUT_MS = 10_000;
/** How often the host looks whether another kworker is wanted. */
const GROW_POLL_MS = 2;

export interface MachineOptions {
  /** Module that exports the bodies. */
  readonly module: URL;
  /** The body of each CPU; the number of CPUs is its length. */
  readonly cpus: readonly string[];
  readonly args?: readonly unknown[];
  readonly boot?: string;
  readonly finish?: string;
  /** kworkers at the start; more come when the kernel asks, up to config.kthreads - 1. Default 2. */
  readonly kworkers?: number;
  /** Body of the rcu_gp thread in place of rcu_gp_kthread: for negative controls. */
  readonly rcu_gp?: string;
  /** Bodies of further threads that are no CPUs, as the NVMe controller: they get the ids from nr_threads on. */
  readonly devices?: readonly string[];
  readonly config?: Partial<KernelConfig>;
  readonly timeout?: number;
}

export interface MachineResult {
  /** What each CPU's body returned. */
  readonly values: unknown[];
  /** What `finish` returned. */
  readonly finished: unknown;
  /** The kernel log without mere information. */
  readonly log: LogRecord[];
  /** kworker threads at the end. */
  readonly kworkers: number;
}

/** One thread, seen from the host. */
class Thread {
  readonly name: string;
  readonly worker: Worker;
  hash: number = 0;
  wanted: number = 0;
  busy: boolean = true;
  private settle: { resolve(value: unknown): void; reject(error: Error): void } | undefined;
  /** The answer to the order given last. */
  private answer: Promise<unknown>;

  constructor(name: string, data: ThreadData, environment: { signal: (error: Error) => void }) {
    this.name = name;
    this.answer = this.expect();
    this.worker = new Worker(ENTRY, { workerData: data, name });
    this.worker.on("message", (news: ThreadNews) => this.hear(news));
    this.worker.on("error", (error) => this.fail(`${error instanceof Error ? error.stack : String(error)}`));
    this.worker.on("exit", () => this.fail("thread ended"));
    this.answer.catch(environment.signal);
    this.signal = environment.signal;
  }
  private readonly signal: (error: Error) => void;

  private expect(): Promise<unknown> {
    this.busy = true;
    return new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
    });
  }

  private hear(news: ThreadNews): void {
    if (news.news === "failed") return this.fail(news.stack);
    if (news.news === "ready") {
      this.hash = news.hash;
      this.wanted = news.wanted;
    }
    this.busy = false;
    this.settle?.resolve(news.news === "done" ? news.value : undefined);
  }

  private fail(text: string): void {
    this.settle?.reject(new Error(`${this.name}: ${text}`));
  }

  ready(): Promise<unknown> {
    return this.answer;
  }

  order(order: ThreadOrder): Promise<unknown> {
    this.answer = this.expect();
    // A failure must end the machine even while nobody awaits this answer.
    this.answer.catch(this.signal);
    this.worker.postMessage(order);
    return this.answer;
  }
}

class TestMachine {
  readonly options: MachineOptions;
  readonly config: KernelConfig;
  readonly wasm: WasmMemory;
  readonly shadow: SharedArrayBuffer | undefined;
  readonly epoch: [number, number] = process.hrtime();
  readonly threads: Thread[] = [];
  readonly kthreads: Promise<unknown>[] = [];
  kworkers: number = 0;
  /** Rejects when any thread fails. */
  readonly failure: Promise<never>;
  private signal: (error: Error) => void = () => {};

  constructor(options: MachineOptions) {
    this.options = options;
    const small = { ram: 8 << 20, vram: 1 << 20, media: 1 << 20, kthreads: 8, lockdep: true };
    this.config = { ...DEFAULT_CONFIG, ...small, ...options.config, cpus: options.cpus.length };
    this.wasm = createSharedMemory(memory_map(this.config).size);
    this.shadow = this.config.kasan ? CheckedMemory.createShadow(this.wasm.buffer.byteLength) : undefined;
    this.failure = new Promise((_, reject) => {
      this.signal = reject;
    });
    this.failure.catch(() => {});
  }

  spawn(name: string, role: ThreadRole, id: number, run: string): Thread {
    const thread = new Thread(
      name,
      {
        wasm: this.wasm,
        shadow: this.shadow,
        config: this.config,
        id,
        role,
        module: this.options.module.href,
        run,
        args: this.options.args ?? [],
        epoch: this.epoch,
      },
      { signal: (error) => this.signal(error) },
    );
    this.threads.push(thread);
    return thread;
  }

  spawn_kworker(): Thread {
    const id = this.config.cpus + 1 + this.kworkers++;
    return this.spawn(`kworker/${id}`, "kworker", id, "");
  }

  /** `loaded` is called when all threads are there. */
  async run(loaded: () => void): Promise<MachineResult> {
    const { cpus, boot, finish, kworkers = 2, rcu_gp = "", devices = [] } = this.options;
    const ours = cpus.map((body, id) => this.spawn(`cpu ${id} (${body})`, "cpu", id, body));
    const kernel = [this.spawn("rcu_gp", "rcu_gp", this.config.cpus, rcu_gp)];
    for (let i = 0; i < kworkers; i++) kernel.push(this.spawn_kworker());
    const first_device = this.config.cpus + this.config.kthreads;
    devices.forEach((body, i) =>
      kernel.push(this.spawn(`device ${i} (${body})`, "custom", first_device + i, body)),
    );
    // A watchdog may come while the others still load.
    const members = [...this.threads];
    await Promise.all(members.map((thread) => thread.ready()));
    loaded();
    const odd = members.find((thread) => thread.hash !== ours[0]?.hash);
    if (odd !== undefined) throw new Error(`${odd.name} has another kernel image`);
    const cpu0 = ours[0] as Thread;
    await cpu0.order("boot");
    for (const thread of kernel) this.kthreads.push(thread.order("run"));
    const grow = this.watch_growth(cpu0.wanted);
    try {
      if (boot !== undefined) await cpu0.order({ call: boot });
      const values = await Promise.all(ours.map((thread) => thread.order("run")));
      const finished = finish === undefined ? undefined : await cpu0.order({ call: finish });
      clearInterval(grow);
      await cpu0.order("stop");
      await Promise.all(this.kthreads);
      return { values, finished, log: this.log(), kworkers: this.kworkers };
    } finally {
      clearInterval(grow);
    }
  }

  /** The host is kthreadd: starts a kworker for each request, as far as the configuration allows. */
  private watch_growth(wanted: number): NodeJS.Timeout {
    const memory = new Memory(this.wasm);
    let served = 0;
    return setInterval(() => {
      while (served < memory.loadAcquire(wanted)) {
        served++;
        if (this.kworkers >= this.config.kthreads - 1) {
          kthread_served(memory, wanted);
          continue;
        }
        const thread = this.spawn_kworker();
        const start = (): Promise<unknown> => {
          kthread_served(memory, wanted);
          return thread.order("run");
        };
        this.kthreads.push(thread.ready().then(start));
        this.kthreads.at(-1)?.catch(() => {});
      }
    }, GROW_POLL_MS);
  }

  log(): LogRecord[] {
    const cpu = new Cpu(new Memory(this.wasm), 0, this.config, { now: () => 0 });
    return dmesg_read(cpu, 0).filter((record) => record.level > LOG_INFO);
  }

  unfinished(): string {
    const names = this.threads.filter((thread) => thread.busy).map((thread) => thread.name);
    const log = this.log().map((record) => `\n  ${record.text}`);
    return `unfinished: ${names.join(", ")}; log:${log.join("") || " empty"}`;
  }

  /** What each task waits for, as a further thread over the same memory sees it. */
  async hung_tasks(): Promise<string> {
    const thread = this.spawn("watchdog", "watchdog", 0, "");
    await thread.ready();
    const lines = (await thread.order("run")) as string[];
    return lines.map((line) => `\n  ${line}`).join("");
  }

  async end(): Promise<void> {
    await Promise.all(this.threads.map((thread) => thread.worker.terminate()));
  }
}

/** The text, or a word that it did not come in time. */
async function within(text: Promise<string>, ms: number): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(" no report in time"), ms);
  });
  const given = text.catch((error: unknown) => ` no report: ${String(error)}`);
  const first = await Promise.race([given, late]);
  clearTimeout(timer);
  return first;
}

/**
 * Boots a machine, runs the bodies and shuts it down. Rejects when a thread fails or time runs out, which counts from
 * when the threads have loaded.
 */
export async function run_machine(options: MachineOptions): Promise<MachineResult> {
  const machine = new TestMachine(options);
  const limit = options.timeout ?? DEFAULT_TIMEOUT_MS;
  let timer: NodeJS.Timeout | undefined;
  let give_up: (error: Error) => void = () => {};
  const late = new Promise<never>((_, reject) => {
    give_up = reject;
  });
  const watch = (ms: number): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const unfinished = `machine: no end after ${ms} ms; ${machine.unfinished()}`;
      const told = within(machine.hung_tasks(), REPORT_TIMEOUT_MS);
      void told.then((tasks) => give_up(new Error(`${unfinished}\ntasks:${tasks}`)));
    }, ms);
  };
  watch(LOAD_TIMEOUT_MS);
  try {
    return await Promise.race([machine.run(() => watch(limit)), machine.failure, late]);
  } finally {
    clearTimeout(timer);
    await machine.end();
  }
}
