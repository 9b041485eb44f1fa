#!/usr/bin/env node
/**
 * The `ringside` command. Human output on a terminal; with --json exactly one document on stdout and
 * everything else on stderr. Exit 0 fine, 1 a violation or failed check, 2 bad usage, 130 interrupted.
 */
import { Command, CommanderError } from "@commander-js/extra-typings";
import { list_command } from "./list.ts";
import { nvme_command } from "./nvme.ts";
import { stress_command } from "./stress.ts";

const EXIT_USAGE = 2;

/** Bad usage gets one line: what came, what was expected, what may have been meant. */
function one_line(text: string): string {
  return `${text.trim().replaceAll(/\s*\n\s*/g, " ")}\n`;
}

const program = new Command("ringside")
  .description("The Linux I/O path io_uring, block, NVMe with dma-buf tokens, as truly parallel threads.")
  .showSuggestionAfterError()
  .configureOutput({ outputError: (text, write) => write(one_line(text)) })
  .exitOverride();
for (const command of [stress_command(), nvme_command(), list_command()]) {
  command.copyInheritedSettings(program);
  program.addCommand(command);
}

try {
  if (process.argv.length <= 2) {
    const names = program.commands.map((command) => command.name()).join(", ");
    program.error(`error: expected a command: ${names} (see ringside --help)`);
  }
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
}
