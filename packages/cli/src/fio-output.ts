/**
 * Where the outputs of a fio run go. As in fio they go to stdout, or to --output's file; several formats follow each
 * other in the order terse, json, normal. Unlike fio's, a JSON stdout holds nothing but JSON: progress, warnings
 * and the word about a signal are then for stderr.
 */
import { closeSync, openSync, writeFileSync, writeSync } from "node:fs";
import type { FioJob } from "@ringside/fio/job/job";
import { EtaLine, type JobProgress } from "@ringside/fio/output/eta";
import { jsonOutput } from "@ringside/fio/output/json";
import { logFiles } from "@ringside/fio/output/logs";
import { normalHeader, normalOutput } from "@ringside/fio/output/normal";
import { terseOutput } from "@ringside/fio/output/terse";
import { makeReport } from "@ringside/fio/stat/report";
import type { FioRun } from "@ringside/fio/stat/thread-stat";
import type { Format } from "./fio-arguments.ts";

const RINGSIDE = "ringside 0.0.0: emulated io_uring, block layer and NVMe; the format is fio's";

export interface OutputSettings {
  readonly formats: readonly Format[];
  /** Exactly one document: reports of the status interval go to stderr. */
  readonly json: boolean;
  readonly output?: string | undefined;
  readonly eta: "always" | "never" | "auto";
}

export class FioOutput {
  readonly #jobs: readonly FioJob[];
  readonly #settings: OutputSettings;
  readonly #file: number | undefined;
  readonly #eta: EtaLine | undefined;
  #openLine = false;
  #begun = false;

  /** Throws when --output's file cannot be written. */
  constructor(jobs: readonly FioJob[], settings: OutputSettings) {
    this.#jobs = jobs;
    this.#settings = settings;
    this.#file = settings.output === undefined ? undefined : openSync(settings.output, "w");
    this.#eta = this.#wantsEta() ? new EtaLine(jobs, performance.now()) : undefined;
  }

  /** Before the jobs start; what is called again for further stages says nothing more. */
  begin(): void {
    if (this.#begun) return;
    this.#begun = true;
    if (this.#has("normal")) this.#write(normalHeader(this.#jobs, RINGSIDE));
  }

  /** The live line. */
  progress(jobs: readonly JobProgress[]): void {
    const line = this.#eta?.next(jobs, performance.now());
    if (line === undefined) return;
    (this.#textOnStdout() ? process.stdout : process.stderr).write(line);
    this.#openLine = true;
  }

  /** The word about a signal. */
  terminating(signal: number): void {
    const text = `\nfio: terminating on signal ${signal}\n`;
    if (this.#textOnStdout()) process.stdout.write(text);
    else process.stderr.write(text);
    this.#openLine = false;
  }

  /** A report of what has been measured so far. */
  status(run: FioRun): void {
    if (this.#settings.json) process.stderr.write(this.#reports(run));
    else this.#write(this.#reports(run));
  }

  /** The last report, and the logs. */
  end(run: FioRun): void {
    this.begin();
    if (this.#openLine) (this.#textOnStdout() ? process.stdout : process.stderr).write("\n");
    this.#write(this.#reports(run));
    for (const thread of run.threads) {
      const job = this.#jobs.find(({ number }) => number === thread.number);
      for (const { name, text } of job === undefined ? [] : logFiles(job, thread)) writeFileSync(name, text);
    }
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
  }

  #reports(run: FioRun): string {
    const report = makeReport(this.#jobs, run);
    const terse = this.#has("terse") ? terseOutput(report) : "";
    const json = this.#has("json") || this.#has("json+") ? jsonOutput(report, this.#has("json+")) : "";
    return terse + json + (this.#has("normal") ? normalOutput(report, process.pid) : "");
  }

  #write(text: string): void {
    if (this.#file === undefined) process.stdout.write(text);
    else writeSync(this.#file, text);
  }

  #has(format: Format): boolean {
    return this.#settings.formats.includes(format);
  }

  /** Whether stdout is for text, and not a document that a program reads. */
  #textOnStdout(): boolean {
    return this.#has("normal") && !this.#settings.json && this.#file === undefined;
  }

  /** calc_thread_status: on a terminal, for people, and unless told otherwise. */
  #wantsEta(): boolean {
    const { eta } = this.#settings;
    if (eta === "never") return false;
    if (!this.#has("normal") && this.#file === undefined) return false;
    const stream = this.#textOnStdout() ? process.stdout : process.stderr;
    return eta === "always" || stream.isTTY;
  }
}
