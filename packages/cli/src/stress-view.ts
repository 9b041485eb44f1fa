/** How a stress run looks on a terminal: a live line, then a table and a last line that says pass or what broke. */
import { styleText } from "node:util";
import type { StressProgress, StressReport } from "@ringside/workers/stress";
import { type StressOptions, stress_command_line } from "@ringside/workers/stress-config";
import Table from "cli-table3";
import { createLogUpdate } from "log-update";

export interface ProgressView {
  readonly update: (progress: StressProgress) => void;
  readonly done: () => void;
}

function count(n: number): string {
  return n.toLocaleString("en-US");
}

function progress_line(now: StressProgress, last: StressProgress | undefined, seconds: number): string {
  const time = now.seconds - (last?.seconds ?? 0);
  const iops = Math.round((now.completed - (last?.completed ?? 0)) / Math.max(time, 0.001));
  return [
    `${now.seconds.toFixed(1).padStart(6)} s of ${seconds}`,
    `${count(iops).padStart(9)} IOPS`,
    `${count(now.invalidations)} invalidations`,
    `${count(now.maps)} maps`,
    `${count(now.gracePeriods)} grace periods`,
  ].join("  ");
}

/** Live on a terminal; a line every five seconds otherwise. */
export function stress_progress(options: StressOptions, stream: NodeJS.WriteStream): ProgressView {
  const live = stream.isTTY ? createLogUpdate(stream) : undefined;
  let last: StressProgress | undefined;
  let printed = 0;
  let open = true;
  return {
    update: (progress) => {
      // At once: a run that is killed has said how to repeat it.
      if (!live && last === undefined) stream.write(`${stress_command_line(options)}\n`);
      const line = progress_line(progress, last, options.seconds);
      last = progress;
      if (live) live(line);
      else if (progress.seconds - printed >= 5) {
        printed = progress.seconds;
        stream.write(`${line}\n`);
      }
    },
    done: () => {
      if (open) {
        live?.clear();
        // Gives the cursor back.
        live?.done();
      }
      open = false;
    },
  };
}

type Row = [label: string, text: string];

function rows(options: StressOptions, r: StressReport): Row[] {
  const { io, token, fence, rcu, workqueue, nvme, threads } = r;
  const list = (...parts: (readonly [number, string])[]): string =>
    parts.map(([n, what]) => `${count(n)} ${what}`).join(", ");
  return [
    [
      "machine",
      list([threads.cpus, "CPUs"], [threads.kworkers, "kworkers"], [threads.nvme, "NVMe controller"]),
    ],
    ["settings", `token ${r.variant}, IOMMU ${options.iommu}, depth ${options.depth}, ${options.bs} bytes`],
    [
      "I/O",
      list(
        [io.reads, "reads"],
        [io.writes, "writes"],
        [Math.round(io.bytes / 2 ** 20), "MiB"],
        [io.iops, "IOPS"],
      ),
    ],
    ["data", list([io.verified, "sectors verified"], [io.mismatches, "mismatches"], [io.errors, "errors"])],
    ["tokens", list([token.created, "created"], [token.released, "released"])],
    [
      "maps",
      list([token.maps, "mapped"], [token.unmaps, "unmapped"], [token.invalidations, "invalidations"]),
    ],
    ["fences", list([fence.initialised, "initialised"], [fence.signalled, "signalled"])],
    ["RCU", list([rcu.gracePeriods, "grace periods"], [rcu.callbacks, "callbacks"])],
    ["workqueue", list([workqueue.queued, "queued"], [workqueue.executed, "executed"])],
    [
      "NVMe",
      list([nvme.commands, "commands"], [nvme.smartReads, "reads"], [nvme.smartWrites, "writes by SMART"]),
    ],
    ["IOMMU", list([nvme.iommuFaults, "faults"])],
  ];
}

const NO_RULES_BETWEEN_ROWS = { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" };

export function stress_table(options: StressOptions, r: StressReport): string {
  const table = new Table({ style: { head: [], border: [] }, chars: NO_RULES_BETWEEN_ROWS });
  table.push(...rows(options, r));
  return `${table.toString()}\n${problems(r)}${verdict(options, r)}`;
}

const SHOWN = 8;

function problems(r: StressReport): string {
  const lines = [
    ...r.violations.map((text) => `violation: ${text}`),
    ...r.warnings,
    ...r.leaks.map((leak) => `leak: ${leak.objects} objects, ${leak.bytes} bytes from ${leak.site}`),
  ];
  const shown = lines.slice(0, SHOWN).map((line) => `  ${line}\n`);
  if (lines.length > SHOWN) shown.push(`  ... and ${lines.length - SHOWN} more (--json has all)\n`);
  return shown.join("");
}

function verdict(options: StressOptions, r: StressReport): string {
  const ran = `${r.seconds} s, seed ${r.seed}`;
  const again = `again with: ${stress_command_line(options)}`;
  const found = `${r.violations.length} violations, ${r.warnings.length} warnings, ${r.leaks.length} leaks`;
  if (r.interrupted === true) {
    return styleText("yellow", `interrupted: ${ran}; ${found}${r.ok ? "" : `; ${again}`}`);
  }
  if (r.ok && options.mutant !== undefined) {
    return styleText("yellow", `mutant ${options.mutant} not caught in ${ran}; ${again}`);
  }
  if (r.ok) return styleText("green", `pass: ${ran}; nothing broke`);
  return styleText("red", `FAIL: ${found}; ${again}`);
}
