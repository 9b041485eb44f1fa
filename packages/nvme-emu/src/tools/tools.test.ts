/** The tools print what nvme-cli prints. Fixtures: text written down from its output formats. */
import { beforeAll, describe, expect, it } from "vitest";
import * as O from "../spec/opcodes.ts";
import { inline_client } from "../testing/client.ts";
import { error_log_json, error_log_text } from "./error-log.ts";
import { id_ctrl_json, id_ctrl_text } from "./id-ctrl.ts";
import { id_ns_json, id_ns_text } from "./id-ns.ts";
import { list_json, list_text } from "./list.ts";
import { show_regs_json, show_regs_text } from "./show-regs.ts";
import { smart_log_json, smart_log_text } from "./smart-log.ts";

let ctrl: number[];
let ns: number[];
let smart: number[];
let errors: number[];
let bar: number[];

beforeAll(() => {
  const client = inline_client();
  client.enable();
  client.create_pair(1);
  const page = client.alloc(4096);
  const bytes = (p: number, count: number): number[] =>
    Array.from({ length: count }, (_, i) => client.cpu.mem.read8(p + i));
  const identify = (cns: number, nsid: number): number[] => {
    client.admin({ opcode: O.nvme_admin_identify, cdw10: cns, nsid, prp1: page });
    return bytes(page, 4096);
  };
  const log = (lid: number, size: number): number[] => {
    client.admin({ opcode: O.nvme_admin_get_log_page, cdw10: lid | ((size / 4 - 1) << 16), prp1: page });
    return bytes(page, size);
  };
  ctrl = identify(O.NVME_ID_CNS_CTRL, 0);
  ns = identify(O.NVME_ID_CNS_NS, 1);
  for (let i = 0; i < 300; i++) client.io(1, { opcode: O.nvme_cmd_read, prp1: page, cdw12: 7 });
  client.io(1, { opcode: O.nvme_cmd_read, prp1: page, cdw10: 1 << 30, cid: 0x42 });
  smart = log(O.NVME_LOG_SMART, 512);
  errors = log(O.NVME_LOG_ERROR, 64);
  bar = bytes(client.bar(), 0x1000);
});

describe("list", () => {
  const row = (): Parameters<typeof list_text>[0] => [
    { node: "/dev/nvme0n1", generic: "/dev/ng0n1", nsid: 1, controller: ctrl, namespace: ns },
  ];

  it("text", () => {
    const [titles, rule, first] = list_text(row()).split("\n");
    expect(titles).toBe(
      "Node                  Generic               SN                   Model                              " +
        "      Namespace  Usage                      Format           FW Rev  ",
    );
    expect(rule).toBe(
      "--------------------- --------------------- -------------------- ----------------------------------" +
        "------ ---------- -------------------------- ---------------- --------",
    );
    expect(first).toBe(
      "/dev/nvme0n1          /dev/ng0n1            RINGSIDE0001         ringside NVMe Controller          " +
        "       0x1          8.39  MB /   8.39  MB    512   B +  0 B   1.0     ",
    );
  });

  it("JSON", () => {
    expect(list_json(row())).toEqual({
      Devices: [
        {
          NameSpace: 1,
          DevicePath: "/dev/nvme0n1",
          GenericPath: "/dev/ng0n1",
          Firmware: "1.0",
          ModelNumber: "ringside NVMe Controller",
          SerialNumber: "RINGSIDE0001",
          UsedBytes: 8 << 20,
          MaximumLBA: (8 << 20) / 512,
          PhysicalSize: 8 << 20,
          SectorSize: 512,
        },
      ],
    });
  });
});

describe("id-ctrl and id-ns", () => {
  it("text of the controller", () => {
    const lines = id_ctrl_text(ctrl).split("\n");
    expect(lines.slice(0, 6)).toEqual([
      "NVME Identify Controller:",
      "vid       : 0x1d1d",
      "ssvid     : 0x1d1d",
      "sn        : RINGSIDE0001        ",
      "mn        : ringside NVMe Controller                ",
      "fr        : 1.0     ",
    ]);
    expect(lines).toContain("ieee      : 000000");
    expect(lines).toContain("mdts      : 10");
    expect(lines).toContain("ver       : 0x10400");
    expect(lines).toContain("fguid     : 00000000-0000-0000-0000-000000000000");
    expect(lines).toContain("sqes      : 0x66");
    expect(lines).toContain("tnvmcap   : 8388608");
    expect(lines.slice(-4)).toEqual([
      "ps      0 : mp:25.00W operational enlat:0 exlat:0 rrt:0 rrl:0",
      "            rwt:0 rwl:0 idle_power:- active_power:-",
      "            active_power_workload:-",
      "",
    ]);
  });

  it("JSON of the controller has nvme-cli's keys in its order", () => {
    const json = id_ctrl_json(ctrl);
    const first =
      "vid ssvid sn mn fr rab ieee cmic mdts cntlid ver rtd3r rtd3e oaes ctratt rrls cntrltype fguid";
    expect(Object.keys(json).slice(0, 18)).toEqual(first.split(" "));
    expect(Object.keys(json).at(-1)).toBe("psds");
    expect(json).toMatchObject({ vid: 0x1d1d, mdts: 10, nn: 16, sqes: 0x66, cqes: 0x44 });
    expect(json["psds"]).toMatchObject([{ max_power: 2500, flags: 0, entry_lat: 0 }]);
  });

  it("text and JSON of the namespace", () => {
    const lines = id_ns_text(ns, 1).split("\n");
    expect(lines.slice(0, 4)).toEqual([
      "NVME Identify Namespace 1:",
      "nsze    : 0x4000",
      "ncap    : 0x4000",
      "nuse    : 0x4000",
    ]);
    expect(lines.slice(-3)).toEqual([
      "eui64   : 0000000000000000",
      "lbaf  0 : ms:0   lbads:9  rp:0 (in use)",
      "",
    ]);
    expect(id_ns_json(ns)).toMatchObject({ nsze: 0x4000, flbas: 0, lbafs: [{ ms: 0, ds: 9, rp: 0 }] });
  });
});

describe("smart-log and error-log", () => {
  it("text", () => {
    expect(smart_log_text(smart, "nvme0").split("\n")).toEqual([
      "Smart Log for NVME device:nvme0 namespace-id:ffffffff",
      "critical_warning\t\t\t: 0",
      "temperature\t\t\t\t: 27 °C (300 K)",
      "available_spare\t\t\t\t: 100%",
      "available_spare_threshold\t\t: 10%",
      "percentage_used\t\t\t\t: 0%",
      "endurance group critical warning summary: 0",
      "Data Units Read\t\t\t\t: 3 (1.54 MB)",
      "Data Units Written\t\t\t: 0 (0.00 B)",
      "host_read_commands\t\t\t: 301",
      "host_write_commands\t\t\t: 0",
      "controller_busy_time\t\t\t: 0",
      "power_cycles\t\t\t\t: 1",
      "power_on_hours\t\t\t\t: 0",
      "unsafe_shutdowns\t\t\t: 0",
      "media_errors\t\t\t\t: 0",
      "num_err_log_entries\t\t\t: 1",
      "Warning Temperature Time\t\t: 0",
      "Critical Composite Temperature Time\t: 0",
      "Thermal Management T1 Trans Count\t: 0",
      "Thermal Management T2 Trans Count\t: 0",
      "Thermal Management T1 Total Time\t: 0",
      "Thermal Management T2 Total Time\t: 0",
      "",
    ]);
  });

  it("a sensor that reports is shown, and 128-bit counts are exact", () => {
    const page = smart.slice();
    page[200] = 0x3b;
    page[201] = 0x01;
    page.fill(0xff, 64, 80);
    const text = smart_log_text(page, "nvme0");
    expect(text).toContain("Temperature Sensor 1           : 42 °C (315 K)\n");
    expect(text).toContain("host_read_commands\t\t\t: 340282366920938463463374607431768211455\n");
    expect(smart_log_json(page)).toMatchObject({ temperature_sensor_1: 315 });
  });

  it("JSON", () => {
    const json = smart_log_json(smart);
    expect(json).toMatchObject({
      temperature: 300,
      avail_spare: 100,
      data_units_read: 3,
      host_read_commands: 301,
    });
    expect(Object.keys(json)).not.toContain("temperature_sensor_1");
    expect(Object.keys(json).slice(0, 3)).toEqual(["critical_warning", "temperature", "avail_spare"]);
    expect(Object.keys(json).at(-1)).toBe("thm_temp2_total_time");
  });

  it("error log", () => {
    const lines = error_log_text(errors, "nvme0").split("\n");
    expect(lines[0]).toBe("Error Log Entries for device:nvme0 entries:1");
    expect(lines).toContain("cmdid\t\t: 0x42");
    expect(lines).toContain("status_field\t: 0x4080(0/80h LBA_RANGE)");
    expect(lines).toContain("lba\t\t: 0x40000000");
    const error = { error_count: 1, sqid: 1, cmdid: 0x42, status_field: 0x4080, phase_tag: 0, nsid: 1 };
    expect(error_log_json(errors).errors).toMatchObject([error]);
  });
});

describe("show-regs", () => {
  it("text", () => {
    expect(show_regs_text(bar).split("\n").slice(0, 9)).toEqual([
      "cap     : 250a010fff",
      "version : 10400",
      "cc      : 460001",
      "csts    : 1",
      "nssr    : 0",
      "crto    : 0",
      "intms   : 0",
      "intmc   : 0",
      "aqa     : 1f001f",
    ]);
    expect(show_regs_text(bar)).toContain("cmbmsc\t: 0\ncmbsts\t: 0\npmrcap  : 0\n");
  });

  it("-H decodes what there is", () => {
    const text = show_regs_text(bar, true);
    expect(text).toContain("\tMaximum Queue Entries Supported (MQES): 4096\n");
    expect(text).toContain("(DSTRD): 128 bytes\n");
    expect(text).toContain("\tNVMe specification 1.4\n\n");
    expect(text).toContain("(RDY): Yes\n\n");
    expect(text).toContain("(IOSQES): 64 bytes\n");
  });

  it("JSON says vs, not version", () => {
    const json = show_regs_json(bar);
    expect(Object.keys(json).slice(0, 3)).toEqual(["cap", "vs", "intms"]);
    expect(json).toMatchObject({ vs: 0x10400, csts: 1, cc: 0x460001 });
    expect(Object.keys(json).at(-1)).toBe("pmrmscu");
  });
});
