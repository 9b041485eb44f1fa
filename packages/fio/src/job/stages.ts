/**
 * Jobs in their order: clones (numjobs), stages (stonewall), reporting groups, wait_for.
 *
 * A job with stonewall starts a new stage unless it is the first of all; that or new_group starts a new group.
 * Clones of a section stand together in its stage and group. A job can wait for a section before it alone.
 */
import type { Given } from "./apply.ts";
import type { Draft } from "./draft.ts";
import { type JobFileError, jobError, type Place, placeText } from "./errors.ts";
import type { EmulatorSettings, FioJob } from "./job.ts";
import { JOBS_MAX } from "./options-time.ts";
import { resolve } from "./resolve.ts";

/** A section read and ready: what a job, or its clones, are made from. */
export interface Pending extends Place {
  readonly name: string;
  readonly draft: Draft;
  readonly given: readonly Given[];
}

export interface Expanded {
  readonly jobs: readonly FioJob[];
  readonly notes: readonly string[];
  readonly errors: readonly JobFileError[];
}

interface Defaults {
  readonly media: number;
  readonly emulator: Partial<EmulatorSettings>;
}

/** What the job is called: name=, else its section. */
function jobName(pending: Pending): string {
  return pending.draft.name ?? pending.name;
}

function waitError(pending: Pending, earlier: readonly Pending[]): JobFileError | undefined {
  const waitee = pending.draft.waitFor;
  if (waitee === undefined) return undefined;
  const option = `wait_for=${waitee}`;
  const found = earlier.filter((other) => jobName(other) === waitee).length;
  if (waitee === pending.name) {
    const own = `${waitee}: a job cannot wait for itself (${option}).`;
    return jobError(pending, option, "the name of another job", [own]);
  }
  if (found === 0) {
    const own = `${pending.name}: waitee job ${waitee} unknown.`;
    return jobError(pending, option, "the name of an earlier job", [own]);
  }
  if (found === 1) return undefined;
  const own = `${pending.name}: multiple waitees ${waitee} found,`;
  const please = "please avoid duplicates when using wait_for option.";
  return jobError(pending, option, "a name that one job has", [own, please]);
}

/** Jobs of a group that is reported together have to agree on lat_percentiles. */
function groupError(jobs: readonly FioJob[], pending: Pending): JobFileError | undefined {
  const last = jobs.at(-1);
  if (last?.options.groupReporting !== true) return undefined;
  const differs = jobs.some(
    (job) => job.group === last.group && job.options.latPercentiles !== last.options.latPercentiles,
  );
  if (!differs) return undefined;
  const own = `fio: lat_percentiles in job: ${last.name} differs from group`;
  return jobError(pending, "lat_percentiles", "the same in all jobs of a group_reporting group", [own]);
}

/** Notes of the jobs. What several jobs have in common, from [global] most likely, is told once. */
class Notes {
  readonly jobs = new Map<string, { readonly first: string; count: number }>();

  add(place: Place, job: string, notes: readonly string[]): void {
    for (const note of notes) {
      const known = this.jobs.get(note);
      if (known === undefined) {
        this.jobs.set(note, { first: `${placeText(place)}: job ${job}`, count: 1 });
      } else known.count++;
    }
  }

  lines(): string[] {
    return [...this.jobs].map(([note, { first, count }]) => {
      const others = count === 1 ? "" : ` (and ${count - 1} more)`;
      return `${first}${others}: ${note}`;
    });
  }
}

export function expand(
  sections: readonly Pending[],
  globals: readonly Given[],
  defaults: Defaults,
): Expanded {
  const jobs: FioJob[] = [];
  const notes = new Notes();
  const errors: JobFileError[] = [];
  let stage = 0;
  let group = 0;
  for (const [index, pending] of sections.entries()) {
    const { draft, given } = pending;
    const waiting = waitError(pending, sections.slice(0, index));
    if (waiting !== undefined) errors.push(waiting);
    if (index > 0 && draft.stonewall) stage++;
    if (index > 0 && (draft.stonewall || draft.newGroup)) group++;
    if (jobs.length + draft.numjobs > JOBS_MAX) {
      const own = "error: maximum number of jobs reached.";
      errors.push(jobError(pending, `numjobs=${draft.numjobs}`, `${JOBS_MAX} jobs in all`, [own]));
      break;
    }
    for (let made = 0; made < draft.numjobs; made++) {
      // fio counts the clones down: the second job is clone numjobs-1, the last one clone 1
      const clone = made === 0 ? 0 : draft.numjobs - made;
      const { name, options, emulator, files, ...found } = resolve(draft, pending, clone, defaults);
      const wait = draft.waitFor === undefined ? {} : { waitFor: draft.waitFor };
      const place = { number: jobs.length, group, stage };
      jobs.push({ name, clone, ...place, ...wait, files, options, emulator, given, globals });
      if (clone > 0) continue;
      notes.add(pending, name, found.notes);
      errors.push(...found.errors);
    }
    const differing = groupError(jobs, pending);
    if (differing !== undefined) errors.push(differing);
  }
  return { jobs, notes: notes.lines(), errors };
}
