/**
 * The commands of `ringside` and what they share: how bad usage and errors are told. Its import loads the kernel, so
 * main.ts does it last.
 */
// First: the root of the kernel image, whose numbering check scenarios must not change.
import "@ringside/scenarios/index";
import {
  Command,
  CommanderError,
  type CommandUnknownOpts,
  Help,
  type Option,
} from "@commander-js/extra-typings";
import { bench_command } from "./bench.ts";
import { check_command } from "./check.ts";
import { conformance_command } from "./conformance.ts";
import { fio_command } from "./fio.ts";
import { list_command } from "./list.ts";
import { nvme_command } from "./nvme.ts";
import { rcutorture_command } from "./rcutorture.ts";
import { replay_command } from "./replay.ts";
import { stress_command } from "./stress.ts";

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

const program = new Command("ringside")
  .description("The Linux I/O path io_uring, block, NVMe with dma-buf tokens, as truly parallel threads.")
  // So that bench may have it: else --json of `bench sct` would be taken for bench's.
  .enablePositionalOptions();
const commands = [
  stress_command(),
  check_command(),
  replay_command(),
  conformance_command(),
  rcutorture_command(),
  nvme_command(),
  bench_command(),
  fio_command(),
  list_command(),
];
const names = commands.map((command) => command.name()).join(", ");
for (const command of commands) {
  program.addCommand(command);
  strict(command, `see ringside ${command.name()} --help`);
  for (const part of command.commands) strict(part, `see ringside ${command.name()} ${part.name()} --help`);
}
strict(program, `expected one of ${names}; see ringside --help`);

/** That a flag or a list is absent when it is not given goes without saying. */
function optionDescription(option: Option): string {
  return new Help().optionDescription(option).replace(/ ?\(default: (?:false|\[\])\)$/, "");
}

/** Bad usage gets one line on stderr: what came, what was expected, what may have been meant. */
function strict(command: CommandUnknownOpts, hint: string): void {
  command.configureHelp({ optionDescription });
  command.exitOverride().configureOutput({
    outputError: (text, write) => {
      const said = text.trim().replaceAll(/\s*\n\s*/g, " ");
      write(/expected|allowed|\(see /i.test(said) ? `${said}\n` : `${said} (${hint})\n`);
    },
  });
}

/** Runs the command line's command, and sets the exit status. */
export async function runProgram(): Promise<void> {
  try {
    if (process.argv.length <= 2) program.error("error: missing command");
    await program.parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
    else {
      console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
      process.exitCode = EXIT_FAILED;
    }
  }
}
