/** `ringside replay`: repeats the execution of a replay token, and says whether it still fails in the same way. */
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { renderFailure } from "@ringside/checker/explain/render";
import {
  decodeToken,
  type ReplayRecord,
  TokenError,
  TokenVersionError,
} from "@ringside/checker/explain/token";
import { type ReplayAnswer, run_replay } from "@ringside/workers/check";
import { CheckInterrupted, CheckUsageError, target_name, target_of } from "@ringside/workers/check-request";
import { export_option, type ExportTo, writable, write_exports } from "./check-options.ts";
import { interruptedStatus, interruptible } from "./interrupt.ts";
import { integer } from "./values.ts";

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

interface Flags {
  readonly times: number;
  readonly export: ExportTo[];
  readonly json?: true | undefined;
}

export function replay_command(): CommandUnknownOpts {
  return new Command("replay")
    .description("repeat the execution of a replay token")
    .argument("<token>", "as ringside check printed it")
    .option("--times <n>", "repeat it so often", integer(1, 1_000_000), 1)
    .addOption(export_option())
    .option("--json", "one JSON document on stdout")
    .action(async (token, flags) => {
      process.exitCode = await replay(token, flags);
    });
}

async function replay(token: string, flags: Flags): Promise<number> {
  const signal = interruptible();
  try {
    const record = decodeToken(token);
    const target = target_of(record.subject);
    const { times, json } = flags;
    writable(flags.export.map(({ file }) => file));
    const exports = flags.export.map(({ format }) => format);
    const answer = await run_replay({ target, token, times, exports }, { signal });
    const { times: done, same, exact, changed, failure } = answer;
    const facts = { scenario: target_name(target), subject: record.subject, kind: record.kind, times: done };
    if (json === true) console.log(JSON.stringify({ ...facts, same, exact, changed, failure }));
    else console.log(replay_text(target_name(target), record, answer));
    write_exports(flags.export, answer.exports);
    if (failure !== null) return EXIT_FAILED;
    return interruptedStatus(signal);
  } catch (error) {
    if (error instanceof CheckInterrupted) {
      if (flags.json === true) console.log(JSON.stringify({ interrupted: true }));
      return interruptedStatus(signal);
    }
    if (!is_usage(error)) throw error;
    console.error(`error: ${error.message}`);
    return EXIT_USAGE;
  }
}

function is_usage(error: unknown): error is Error {
  return (
    error instanceof CheckUsageError || error instanceof TokenError || error instanceof TokenVersionError
  );
}

function replay_text(name: string, record: ReplayRecord, answer: ReplayAnswer): string {
  const { times, same, exact, changed, failure } = answer;
  const lines = failure === null ? [] : [renderFailure(failure), ""];
  if (changed !== null) lines.push(changed);
  if (record.kind !== "pass" && failure === null)
    lines.push(`it does not fail any more: it was a ${record.kind}`);
  lines.push(
    `${name}: ${record.kind} in ${same} of ${times} replays, ${exact} of them step by step the same`,
  );
  return lines.join("\n");
}
