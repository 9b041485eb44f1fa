/**
 * Machine: boots the threads of one emulated computer, runs workloads on its CPUs, shuts it down.
 *
 * The host thread never touches the data path and never blocks: it talks to threads over comlink and reads
 * counters from the shared memory. A thread that throws or dies fails the machine: every pending call
 * rejects with an error that names the thread.
 *
 * Interface: `await Machine.boot(options)`, `await machine.run(...)`, `await machine.shutdown()`; after a
 * failure, shutdown still ends every thread.
 */
// First: the root of the kernel image.
import { base_image } from "@ringside/scenarios/index";
import { Worker } from "node:worker_threads";
import { dmesg_read, type LogRecord } from "@ringside/core/debug/dmesg";
import { errname } from "@ringside/core/debug/errno";
import { hung_task_report } from "@ringside/core/debug/hung-task";
import { SHOW_STATE_PREFIX, show_state } from "@ringside/core/debug/show-state";
import {
  DEFAULT_CONFIG,
  device_cpu_id,
  type KernelConfig,
  MEMORY_LIMIT,
  memory_map,
} from "@ringside/core/mm/memory-map";
import { Cpu } from "@ringside/core/sched/cpu";
import {
  kthread_served,
  kthread_start,
  kthread_stop_all,
  kthread_wanted_word,
  machine_stop,
} from "@ringside/core/sched/kthread";
import { CheckedMemory, createSharedMemory, Memory } from "atomics-sync";
import * as Comlink from "comlink";
import nodeEndpoint from "comlink/dist/esm/node-adapter.mjs";
import { clock_epoch, clock_origin } from "./clock.ts";
import type { Leak, Role, ThreadApi, ThreadData, WorkloadArgs, WorkloadResult } from "./roles.ts";
import { compileCache, threadUrl } from "./thread-start.ts";
import { within } from "./within.ts";

/** Kworkers started at boot; more come when all are busy. */
const KWORKERS_AT_BOOT = 2;
/** A thread that has not answered by then is stuck (ms). Booting on a loaded machine takes a few seconds. */
const CONTROL_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 20_000;
const SHUT_DOWN = "the machine has been shut down";

export interface MachineOptions extends Partial<KernelConfig> {
  readonly mutant?: string;
  /** URL of a module whose export `workloads` this machine has besides the listed ones. */
  readonly workloads?: string;
}

/** What the first thread of this process found (resolutions.ts). */
let resolutions: string | undefined;

interface Thread {
  readonly name: string;
  readonly role: Role;
  readonly worker: Worker;
  /** Kept here: a collected proxy would hang its calls. */
  readonly api: Comlink.Remote<ThreadApi>;
  /** The kernel thread's loop, once started. */
  loop?: Promise<void>;
}

/** The configuration cannot be built; the message names the setting. */
export class ConfigError extends Error {
  override readonly name: string = "ConfigError";
}

function mib(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}

/** Checks a configuration; throws ConfigError. */
function check_config(config: KernelConfig): void {
  const { size } = memory_map(config);
  if (size > MEMORY_LIMIT) {
    throw new ConfigError(
      `the machine needs ${mib(size)} MiB of memory (ram ${mib(config.ram)}, vram ${mib(config.vram)}, ` +
        `media ${mib(config.media)}); the limit is ${mib(MEMORY_LIMIT)} MiB`,
    );
  }
}

export class Machine {
  readonly config: KernelConfig;
  /** The host's view of the machine: for reading counters and the log. */
  readonly cpu: Cpu;
  readonly #threads: Thread[] = [];
  readonly #data: Omit<ThreadData, "role" | "id">;
  /** Rejects when the machine dies or is gone: then nobody answers any more. */
  readonly #failed: Promise<never>;
  #abandon: (error: Error) => void = () => {};
  #failure: Error | undefined;
  /** Hash of the whole image, of the first thread that told. */
  #image: number | undefined;
  #kworkers = 0;
  #stopping = false;

  private constructor(options: MachineOptions) {
    const { mutant, workloads, ...overrides } = options;
    this.config = { ...DEFAULT_CONFIG, ...overrides };
    check_config(this.config);
    const { size } = memory_map(this.config);
    const wasm = createSharedMemory(size);
    const epoch = clock_epoch();
    const origin = clock_origin(epoch);
    this.#data = {
      config: this.config,
      wasm,
      epoch,
      ...(this.config.kasan ? { shadow: CheckedMemory.createShadow(wasm.buffer.byteLength) } : {}),
      ...(mutant === undefined ? {} : { mutant }),
      ...(workloads === undefined ? {} : { workloads }),
    };
    this.cpu = new Cpu(new Memory(wasm), device_cpu_id(this.config), this.config, {
      now: () => performance.now() + origin,
    });
    this.#failed = new Promise((_, reject) => {
      this.#abandon = reject;
    });
    // Nobody may be waiting when it rejects.
    this.#failed.catch(() => {});
  }

  /** Boots a machine; on failure every thread has ended when this rejects. */
  static async boot(options: MachineOptions = {}): Promise<Machine> {
    const machine = new Machine(options);
    try {
      await machine.#boot();
    } catch (error) {
      await machine.#terminate();
      throw error;
    }
    return machine;
  }

  async #boot(): Promise<void> {
    const { cpus } = this.config;
    const boot_cpu = this.#spawn("cpu", 0);
    resolutions ??= await this.#call(boot_cpu, "resolutions", (api) => api.resolutions());
    for (let id = 1; id < cpus; id++) this.#spawn("cpu", id);
    this.#spawn("rcu_gp", cpus);
    for (let i = 0; i < KWORKERS_AT_BOOT; i++) this.#spawnKworker();
    this.#spawn("nvme", device_cpu_id(this.config));
    await Promise.all(this.#threads.map((thread) => this.#verifyImage(thread)));
    this.#check(
      "start_kernel",
      await this.#call(this.#boot_cpu, "start_kernel", (api) => api.start_kernel()),
    );
    for (const thread of this.#threads) if (thread.role !== "cpu") this.#startLoop(thread);
    this.#growOnDemand().catch((error: unknown) => this.#fail(asError(error)));
    this.#check("nvme probe", await this.#call(this.#boot_cpu, "probe", (api) => api.probe()));
  }

  get #boot_cpu(): Thread {
    return this.#threads[0] as Thread;
  }

  #check(what: string, error: number): void {
    if (error < 0) throw new Error(`${what} failed: ${errname(error)}`);
  }

  #spawn(role: Role, id: number): Thread {
    const name =
      role === "nvme" ? role : role === "rcu_gp" ? role : `${role}${role === "cpu" ? id : this.#kworkers}`;
    const known = resolutions === undefined ? {} : { resolutions };
    const workerData: ThreadData = { ...this.#data, ...known, role, id };
    const worker = new Worker(threadUrl(), { workerData, name, env: { ...process.env, ...compileCache() } });
    const thread: Thread = { name, role, worker, api: Comlink.wrap<ThreadApi>(nodeEndpoint(worker)) };
    worker.on("error", (error: Error) => this.#die(thread, error));
    worker.on("exit", (code) => this.#die(thread, new Error(`exited with code ${code}`)));
    this.#threads.push(thread);
    return thread;
  }

  #spawnKworker(): Thread {
    const thread = this.#spawn("kworker", this.config.cpus + 1 + this.#kworkers);
    this.#kworkers++;
    return thread;
  }

  async #verifyImage(thread: Thread): Promise<void> {
    const { base, whole } = await this.#call(thread, "image", (api) => api.image());
    if (this.#data.mutant === undefined && base !== base_image) {
      throw new Error(`${thread.name}: its kernel image differs from the host's`);
    }
    this.#image ??= whole;
    if (whole !== this.#image) {
      throw new Error(`${thread.name}: its kernel image differs from the other threads'`);
    }
  }

  #startLoop(thread: Thread): void {
    if (thread.role === "kworker") kthread_start(this.cpu);
    thread.loop = thread.api.loop().catch((error: unknown) => this.#die(thread, asError(error)));
  }

  /** kthreadd: adds a kworker whenever the kernel asks for one, up to config.kthreads. */
  async #growOnDemand(): Promise<void> {
    const { mem } = this.cpu;
    const word = kthread_wanted_word();
    let served = 0;
    while (!this.#stopping && this.#failure === undefined) {
      const wanted = mem.loadAcquire(word);
      if (wanted === served) {
        await mem.waitAsync(word, wanted, 1000);
        continue;
      }
      served++;
      if (this.#kworkers < this.config.kthreads - 1) {
        const thread = this.#spawnKworker();
        await this.#verifyImage(thread).then(
          () => {
            kthread_served(mem, word);
            this.#startLoop(thread);
          },
          (error: unknown) => this.#die(thread, asError(error)),
        );
      } else kthread_served(mem, word);
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#abandon(error);
  }

  #die(thread: Thread, error: Error): void {
    if (this.#stopping) return;
    this.#fail(new Error(`thread ${thread.name} died: ${error.message}`, { cause: error }));
    machine_stop(this.cpu);
    kthread_stop_all(this.cpu);
  }

  /** Calls a thread; rejects when it throws, when any thread dies, or after `timeout` ms. */
  async #call<T>(
    thread: Thread,
    what: string,
    send: (api: Comlink.Remote<ThreadApi>) => Promise<T>,
    timeout: number = CONTROL_TIMEOUT_MS,
  ): Promise<T> {
    if (this.#stopping) throw this.#failure ?? new Error(SHUT_DOWN);
    const answer = send(thread.api).catch((error: unknown) => {
      this.#die(thread, asError(error));
      throw this.#failure ?? error;
    });
    return await this.#within(answer, timeout, `${thread.name} did not answer "${what}"`);
  }

  async #within<T>(promise: Promise<T>, timeout: number, message: string): Promise<T> {
    return await within(Promise.race([promise, this.#failed]), timeout, message);
  }

  /** Runs `workload` on CPU `id` to its end. `timeout` in ms bounds it from outside. */
  async run(id: number, workload: string, args: WorkloadArgs, timeout: number): Promise<WorkloadResult> {
    const thread = this.#threads[id];
    if (thread?.role !== "cpu")
      throw new RangeError(`no CPU ${id}: the machine has CPUs 0 to ${this.config.cpus - 1}`);
    return await this.#call(thread, workload, (api) => api.run(workload, args), timeout);
  }

  /** Tells all workloads to end soon. */
  stopWorkloads(): void {
    machine_stop(this.cpu);
  }

  /** The caller has seen that the machine cannot go on: nothing waits for its threads any more. */
  giveUp(error: unknown): void {
    this.#fail(asError(error));
  }

  /** What each task waits for and who holds it, then where each sleeps, a line each: for a machine that hangs. */
  async hungTasks(): Promise<string[]> {
    const waiting = hung_task_report(this.cpu);
    return [...waiting, ...(await this.showState())];
  }

  /** Where every sleeping task sleeps, a line each. Threads get `ms` to answer. */
  async showState(ms: number = 300): Promise<string[]> {
    const from = this.log().length;
    show_state(this.cpu);
    await new Promise((resolve) => setTimeout(resolve, ms));
    const texts = this.log(from).map((record) => record.text);
    const answers = texts.filter((text) => text.startsWith(SHOW_STATE_PREFIX));
    // From the thread's own entry on, all chains are the same.
    return answers.map((text) => text.replace(/ < \S+ workers\/serve\.ts.*$/s, ""));
  }

  /** Bytes that each thread has put on its V8 heap so far, by the thread's name. Busy threads answer too. */
  async allocated(): Promise<Readonly<Record<string, number>>> {
    const ask = async ({ name, worker }: Thread): Promise<[string, number]> => {
      return [name, (await worker.getHeapStatistics()).total_allocated_bytes];
    };
    return Object.fromEntries(await Promise.all(this.#threads.map(ask)));
  }

  /** Log records from index `from` on. */
  log(from: number = 0): LogRecord[] {
    return dmesg_read(this.cpu, from);
  }

  get kworkers(): number {
    return this.#kworkers;
  }

  /** Why the machine died, if it did. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /**
   * Ends the machine. Returns what the kernel had not freed; empty when it died before it could tell. When it
   * does not end in time, the error says where its tasks sleep, a line each; the threads have ended then too.
   */
  async shutdown(): Promise<readonly Leak[]> {
    try {
      if (this.#failure !== undefined) return [];
      const leaks = await this.#call(this.#boot_cpu, "remove", (api) => api.remove(), STOP_TIMEOUT_MS);
      kthread_stop_all(this.cpu);
      const loops = this.#threads.flatMap((thread) => (thread.loop === undefined ? [] : [thread.loop]));
      await this.#within(Promise.all(loops), STOP_TIMEOUT_MS, "kernel threads did not stop");
      return leaks;
    } catch (error) {
      if (this.#failure !== undefined) throw error;
      const where = await this.hungTasks();
      throw new Error([asError(error).message, ...where].join("\n"), { cause: error });
    } finally {
      await this.#terminate();
    }
  }

  async #terminate(): Promise<void> {
    this.#stopping = true;
    kthread_stop_all(this.cpu);
    // Wakes #growOnDemand.
    this.cpu.mem.notify(kthread_wanted_word(), 1);
    // A kworker that was still booting never answers.
    this.#abandon(new Error(SHUT_DOWN));
    for (const thread of this.#threads) thread.api[Comlink.releaseProxy]();
    await Promise.all(this.#threads.map((thread) => thread.worker.terminate()));
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
