/** Runs the real command in a process of its own, for a bounded time. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../../packages/cli/src/main.ts", import.meta.url));
const LIMIT_MS = 60_000;

export interface Outcome {
  /** Null when a signal, or the time limit, ended it. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `onOutput` sees stderr so far, whenever there is more: to act on a run that has got going. */
export async function ringside(
  args: readonly string[],
  onOutput: (child: ChildProcess, stderr: string) => void = () => {},
): Promise<Outcome> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: LIMIT_MS,
    killSignal: "SIGKILL",
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (data: Buffer) => (stdout += data.toString()));
  child.stderr.on("data", (data: Buffer) => {
    stderr += data.toString();
    onOutput(child, stderr);
  });
  // Not "exit": a thread that holds a pipe open counts as stuck too.
  const status = await new Promise<number | null>((resolve, reject) => {
    child.on("close", resolve);
    child.on("error", reject);
  });
  return { status, stdout, stderr };
}
