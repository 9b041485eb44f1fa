/** The state of a search over several jobs, so that it can be stopped and resumed: what `--checkpoint` writes. */
import type { Checkpoint } from "@ringside/checker/strategy/checkpoint";
import type { SearchAnswer } from "./check-merge.ts";
import type { CheckJobMessage } from "./check-job-types.ts";
import { type CheckRequest, type CheckState, CheckUsageError, target_name } from "./check-request.ts";

export const STATE_VERSION = 1;

export class StateBook {
  private readonly request: CheckRequest;
  private readonly onState: ((state: CheckState) => void) | undefined;
  private readonly jobs: (Checkpoint | null)[];

  /** Throws CheckUsageError if the request is to resume a search of something else. */
  constructor(request: CheckRequest, onState?: (state: CheckState) => void) {
    this.request = request;
    this.onState = onState;
    this.jobs = Array.from({ length: request.jobs }, () => null);
    if (request.resume === undefined) return;
    refuse_other(request, request.resume);
    this.jobs = [...request.resume.jobs];
  }

  resume(job: number): Checkpoint | undefined {
    return this.jobs[job] ?? undefined;
  }

  hear(message: CheckJobMessage): void {
    if ("state" in message) this.note(message.job, message.state);
  }
  end(job: number, answer: SearchAnswer): void {
    this.note(job, answer.report.state);
  }

  private note(job: number, state: Checkpoint): void {
    this.jobs[job] = state;
    const { target, strategy, seed, shard } = this.request;
    this.onState?.({ version: STATE_VERSION, target, strategy, seed, shard, jobs: [...this.jobs] });
  }
}

function refuse_other(request: CheckRequest, state: CheckState): void {
  if (state.version !== STATE_VERSION) {
    throw new CheckUsageError(`the checkpoint is of version ${state.version}, expected ${STATE_VERSION}`);
  }
  const facts = (of: CheckRequest | CheckState): Record<string, string> => ({
    target: JSON.stringify(Object.entries(of.target).map(String).toSorted()),
    strategy: of.strategy,
    seed: String(of.seed),
    shard: `${of.shard.index + 1}/${of.shard.count}`,
    jobs: String(typeof of.jobs === "number" ? of.jobs : of.jobs.length),
  });
  const [asked, had] = [facts(request), facts(state)];
  for (const [name, value] of Object.entries(had)) {
    if (asked[name] === value) continue;
    const what = name === "target" ? target_name(state.target) : `${name} ${value}`;
    throw new CheckUsageError(`the checkpoint is of ${what}: resume it with the same`);
  }
}
