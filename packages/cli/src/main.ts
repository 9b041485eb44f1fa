#!/usr/bin/env node
/**
 * The `ringside` command. Human output on a terminal; with --json exactly one document on stdout and
 * everything else on stderr. Exit 0 fine, 1 a violation or failed check, 2 bad usage, 130 interrupted.
 */
import { Command, CommanderError } from "@commander-js/extra-typings";
import { list_command } from "./list.ts";
import { nvme_command } from "./nvme.ts";
import { stress_command } from "./stress.ts";

export const EXIT_USAGE = 2;

const program = new Command("ringside")
  .description("The Linux I/O path io_uring, block, NVMe with dma-buf tokens, as truly parallel threads.")
  .showSuggestionAfterError()
  .exitOverride();
program.addCommand(stress_command());
program.addCommand(nvme_command());
program.addCommand(list_command());
for (const command of [...program.commands, ...program.commands.flatMap((c) => c.commands)])
  command.exitOverride();

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
}
