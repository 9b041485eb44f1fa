/**
 * Reports while jobs run (fio's --status-interval). A job's statistics are in the memory of its thread until it ends:
 * the host asks by a word in shared memory, which the job looks at a few times a second, and it posts a copy.
 */
// First: the root of the kernel image.
import "@ringside/scenarios/index";
import { MessageChannel } from "node:worker_threads";
import type { Cpu } from "@ringside/core/sched/cpu";
import { fio_ask } from "@ringside/scenarios/fio/counters";
import * as Comlink from "comlink";
import type { FioAnswer } from "./fio-workload.ts";
import type { WorkloadArgs } from "./roles.ts";

/** Questions to the job on one CPU. */
export class JobQuestions {
  readonly #cpu: Cpu;
  readonly #id: number;
  readonly #channel = new MessageChannel();
  #asked = 0;
  #heard: () => void = () => {};
  /** The last answer. */
  last: FioAnswer | undefined;

  /** Before the job starts on CPU `id` of the machine that `cpu` sees. */
  constructor(cpu: Cpu, id: number) {
    this.#cpu = cpu;
    this.#id = id;
    fio_ask(cpu, id, 0);
    this.#channel.port1.on("message", (answer: FioAnswer) => {
      this.last = answer;
      this.#heard();
    });
  }

  /** `args` and the way back, for the job's thread. */
  handOver(args: WorkloadArgs): WorkloadArgs {
    const { port2 } = this.#channel;
    return Comlink.transfer({ ...args, answers: { opaque: port2 } }, [port2]);
  }

  /** Resolves when the job has answered, or ended; not at all if it does neither. */
  async ask(): Promise<void> {
    const heard = new Promise<void>((resolve) => {
      this.#heard = resolve;
    });
    this.#asked++;
    fio_ask(this.#cpu, this.#id, this.#asked);
    await heard;
  }

  /** The job has ended. */
  close(): void {
    this.#channel.port1.close();
    this.#heard();
  }
}

/** Calls `report`, which does not reject, at multiples of `ms`, one after the other, until the result is called. */
export function every(ms: number, report: () => Promise<void>): () => void {
  const start = performance.now();
  let timer: NodeJS.Timeout;
  let stopped = false;
  let turn = 0;
  const wait = (): void => {
    const past = performance.now() - start;
    // A timer may be early by a part of a millisecond: no turn comes twice.
    turn = Math.max(turn + 1, Math.ceil(past / ms));
    timer = setTimeout(() => void report().finally(() => stopped || wait()), turn * ms - past);
  };
  wait();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
