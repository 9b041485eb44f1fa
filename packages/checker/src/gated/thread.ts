/**
 * GatedThread: the engine's side of one worker. To the engine it is a coroutine: `next` lets the worker execute its
 * pending op and waits until the worker has published the one after it.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from "node:worker_threads";
import type { ControlledMemory } from "../controlled-memory.ts";
import type { Execution } from "../execution.ts";
import { OP_NONE, OP_NOTIFY, OP_PAUSE, OP_WAIT, OP_WRITE64, OPS, type OpInfo, WRITES } from "../op.ts";
import { $sites, type Coroutine, siteText } from "../runtime.ts";
import type { Thread } from "../thread.ts";
import type { World } from "../world.ts";
import {
  ABORT,
  BAD,
  CHOOSE,
  CRASH,
  END,
  FAIL,
  GO,
  IDLE,
  type Line,
  newLine,
  QUIET,
  START,
  STEP,
  UNLOADED,
} from "./line.ts";
import type { ModuleRef } from "./load.ts";
import { WAIT_RESULTS } from "./memory.ts";
import type { GatedJob, GatedNote } from "./worker.ts";

export interface GatedSetup {
  readonly program: ModuleRef;
  readonly memory?: ModuleRef;
  readonly watchdogMs: number;
  readonly looks: number;
}

type Step = ReturnType<Coroutine["next"]>;
const MORE: Step = { done: false, value: undefined };
const DONE: Step = { done: true, value: undefined };

/** Time a worker has to load the program (ms), on a busy machine. */
const LOAD_MS = 60_000;

/** The worker behind a line, as long as it comes back. */
interface Live {
  readonly worker: Worker;
  readonly line: Line;
  readonly port: MessagePort;
  /** The process's numbers of its sites, by its own. */
  readonly sites: number[];
  loaded: boolean;
}

/** Numbers of places seen in any worker. */
const numbers = new Map<string, number>();

export class GatedThread implements Coroutine {
  /** What the engine knows a coroutine by. */
  readonly [Symbol.toStringTag]: string = "Generator";
  private readonly world: World;
  private readonly execution: Execution;
  private readonly thread: Thread;
  private readonly mem: ControlledMemory;
  private readonly setup: GatedSetup;
  private live: Live;

  constructor(execution: Execution, thread: Thread, setup: GatedSetup) {
    this.world = execution.world;
    this.execution = execution;
    this.thread = thread;
    this.mem = thread.mem;
    this.setup = setup;
    this.live = this.spawn();
  }

  private spawn(): Live {
    const { setup, world } = this;
    const line = newLine(setup.looks);
    const { port1, port2 } = new MessageChannel();
    const workerData: GatedJob = {
      program: setup.program,
      ...(setup.memory === undefined ? {} : { memory: setup.memory }),
      thread: this.thread.index,
      wasm: world.wasm,
      shadow: world.shadow,
      line: line.buffer,
      looks: setup.looks,
      port: port2,
    };
    const file = import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js";
    // Flags of this process, a loader among them, are not the worker's: it runs the source as it stands.
    const worker = new Worker(new URL(file, import.meta.url), {
      workerData,
      transferList: [port2],
      execArgv: [],
      name: this.thread.spec.name,
    });
    // A worker that dies does not come back: the watchdog tells. Without a listener its error would end the process.
    worker.on("error", () => {});
    worker.unref();
    port1.unref();
    return { worker, line, port: port1, sites: [0], loaded: false };
  }

  /** Makes sure that the worker has loaded. Throws its error otherwise. */
  begin(): void {
    const { live } = this;
    if (live.loaded) return;
    if (!live.line.back(LOAD_MS)) throw new Error(`${this.thread.spec.name}: its worker did not load`);
    if (live.line.report === UNLOADED) throw this.error();
    live.loaded = true;
  }

  /** Throws the worker out of whatever it is in the middle of. */
  abort(): void {
    const { line, loaded } = this.live;
    if (!loaded || line.report === IDLE || line.report === END || line.report === CRASH) return;
    line.open(ABORT);
    if (!line.back(this.setup.watchdogMs)) this.replace();
  }

  async close(): Promise<void> {
    this.live.port.close();
    await this.live.worker.terminate();
  }

  next(): Step {
    const { live, mem } = this;
    const { line } = live;
    this.before();
    let order = mem.kind === OP_NONE ? START : GO;
    let observed = !executes(mem.kind);
    for (;;) {
      line.now = this.world.now;
      line.open(order);
      order = GO;
      if (!line.back(this.setup.watchdogMs)) return this.hang();
      const { report } = line;
      if (!observed && report !== BAD) {
        observed = true;
        mem.result = line.result;
        this.world.observe(mem);
      }
      if (report === STEP) {
        this.publish(line.kind);
        return MORE;
      }
      if (report === END) return DONE;
      if (report === CRASH) throw this.error();
      this.serve(report);
    }
  }

  /** What has to be known, or decided, before the pending op is executed. */
  private before(): void {
    const { mem, world } = this;
    const { line } = this.live;
    const { kind } = mem;
    if (kind === OP_WAIT) line.answer = WAIT_RESULTS.indexOf(mem.waitResult);
    else if (kind === OP_NOTIFY) {
      mem.result = world.notify(mem, mem.p, mem.a);
      world.observe(mem);
      line.answer = mem.result;
    } else if (((OPS[kind] as OpInfo).access & WRITES) !== 0) {
      world.touch(mem.p);
      if (kind === OP_WRITE64) world.touch(mem.p + 4);
    }
  }

  private publish(kind: number): void {
    const { mem } = this;
    const { line } = this.live;
    mem.kind = kind;
    mem.p = line.p;
    mem.a = line.a;
    mem.b = line.b;
    mem.site = this.site(line.site);
  }

  /** What a thread asks between two steps. */
  private serve(report: number): void {
    const { mem, world } = this;
    const { line } = this.live;
    if (report === QUIET) {
      this.publish(line.kind);
      if (((OPS[mem.kind] as OpInfo).access & WRITES) !== 0) world.touchRange(mem.p, mem.b);
      mem.result = 0;
      world.observe(mem);
    } else if (report === CHOOSE) line.answer = this.execution.choose(line.p);
    else if (report === BAD) {
      const { p, a, b, kind, answer } = line;
      world.badAccess(mem, { p, bytes: a, write: b === 1, code: kind, firstBad: answer });
    } else if (report === FAIL) {
      const note = this.notes().find((each) => "fail" in each);
      this.thread.context.fail(note?.fail ?? "failed", note?.kind, note?.report);
    }
  }

  /** Numbers of sites come before their first use. */
  private site(local: number): number {
    if (local >= this.live.sites.length) this.notes();
    return this.live.sites[local] ?? 0;
  }

  /** All that the worker has said since; enters its new sites. */
  private notes(): GatedNote[] {
    const notes: GatedNote[] = [];
    for (;;) {
      const got = receiveMessageOnPort(this.live.port);
      if (got === undefined) return notes;
      const message = got.message as GatedNote;
      if ("at" in message) {
        const { file, line, column, name } = message.at;
        const key = `${file}:${line}:${column}`;
        const number = numbers.get(key) ?? $sites(file, [line, column], [name], [0]);
        numbers.set(key, number);
        this.live.sites[message.site] = number;
      } else notes.push(message);
    }
  }

  private error(): Error {
    const note = this.notes().find((each) => "error" in each);
    const error = new Error(note?.error.message ?? "a gated thread crashed");
    error.name = note?.error.name ?? "Error";
    if (note?.error.stack !== undefined) error.stack = note.error.stack;
    return error;
  }

  /** The worker did not come back: names what it did last, and gives it up. */
  private hang(): Step {
    const { mem, world, thread } = this;
    const last =
      mem.kind === OP_NONE
        ? "its first step"
        : `the step after ${(OPS[mem.kind] as OpInfo).name} at ${mem.p}, ${siteText(mem.site)},`;
    const why = "an endless loop without a step, or it blocks outside the scheduler";
    world.find({
      kind: "step-limit",
      message: `${thread.spec.name}: ${last} did not end in ${this.setup.watchdogMs / 1000} s: ${why}`,
      thread: thread.index,
      site: mem.site,
    });
    this.replace();
    return DONE;
  }

  private replace(): void {
    void this.close();
    this.live = this.spawn();
  }
}

/** Ops whose result comes with the next report. Notifies were observed before, waits and pauses are the engine's. */
function executes(kind: number): boolean {
  return kind !== OP_NONE && kind !== OP_WAIT && kind !== OP_PAUSE && kind !== OP_NOTIFY;
}
