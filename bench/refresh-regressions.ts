/**
 * Finds the failures of workers/src/check/regressions.json anew, by the command line, and prints the list with new
 * tokens.
 *
 *   node bench/refresh-regressions.ts [--write] [--seed 1]
 *
 * With --write it goes into the file. Exit 1, and nothing is written, when one is not found, is not the failure it was,
 * or does not repeat 100 times of 100: look at what changed before you edit the entry by hand.
 */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { lasting, type Regression, REGRESSIONS, REGRESSIONS_FILE } from "@ringside/workers/check/regressions";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const TIMES = 100;

const { values } = parseArgs({
  options: { write: { type: "boolean", default: false }, seed: { type: "string", default: "1" } },
});

interface Found {
  readonly kind: string;
  readonly message: string;
  readonly replay: string;
}

function ringside(...args: string[]): unknown {
  const run = spawnSync(process.execPath, ["packages/cli/src/main.ts", ...args, "--json"], {
    cwd: ROOT,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (run.stdout === "") throw new Error(`ringside ${args.join(" ")}: exit ${run.status}`);
  return JSON.parse(run.stdout);
}

/** The entry with a new token, or what is wrong. */
function refreshed(old: Regression): Regression | string {
  const { scenario, form, variant } = old;
  const args = ["check", scenario, "--form", form, ...(variant === undefined ? [] : ["--variant", variant])];
  const { failure } = ringside(...args, "--seed", values.seed) as { failure: Found | null };
  if (failure === null) return `${args.join(" ")} finds nothing`;
  const { kind, message, replay: token } = failure;
  const isNew = old.token === "";
  if (!isNew && (kind !== old.kind || lasting(message) !== lasting(old.message)))
    return `it was "${old.message}", it is "${message}" now`;
  const { exact } = ringside("replay", token, "--times", String(TIMES)) as { exact: number };
  return exact === TIMES ? { ...old, kind, message, token } : `it repeats ${exact} of ${TIMES} times`;
}

const entries: Regression[] = [];
for (const old of REGRESSIONS) {
  const entry = refreshed(old);
  if (typeof entry === "string") {
    console.error(`${old.name}: ${entry}`);
    process.exitCode = 1;
  } else {
    console.error(`${old.name}: ${entry.token === old.token ? "as it was" : "new token"}`);
    entries.push(entry);
  }
}
const list = JSON.stringify(entries, null, 2);
console.log(list);
if (values.write && process.exitCode !== 1) writeFileSync(REGRESSIONS_FILE, `${list}\n`);
