/**
 * Ctrl-C and SIGTERM before there is anything to report. The signals come at moments of the program's own, not of the
 * clock: a module that is loaded first sends them, when a certain module is imported or when the first thread starts.
 */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const MAIN = fileURLToPath(new URL("../../../packages/cli/src/main.ts", import.meta.url));
const SAID = "interrupted before there was anything to report\n";
const LIMIT_MS = 60_000;

type Signal = "SIGINT" | "SIGTERM";

interface Outcome {
  /** What a signal ended has that signal's name instead. */
  readonly status: unknown;
  readonly stdout: string;
  readonly stderr: string;
}

/** The signal comes once, as `module` is resolved. */
function atImport(module: string, signal: Signal): string {
  return `import { registerHooks } from "node:module";
    let sent = false;
    registerHooks({ resolve(specifier, context, next) {
      if (!sent && specifier === "${module}") sent = process.kill(process.pid, "${signal}");
      return next(specifier, context);
    } });`;
}

function atFirstThread(signal: Signal): string {
  return `import { threadId } from "node:worker_threads";
    if (threadId === 1) process.kill(process.pid, "${signal}");`;
}

async function interrupted(preload: string, args: readonly string[]): Promise<Outcome> {
  const before = `data:text/javascript,${encodeURIComponent(preload)}`;
  return await new Promise((resolve) => {
    const options = { timeout: LIMIT_MS, killSignal: "SIGKILL" } as const;
    // Called when the pipes are closed: no thread or child holds them any more.
    execFile(process.execPath, ["--import", before, ...args], options, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : (error.signal ?? error.code), stdout, stderr });
    });
  });
}

const FIO = ["fio", "--json", ..."--name=x --ioengine=io_uring --rw=read --size=1m".split(" ")];

it.concurrent.each<readonly [string, Signal, readonly string[], number]>([
  ["./program.ts", "SIGINT", ["stress"], 130],
  ["./program.ts", "SIGTERM", FIO, 143],
  ["@ringside/workers/check", "SIGINT", ["check", "rcu", "--json"], 130],
])(
  "while %s loads, %s ends it with a line, and with --json a document: %j",
  async (module, signal, args, code) => {
    const { status, stdout, stderr } = await interrupted(atImport(module, signal), [MAIN, ...args]);
    expect({ status, stderr }).toEqual({ status: code, stderr: SAID });
    expect(stdout).toBe(args.includes("--json") ? '{"interrupted":true}\n' : "");
  },
);

it.concurrent("control: without the listener that signal leaves nothing", async () => {
  const script = ["--input-type=module", "--eval", 'await import("node:os"); for (;;);'];
  const outcome = await interrupted(atImport("node:os", "SIGINT"), script);
  expect(outcome).toEqual({ status: "SIGINT", stdout: "", stderr: "" });
});

it.concurrent.each<readonly [readonly string[], Signal, number, unknown]>([
  [["stress", "--json"], "SIGINT", 130, { interrupted: true, violations: [], leaks: [] }],
  [FIO, "SIGTERM", 143, { jobs: [{ jobname: "x", read: { total_ios: 0 } }] }],
  [["nvme", "list", "--json"], "SIGINT", 130, { interrupted: true }],
])("while the machine boots, %j ends on %s with what there is", async (args, signal, code, document) => {
  const { status, stdout } = await interrupted(atFirstThread(signal), [MAIN, ...args]);
  expect(status).toBe(code);
  expect(JSON.parse(stdout)).toMatchObject(document as object);
});

it.concurrent.each([
  ["stdout", '{ "$0" "$1" list scenarios; echo $? >&2; } | true'],
  ["stderr", '{ "$0" "$1" nosuch 2>&1 >&3; echo $? >&3; } 3>&2 | true'],
])(
  "a command whose reader of %s has gone ends without a word, as SIGPIPE would end it",
  async (_name, line) => {
    const shell = promisify(execFile)("sh", ["-c", line, process.execPath, MAIN], { timeout: LIMIT_MS });
    expect(await shell).toEqual({ stdout: "", stderr: "141\n" });
  },
);

it.concurrent("a command hears a signal of the time when it loads its own part", async () => {
  const preload = atImport("@ringside/bench/registry", "SIGINT");
  const { status, stdout } = await interrupted(preload, [MAIN, "bench", "rcu", "--json"]);
  expect(status).toBe(130);
  expect(JSON.parse(stdout)).toMatchObject({ results: [] });
});
