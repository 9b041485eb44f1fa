/** Wrong doorbells. The first three follow SPDK's test/nvme/doorbell_aers. */
import { beforeEach, describe, expect, it } from "vitest";
import { nvme_cq_doorbell, nvme_sq_doorbell } from "../spec/bar.ts";
import * as O from "../spec/opcodes.ts";
import { nvme_status_text } from "../spec/status.ts";
import { inline_client, type NvmeTestClient, type TestQueue } from "../testing/client.ts";
import { nvme_audit_doorbells } from "./doorbells.ts";
import { nvme_controller_counters } from "./counters.ts";

const INVALID_REG = (O.NVME_LOG_ERROR << 16) | (O.NVME_AER_ERROR_INVALID_DB_REG << 8);
const INVALID_VALUE = (O.NVME_LOG_ERROR << 16) | (O.NVME_AER_ERROR_INVALID_DB_VALUE << 8);

let client: NvmeTestClient;
let queue: TestQueue;
beforeEach(() => {
  client = inline_client();
  client.enable();
  queue = client.create_pair(1, 16);
  request_event();
});

function request_event(): void {
  client.place(client.admin_queue, { opcode: O.nvme_admin_async_event, cid: 0x77 });
  client.ring(client.admin_queue);
  client.pump();
}

/** Looks at all doorbells, as the device does now and then and before it sleeps. */
function audit(): void {
  const controller = client.controller;
  if (controller !== undefined) nvme_audit_doorbells(controller.cpu, controller.state);
  client.pump();
}

function read_error_log(): void {
  const prp1 = client.alloc(4096);
  client.admin({ opcode: O.nvme_admin_get_log_page, cdw10: O.NVME_LOG_ERROR | (15 << 16), prp1 });
}

describe("doorbell_aers", () => {
  it("write_invalid_db: a doorbell of no queue is an invalid register", () => {
    client.cpu.mem.storeRelease(nvme_sq_doorbell(9), 1);
    audit();
    expect(client.await_completion(client.admin_queue)).toMatchObject({ cid: 0x77, result: INVALID_REG });
  });

  it("overflow_sq: a tail outside the queue is an invalid value, and is ignored", () => {
    client.cpu.mem.storeRelease(nvme_sq_doorbell(1), 16);
    client.pump();
    expect(client.await_completion(client.admin_queue)).toMatchObject({ cid: 0x77, result: INVALID_VALUE });
    expect(client.io_status(1, { opcode: O.nvme_cmd_flush })).toBe("0/00h SUCCESS");
  });

  it("overflow_cq: a head outside the queue is an invalid value, and is ignored", () => {
    client.cpu.mem.storeRelease(nvme_cq_doorbell(1), 0x8000);
    audit();
    expect(client.await_completion(client.admin_queue)).toMatchObject({ cid: 0x77, result: INVALID_VALUE });
    expect(client.io_status(1, { opcode: O.nvme_cmd_flush })).toBe("0/00h SUCCESS");
  });

  it("a head past the entries posted is an invalid value", () => {
    client.cpu.mem.storeRelease(nvme_cq_doorbell(1), 1);
    audit();
    expect(client.await_completion(client.admin_queue).result).toBe(INVALID_VALUE);
  });
});

describe("events", () => {
  it("a second event of the type waits until the log page was read", () => {
    client.cpu.mem.storeRelease(nvme_sq_doorbell(1), 99);
    client.pump();
    expect(client.await_completion(client.admin_queue).result).toBe(INVALID_VALUE);
    client.cpu.mem.storeRelease(nvme_sq_doorbell(9), 1);
    audit();
    request_event();
    expect(client.peek(client.admin_queue)).toBeUndefined();
    read_error_log();
    expect(client.await_completion(client.admin_queue).result).toBe(INVALID_REG);
    expect(nvme_controller_counters(client.cpu).badDoorbells).toBe(2);
  });

  it("an event without a request waits for one", () => {
    client.cpu.mem.storeRelease(nvme_sq_doorbell(1), 99);
    client.pump();
    client.await_completion(client.admin_queue);
    read_error_log();
    client.cpu.mem.storeRelease(nvme_sq_doorbell(1), 98);
    client.pump();
    expect(client.peek(client.admin_queue)).toBeUndefined();
    request_event();
    expect(client.await_completion(client.admin_queue).result).toBe(INVALID_VALUE);
  });

  it("four requests are held, the fifth is one too many", () => {
    for (let i = 0; i < 3; i++) request_event();
    expect(client.admin_status({ opcode: O.nvme_admin_async_event })).toBe("1/05h ASYNC_LIMIT");
  });

  it("abort completes a held request, and says of other commands that it was too late", () => {
    client.place(client.admin_queue, { opcode: O.nvme_admin_abort_cmd, cdw10: 0x77 << 16 });
    client.ring(client.admin_queue);
    client.pump();
    const aborted = client.await_completion(client.admin_queue);
    expect(aborted.cid).toBe(0x77);
    expect(nvme_status_text(aborted.status)).toBe("0/07h ABORT_REQ");
    expect(client.await_completion(client.admin_queue)).toMatchObject({ status: 0, result: 0 });
    expect(client.admin({ opcode: O.nvme_admin_abort_cmd, cdw10: 1 | (5 << 16) })).toMatchObject({
      status: 0,
      result: 1,
    });
    expect(client.admin_status({ opcode: O.nvme_admin_abort_cmd, cdw10: 33 })).toBe("0/02h INVALID_FIELD");
  });

  it("aborts beside a full ring of commands never overrun the completion queue", () => {
    const admin = client.admin_queue;
    for (let i = 0; i < 3; i++) request_event();
    for (let i = 0; i < 31; i++) {
      if (i < 4) client.place(admin, { opcode: O.nvme_admin_abort_cmd, cdw10: 0x77 << 16 });
      else client.place(admin, { opcode: O.nvme_admin_get_features, cdw10: O.NVME_FEAT_KATO });
    }
    client.ring(admin);
    client.pump();
    let seen = 0;
    for (; client.peek(admin) !== undefined; seen++) client.consume(admin);
    expect(seen).toBe(31);
    client.ring_head(admin);
    client.pump();
    expect(client.reap(admin)).toHaveLength(4);
  });

  it("a queue that cannot be reached is fatal, and a reset recovers", () => {
    const bad = 0x7fff0000;
    expect(client.create_cq(2, 16, { prp1: bad }).status).toBe(0);
    expect(client.create_sq(2, 16, 2, { prp1: bad }).status).toBe(0);
    client.cpu.mem.storeRelease(nvme_sq_doorbell(2), 1);
    client.pump();
    expect(client.register(0x1c) & 2).toBe(2);
    client.disable();
    expect(client.enable()).toBe(1);
    expect(queue.entries).toBe(16);
  });
});
