/** `ringside bench`: figures beside those that others have published. */
import { Command } from "@commander-js/extra-typings";
import { bench_sct_command } from "./bench-sct.ts";

export function bench_command(): Command {
  return new Command("bench")
    .description("measure, beside published figures")
    .addCommand(bench_sct_command());
}
