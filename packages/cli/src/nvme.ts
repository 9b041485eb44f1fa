/** `ringside nvme`: boots a machine and shows its controller as nvme-cli would. */
import { Argument, Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { Machine } from "@ringside/workers/machine";
import { error_log_json, error_log_text } from "@ringside/nvme-emu/tools/error-log";
import { id_ctrl_json, id_ctrl_text } from "@ringside/nvme-emu/tools/id-ctrl";
import { id_ns_json, id_ns_text } from "@ringside/nvme-emu/tools/id-ns";
import { list_json, list_text } from "@ringside/nvme-emu/tools/list";
import { show_regs_json, show_regs_text } from "@ringside/nvme-emu/tools/show-regs";
import { smart_log_json, smart_log_text } from "@ringside/nvme-emu/tools/smart-log";

/** Raw data of the controller, as scenarios/nvme-info.ts returns it. */
interface Info {
  readonly idCtrl: readonly number[];
  readonly idNs: readonly number[];
  readonly smart: readonly number[];
  readonly errors: readonly number[];
  readonly registers: readonly number[];
}

const DEVICE = "nvme0";
const INFO_MS = 30_000;

interface View {
  readonly about: string;
  readonly text: (info: Info) => string;
  readonly json: (info: Info) => unknown;
}

function namespaces(info: Info): Parameters<typeof list_text>[0] {
  return [
    { node: "/dev/nvme0n1", generic: "/dev/ng0n1", nsid: 1, controller: info.idCtrl, namespace: info.idNs },
  ];
}

const VIEWS: Readonly<Record<string, View>> = {
  list: {
    about: "the namespaces",
    text: (info) => list_text(namespaces(info)),
    json: (info) => list_json(namespaces(info)),
  },
  "id-ctrl": {
    about: "Identify Controller",
    text: (i) => id_ctrl_text(i.idCtrl),
    json: (i) => id_ctrl_json(i.idCtrl),
  },
  "id-ns": {
    about: "Identify Namespace 1",
    text: (i) => id_ns_text(i.idNs, 1),
    json: (i) => id_ns_json(i.idNs),
  },
  "smart-log": {
    about: "SMART / health log",
    text: (i) => smart_log_text(i.smart, DEVICE),
    json: (i) => smart_log_json(i.smart),
  },
  "error-log": {
    about: "error information log",
    text: (i) => error_log_text(i.errors, DEVICE),
    json: (i) => error_log_json(i.errors),
  },
  "show-regs": {
    about: "controller registers",
    text: (i) => show_regs_text(i.registers),
    json: (i) => show_regs_json(i.registers),
  },
};

async function fetch_info(): Promise<Info> {
  const machine = await Machine.boot();
  try {
    return (await machine.run(0, "nvme-info", {}, INFO_MS)) as unknown as Info;
  } finally {
    await machine.shutdown();
  }
}

export function nvme_command(): CommandUnknownOpts {
  const names = Object.keys(VIEWS);
  const kinds = Object.entries(VIEWS).map(([name, view]) => `${name}: ${view.about}`);
  return new Command("nvme")
    .description(`boot a machine and show its NVMe controller (${kinds.join("; ")})`)
    .addArgument(new Argument(`<${names.join("|")}>`, "what to show").choices(names))
    .option("--json", "one JSON document on stdout")
    .action(async (what, options) => {
      const view = VIEWS[what] as View;
      const info = await fetch_info();
      console.log(options.json === true ? JSON.stringify(view.json(info)) : view.text(info));
    });
}
