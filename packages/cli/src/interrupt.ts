/** Ctrl-C: the first one asks for an end with a report, the second one does not wait for it. */

const EXIT_INTERRUPTED = 130;

export interface Interruptible {
  readonly signal: AbortSignal;
  readonly close: () => void;
}

/** From now until `close`. */
export function interruptible(): Interruptible {
  const abort = new AbortController();
  const interrupt = (): void => {
    if (abort.signal.aborted) process.exit(EXIT_INTERRUPTED);
    abort.abort();
  };
  process.on("SIGINT", interrupt);
  return { signal: abort.signal, close: () => process.off("SIGINT", interrupt) };
}
