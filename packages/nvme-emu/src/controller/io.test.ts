/** I/O commands: what they check, what they count. */
import { beforeEach, describe, expect, it } from "vitest";
import { NVME_SMART_FIELDS, NVME_ERROR_LOG_FIELDS } from "../spec/logs.ts";
import { spec_field, type SpecField } from "../spec/layout.ts";
import * as O from "../spec/opcodes.ts";
import { inline_client, type NvmeTestClient } from "../testing/client.ts";
import { nvme_controller_counters } from "./counters.ts";
import { NVME_MDTS_BYTES } from "./state.ts";

const OK = "0/00h SUCCESS";
let client: NvmeTestClient;
let page: number;
let blocks: number;
beforeEach(() => {
  client = inline_client();
  client.enable();
  client.create_pair(1);
  page = client.alloc(4096);
  blocks = client.cpu.config.media / 512;
});

function log(lid: number, bytes: number): number {
  const target = client.alloc(4096);
  const cdw10 = lid | ((bytes / 4 - 1) << O.NVME_LOG_NUMDL_SHIFT);
  const command = { opcode: O.nvme_admin_get_log_page, nsid: O.NVME_NSID_ALL, cdw10, prp1: target };
  expect(client.admin_status(command)).toBe(OK);
  return target;
}

function field(p: number, table: readonly SpecField[], name: string): number {
  const [, offset, bytes] = spec_field(table, name);
  let value = 0;
  for (let i = Math.min(bytes, 6) - 1; i >= 0; i--)
    value = value * 256 + client.cpu.mem.read8(p + offset + i);
  return value;
}

describe("read and write", () => {
  const read = (slba: number, count: number = 1): string =>
    client.io_status(1, { opcode: O.nvme_cmd_read, prp1: page, cdw10: slba, cdw12: count - 1 });

  it("reads back what was written", () => {
    client.cpu.mem.memset(page, 0x5a, 512);
    expect(client.io_status(1, { opcode: O.nvme_cmd_write, prp1: page, cdw10: 7 })).toBe(OK);
    client.cpu.mem.memset(page, 0, 512);
    expect(read(7)).toBe(OK);
    expect(client.cpu.mem.read8(page + 511)).toBe(0x5a);
    expect(client.cpu.mem.read8(page + 512)).toBe(0);
  });

  it("the last block is in range, the next is not", () => {
    expect(read(blocks - 1)).toBe(OK);
    expect(read(blocks)).toBe("0/80h LBA_RANGE");
    expect(read(blocks - 1, 2)).toBe("0/80h LBA_RANGE");
    expect(read(0xffffffff)).toBe("0/80h LBA_RANGE");
    expect(client.io_status(1, { opcode: O.nvme_cmd_read, prp1: page, cdw11: 1 })).toBe("0/80h LBA_RANGE");
  });

  it("only namespace 1 exists", () => {
    for (const nsid of [0, 2, 16, 0xffffffff]) {
      expect(client.io_status(1, { opcode: O.nvme_cmd_read, nsid, prp1: page })).toBe("0/0bh INVALID_NS");
    }
  });

  it("a command of more than MDTS says is refused before anything else", () => {
    const sectors = NVME_MDTS_BYTES / 512;
    // A PRP list at an odd address, so that the next check in line answers when this one does not.
    const command = { opcode: O.nvme_cmd_read, prp1: page, prp2: page + 4 };
    expect(client.io_status(1, { ...command, cdw12: sectors })).toBe("0/02h INVALID_FIELD");
    expect(client.io_status(1, { ...command, cdw12: sectors - 1 })).toBe("0/13h PRP_INVALID_OFFSET");
  });

  it("fused and SGL commands, and unknown opcodes, are refused", () => {
    const command = { opcode: O.nvme_cmd_read, prp1: page };
    expect(client.io_status(1, { ...command, fuse: 1 })).toBe("0/02h INVALID_FIELD");
    expect(client.io_status(1, { ...command, psdt: 1 })).toBe("0/02h INVALID_FIELD");
    expect(client.io_status(1, { ...command, opcode: 0x55 })).toBe("0/01h INVALID_OPCODE");
  });

  it("flush takes one namespace or all of them", () => {
    expect(client.io_status(1, { opcode: O.nvme_cmd_flush })).toBe(OK);
    expect(client.io_status(1, { opcode: O.nvme_cmd_flush, nsid: O.NVME_NSID_ALL })).toBe(OK);
    expect(client.io_status(1, { opcode: O.nvme_cmd_flush, nsid: 0 })).toBe("0/0bh INVALID_NS");
  });
});

describe("SMART and the error log", () => {
  it("commands and data units equal what the client did; units are rounded up", () => {
    for (let i = 0; i < 3; i++) client.io(1, { opcode: O.nvme_cmd_read, prp1: page, cdw12: 7 });
    for (let i = 0; i < 2; i++) client.io(1, { opcode: O.nvme_cmd_write, prp1: page });
    client.io(1, { opcode: O.nvme_cmd_flush });
    const smart = log(O.NVME_LOG_SMART, 512);
    const value = (name: string): number => field(smart, NVME_SMART_FIELDS, name);
    expect(value("host_read_commands")).toBe(3);
    expect(value("host_write_commands")).toBe(2);
    expect(value("data_units_read")).toBe(1);
    expect(value("data_units_written")).toBe(1);
    expect(value("temperature")).toBe(300);
    expect(value("media_errors")).toBe(0);
    expect(nvme_controller_counters(client.cpu)).toMatchObject({
      ioCommands: 6,
      reads: 3,
      writes: 2,
      flushes: 1,
    });
  });

  it("data units of 1000 blocks begin with the first block of each", () => {
    const read = (count: number): void => {
      for (let i = 0; i < count; i++) client.io(1, { opcode: O.nvme_cmd_read, prp1: page, cdw12: 7 });
    };
    read(125);
    expect(field(log(O.NVME_LOG_SMART, 512), NVME_SMART_FIELDS, "data_units_read")).toBe(1);
    read(1);
    expect(field(log(O.NVME_LOG_SMART, 512), NVME_SMART_FIELDS, "data_units_read")).toBe(2);
  });

  it("a failed command leaves an entry, the newest first", () => {
    client.io(1, { opcode: O.nvme_cmd_read, prp1: page, cdw10: blocks });
    const { cid } = client.io(1, { opcode: 0x55, cdw10: 9 });
    const entries = log(O.NVME_LOG_ERROR, 128);
    const value = (p: number, name: string): number => field(p, NVME_ERROR_LOG_FIELDS, name);
    expect(value(entries, "error_count")).toBe(2);
    expect(value(entries, "sqid")).toBe(1);
    expect(value(entries, "cmdid")).toBe(cid);
    expect((value(entries, "status_field") >> 1) & 0x7ff).toBe(1);
    expect(value(entries + 64, "error_count")).toBe(1);
    expect(value(entries + 64, "lba")).toBe(blocks);
    expect(value(entries + 64, "nsid")).toBe(1);
    expect(field(log(O.NVME_LOG_SMART, 512), NVME_SMART_FIELDS, "num_err_log_entries")).toBe(2);
    expect(nvme_controller_counters(client.cpu).errors).toBe(2);
  });
});
