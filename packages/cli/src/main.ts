#!/usr/bin/env node
/**
 * The `ringside` command: listens for Ctrl-C, then loads the rest, which takes a while. Human output on a terminal;
 * with --json exactly one document on stdout and everything else on stderr. Exit 0 fine, 1 a violation or failed check,
 * 2 bad usage, 130 interrupted (143 by SIGTERM), 141 when nobody reads the output.
 */
import { enableCompileCache } from "node:module";
import { setImmediate as turn } from "node:timers/promises";
import { COMPILE_CACHE } from "@ringside/workers/thread-start";
import { listenForInterrupts } from "./interrupt.ts";

/** What a shell tells of a program that SIGPIPE has ended. */
const EXIT_PIPE = 141;

listenForInterrupts();
// Whoever read our output is gone (`| head`): nothing is left to say, and to whom.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit(EXIT_PIPE);
  });
}
enableCompileCache(COMPILE_CACHE);
const { runProgram } = await import("./program.ts");
// The second turn polls: a signal that came while modules were loading is heard before anything starts.
await turn();
await turn();
await runProgram();
