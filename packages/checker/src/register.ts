/**
 * Register: `node --import @ringside/checker/register my-program.ts` loads the program and what it imports as
 * coroutines, every verb of Memory a step. Worker threads of the program load natively.
 */
import { realpathSync } from "node:fs";
import { isMainThread } from "node:worker_threads";
import { registerControlled } from "./transform/load.ts";

const program = process.argv[1];
if (isMainThread && program !== undefined) {
  const loader = registerControlled({ entry: realpathSync(program), granularity: "all" });
  for (const warning of loader.warnings) process.emitWarning(warning);
}
