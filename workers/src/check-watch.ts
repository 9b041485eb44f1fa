/**
 * Watch: looks at the pulses of jobs from time to time, and gives up a job whose pulse stands still: a step of the
 * program under test does not end. It says which thread, and after which site.
 */
import { Pulse } from "@ringside/checker/pulse";
import type { CheckJobMessage } from "./check-job-types.ts";
import type { CheckProgress } from "./check-request.ts";

interface Patient {
  readonly pulse: Pulse;
  readonly abort: AbortController;
  beats: number;
  /** performance.now() of the last beat seen. */
  beaten: number;
  /** 0: has not begun to search. */
  began: number;
  ended: boolean;
  sites: readonly string[];
  threads: readonly string[];
  /** Why it was given up. */
  hang: string | undefined;
  /** Ended before it began, because nobody needs it any more. */
  dismissed: boolean;
}

const LOOK_MS = 250;
/** A kernel is loaded and booted in two seconds on a free machine. */
const LOAD_MS = 120_000;

export class Watch {
  private readonly patients: Patient[] = [];
  private readonly hangMs: number;
  private readonly onProgress: (progress: CheckProgress) => void;
  private timer: NodeJS.Timeout | undefined;

  constructor(hangMs: number, onProgress: (progress: CheckProgress) => void) {
    this.hangMs = hangMs;
    this.onProgress = onProgress;
    this.timer = setInterval(() => this.look(), LOOK_MS);
  }

  /** A new job, number 0, 1 ... in the order of the calls. */
  add(): { readonly id: number; readonly pulse: Pulse["buffer"] } {
    const pulse = new Pulse();
    this.patients.push({
      pulse,
      abort: new AbortController(),
      beats: 0,
      beaten: performance.now(),
      began: 0,
      ended: false,
      sites: [],
      threads: [],
      hang: undefined,
      dismissed: false,
    });
    return { id: this.patients.length - 1, pulse: pulse.buffer };
  }

  signal(id: number): AbortSignal {
    return (this.patients[id] as Patient).abort.signal;
  }
  hear(message: CheckJobMessage): void {
    const patient = this.patients[message.job];
    if (patient === undefined || !("sites" in message)) return;
    patient.sites = message.sites;
    patient.threads = message.threads;
  }
  end(id: number): void {
    (this.patients[id] as Patient).ended = true;
  }
  /** Why job `id` was given up; undefined: it was not. */
  hang(id: number): string | undefined {
    return this.patients[id]?.hang;
  }

  /** Adds what job `id` has done, as far as it has told. */
  count(id: number, sum: { executions: number; steps: number; seconds: number }): void {
    const { pulse, began } = this.patients[id] as Patient;
    sum.executions += pulse.executions;
    sum.steps += pulse.steps;
    if (began !== 0) sum.seconds = Math.max(sum.seconds, (performance.now() - began) / 1000);
  }

  /** Asks all jobs to end; those that have not begun are ended. */
  stop(): void {
    for (const patient of this.patients) {
      patient.pulse.stop();
      if (patient.ended || patient.pulse.loaded) continue;
      patient.dismissed = true;
      patient.abort.abort();
    }
  }

  /** Has job `id` no answer because it was ended? */
  gaveUp(id: number): boolean {
    const { hang, dismissed } = this.patients[id] as Patient;
    return dismissed || hang !== undefined;
  }

  close(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /** Sums over all jobs. */
  progress(): CheckProgress {
    const now = performance.now();
    let executions = 0;
    let steps = 0;
    let estimate = 0;
    let began = now;
    for (const patient of this.patients) {
      executions += patient.pulse.executions;
      steps += patient.pulse.steps;
      estimate += patient.pulse.estimate;
      if (patient.began !== 0) began = Math.min(began, patient.began);
    }
    const loading = this.patients.every((patient) => patient.began === 0);
    return { executions, steps, seconds: (now - began) / 1000, estimate, loading };
  }

  private look(): void {
    const now = performance.now();
    for (const patient of this.patients) if (!patient.ended) this.feel(patient, now);
    this.onProgress(this.progress());
  }

  private feel(patient: Patient, now: number): void {
    const { pulse } = patient;
    if (pulse.loaded && patient.began === 0) {
      patient.began = now;
      patient.beaten = now;
    }
    if (pulse.beats !== patient.beats) {
      patient.beats = pulse.beats;
      patient.beaten = now;
    }
    const still = now - patient.beaten;
    if (still < (pulse.loaded ? this.hangMs : LOAD_MS)) return;
    patient.hang = pulse.loaded
      ? stuck(patient, still)
      : `the program did not load and set up in ${LOAD_MS / 1000} s`;
    patient.abort.abort();
  }
}

function stuck({ pulse, threads, sites }: Patient, ms: number): string {
  const { thread, site, executions } = pulse;
  const who = thread < 0 ? "a thread" : (threads[thread] ?? `thread ${thread}`);
  const where = thread < 0 ? "before its first op" : `after ${sites[site] ?? "an unknown site"}`;
  const seconds = (ms / 1000).toFixed(0);
  const why = "an endless loop without a step, or it blocks outside the scheduler";
  return `${who}: a step ${where} did not end in ${seconds} s (after some ${executions} executions): ${why}`;
}
