/**
 * Ctrl-C and SIGTERM, from the first moment of the process on: main.ts listens before it loads anything else, so this
 * file imports nothing.
 *
 * Until a command says interruptible() nothing has run that has a report: a signal ends the process with a line on
 * stderr, and with --json with the document {"interrupted":true}. From then on the first signal aborts what
 * interruptible() returned, the command ends with what there is, and the second one does not wait for that. The exit
 * status is 128 and the signal's number, as a shell tells it.
 */

const NUMBERS = { SIGINT: 2, SIGTERM: 15 } as const;

/** What the command listens to; its reason is the signal's number. */
let running: AbortController | undefined;

export function listenForInterrupts(): void {
  process.on("SIGINT", () => interrupt(NUMBERS.SIGINT));
  process.on("SIGTERM", () => interrupt(NUMBERS.SIGTERM));
}

function interrupt(number: number): void {
  if (running !== undefined && !running.signal.aborted) {
    running.abort(number);
    return;
  }
  if (running === undefined) {
    console.error("interrupted before there was anything to report");
    if (process.argv.includes("--json", 2)) console.log(JSON.stringify({ interrupted: true }));
  }
  process.exit(128 + number);
}

/** The command takes over: it ends, and tells what there is, when this is aborted. Once in a process. */
export function interruptible(): AbortSignal {
  running = new AbortController();
  return running.signal;
}

/** The exit status of a command in which nothing failed: 0, unless it was interrupted. */
export function interruptedStatus(signal: AbortSignal): number {
  return signal.aborted ? 128 + Number(signal.reason) : 0;
}
