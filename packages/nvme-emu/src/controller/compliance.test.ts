/**
 * The admin command checks of SPDK's test/nvme/compliance/nvme_compliance.c, told again for our controller;
 * each test carries the name of the one it follows.
 */
import { beforeEach, describe, expect, it } from "vitest";
import { NVME_MAX_QUEUE_ENTRIES } from "../spec/bar.ts";
import * as O from "../spec/opcodes.ts";
import { inline_client, type NvmeTestClient } from "../testing/client.ts";
import { nvme_status_text } from "../spec/status.ts";

const OK = "0/00h SUCCESS";
const FIELD = "0/02h INVALID_FIELD";
const BAD_NS = "0/0bh INVALID_NS";
const BAD_QID = "1/01h QID_INVALID";

let client: NvmeTestClient;
let page: number;
beforeEach(() => {
  client = inline_client();
  client.enable();
  page = client.alloc(4096);
});

function text(completion: { status: number }): string {
  return nvme_status_text(completion.status);
}

describe("SPDK nvme_compliance.c: identify", () => {
  const identify = { opcode: O.nvme_admin_identify, cdw10: O.NVME_ID_CNS_CTRL };

  it("admin_identify_ctrlr_verify_dptr: data past the page needs PRP2", () => {
    expect(client.admin_status({ ...identify, prp1: page })).toBe(OK);
    expect(client.admin_status({ ...identify, prp1: page + 3072 })).toBe(FIELD);
    expect(client.admin_status({ ...identify, prp1: page + 3072, prp2: client.alloc(4096) })).toBe(OK);
  });

  it("admin_identify_ctrlr_verify_fused: admin commands are not fused", () => {
    expect(client.admin_status({ ...identify, prp1: page, fuse: 1 })).toBe(FIELD);
    expect(client.admin_status({ ...identify, prp1: page, fuse: 2 })).toBe(FIELD);
  });

  it("admin_identify_ns: no namespace 0; an inactive one is all zeroes", () => {
    const ns = { opcode: O.nvme_admin_identify, cdw10: O.NVME_ID_CNS_NS, prp1: page };
    expect(client.admin_status({ ...ns, nsid: 0 })).toBe(BAD_NS);
    expect(client.admin_status({ ...ns, nsid: O.NVME_NSID_ALL })).toBe(BAD_NS);
    expect(client.admin_status({ ...ns, nsid: 1 })).toBe(OK);
    expect(client.cpu.mem.read64(page)).toBe(client.cpu.config.media / 512);
    expect(client.admin_status({ ...ns, nsid: 2 })).toBe(OK);
    for (let i = 0; i < 4096; i += 4) expect(client.cpu.mem.read(page + i)).toBe(0);
    expect(client.admin_status({ ...ns, nsid: 17 })).toBe(BAD_NS);
  });
});

describe("SPDK nvme_compliance.c: features", () => {
  function get(fid: number): string {
    return client.admin_status({ opcode: O.nvme_admin_get_features, cdw10: fid, prp1: page });
  }

  it("admin_get_features_mandatory_features: all can be read", () => {
    const mandatory = [
      O.NVME_FEAT_ARBITRATION,
      O.NVME_FEAT_POWER_MGMT,
      O.NVME_FEAT_TEMP_THRESH,
      O.NVME_FEAT_ERR_RECOVERY,
      O.NVME_FEAT_NUM_QUEUES,
      O.NVME_FEAT_IRQ_COALESCE,
      O.NVME_FEAT_IRQ_CONFIG,
      O.NVME_FEAT_WRITE_ATOMIC,
      O.NVME_FEAT_ASYNC_EVENT,
    ];
    for (const fid of mandatory) expect(get(fid)).toBe(OK);
  });

  it("admin_get_features_optional_features: keep alive and host behaviour can be read", () => {
    expect(get(O.NVME_FEAT_KATO)).toBe(OK);
    expect(get(O.NVME_FEAT_HOST_BEHAVIOR)).toBe(OK);
  });

  it("admin_set_features_number_of_queues: 65535 is no count, and too late is too late", () => {
    const set = { opcode: O.nvme_admin_set_features, cdw10: O.NVME_FEAT_NUM_QUEUES };
    expect(client.admin_status({ ...set, cdw11: 0xffff })).toBe(FIELD);
    expect(client.admin_status({ ...set, cdw11: 0xffff << 16 })).toBe(FIELD);
    const granted = client.admin({ ...set, cdw11: 7 | (7 << 16) });
    expect(granted).toMatchObject({ status: 0, result: 7 | (7 << 16) });
    expect(text(client.create_cq(1, 16))).toBe(OK);
    expect(client.admin_status({ ...set, cdw11: 7 | (7 << 16) })).toBe("0/0ch CMD_SEQ_ERROR");
  });
});

describe("SPDK nvme_compliance.c: log pages and property get", () => {
  const quarter = 0xff << O.NVME_LOG_NUMDL_SHIFT; // 1 KiB
  it("admin_get_log_page_mandatory_logs: error, SMART and firmware slot", () => {
    for (const lid of [O.NVME_LOG_ERROR, O.NVME_LOG_SMART, O.NVME_LOG_FW_SLOT]) {
      const log = { opcode: O.nvme_admin_get_log_page, cdw10: lid | quarter, prp1: page };
      expect(client.admin_status({ ...log, nsid: O.NVME_NSID_ALL })).toBe(OK);
    }
  });

  it("admin_get_log_page_with_lpo: an offset in the page, not past it", () => {
    const log = { opcode: O.nvme_admin_get_log_page, cdw10: O.NVME_LOG_FW_SLOT | quarter, prp1: page };
    expect(client.admin_status({ ...log, cdw12: 4096 })).toBe(FIELD);
    expect(client.admin_status({ ...log, cdw12: 4 })).toBe(OK);
    expect(client.admin_status({ ...log, cdw13: 1 })).toBe(FIELD);
    expect(client.admin_status({ ...log, cdw12: 2 })).toBe(FIELD);
  });

  it("fabric_property_get: fabrics commands do not exist here", () => {
    expect(client.admin_status({ opcode: O.nvme_fabrics_command })).toBe("0/01h INVALID_OPCODE");
  });
});

describe("SPDK nvme_compliance.c: deleting queues", () => {
  it("admin_delete_io_sq_use_admin_qid, admin_delete_io_cq_use_admin_qid: not the admin queue", () => {
    expect(client.delete_queue(O.nvme_admin_delete_sq, 0)).toBe(BAD_QID);
    expect(client.delete_queue(O.nvme_admin_delete_cq, 0)).toBe(BAD_QID);
  });

  it("admin_delete_io_sq_delete_sq_twice: the second time there is none", () => {
    client.create_pair(1);
    expect(client.delete_queue(O.nvme_admin_delete_sq, 1)).toBe(OK);
    expect(client.delete_queue(O.nvme_admin_delete_sq, 1)).toBe(BAD_QID);
    expect(client.delete_queue(O.nvme_admin_delete_cq, 1)).toBe(OK);
  });

  it("admin_delete_io_cq_delete_cq_first: a completion queue goes after its submission queue", () => {
    client.create_pair(1);
    expect(client.delete_queue(O.nvme_admin_delete_cq, 1)).toBe("1/0ch INVALID_QUEUE");
    expect(client.delete_queue(O.nvme_admin_delete_sq, 1)).toBe(OK);
    expect(client.delete_queue(O.nvme_admin_delete_cq, 1)).toBe(OK);
  });
});

describe("SPDK nvme_compliance.c: creating queues", () => {
  const PC = O.NVME_QUEUE_PHYS_CONTIG;

  it("admin_create_io_cq_verify_iv_pc: vector and contiguity are checked", () => {
    const iv = PC | O.NVME_CQ_IRQ_ENABLED | (2048 << O.NVME_CQ_IV_SHIFT);
    expect(text(client.create_cq(1, 16, { cdw11: iv }))).toBe("1/08h INVALID_VECTOR");
    expect(text(client.create_cq(1, 16, { cdw11: 0 }))).toBe(FIELD);
    expect(text(client.create_cq(1, 16, { cdw11: PC }))).toBe(OK);
  });

  it("admin_create_io_sq_verify_qsize_cqid: size and completion queue are checked", () => {
    const bad_size = "1/02h QUEUE_SIZE";
    client.create_cq(1, 16);
    expect(text(client.create_sq(1, 16, 1, { cdw10: 1 }))).toBe(bad_size);
    expect(text(client.create_sq(1, 16, 1, { cdw10: 1 | (NVME_MAX_QUEUE_ENTRIES << 16) }))).toBe(bad_size);
    expect(text(client.create_sq(1, 16, 0))).toBe(BAD_QID);
    expect(text(client.create_sq(1, 16, 65))).toBe(BAD_QID);
    expect(text(client.create_sq(1, 16, 2))).toBe("1/00h CQ_INVALID");
    expect(text(client.create_sq(1, 16, 1))).toBe(OK);
  });

  it("admin_create_io_sq_verify_pc: contiguous only, as CAP.CQR says", () => {
    client.create_cq(1, 16);
    expect(text(client.create_sq(1, 16, 1, { cdw11: 1 << 16 }))).toBe(FIELD);
    expect(text(client.create_sq(1, 16, 1))).toBe(OK);
  });

  it("admin_create_io_qp_max_qps: as many as granted, and not one more", () => {
    const set = { opcode: O.nvme_admin_set_features, cdw10: O.NVME_FEAT_NUM_QUEUES };
    const granted = (client.admin({ ...set, cdw11: 0xfffe | (0xfffe << 16) }).result & 0xffff) + 1;
    expect(granted).toBe(64);
    for (let qid = 1; qid <= granted; qid++) client.create_pair(qid, 4);
    expect(text(client.create_cq(granted + 1, 4))).toBe(BAD_QID);
    expect(text(client.create_sq(granted + 1, 4, 1))).toBe(BAD_QID);
    expect(text(client.create_cq(1, 4))).toBe(BAD_QID);
  });

  it("admin_create_io_sq_shared_cq: a shared completion queue goes with its last user", () => {
    for (const cqid of [1, 2]) expect(text(client.create_cq(cqid, 16))).toBe(OK);
    for (const qid of [1, 2, 3, 4]) expect(text(client.create_sq(qid, 16, qid === 1 ? 1 : 2))).toBe(OK);
    const delete_cq2 = (): string => client.delete_queue(O.nvme_admin_delete_cq, 2);
    expect(client.delete_queue(O.nvme_admin_delete_sq, 2)).toBe(OK);
    expect(client.delete_queue(O.nvme_admin_delete_sq, 3)).toBe(OK);
    expect(delete_cq2()).toBe("1/0ch INVALID_QUEUE");
    expect(client.delete_queue(O.nvme_admin_delete_sq, 4)).toBe(OK);
    expect(delete_cq2()).toBe(OK);
  });

  it("a queue whose address has an offset is refused", () => {
    expect(text(client.create_cq(1, 16, { prp1: page + 8 }))).toBe("0/13h PRP_INVALID_OFFSET");
    client.create_cq(1, 16);
    expect(text(client.create_sq(1, 16, 1, { prp1: page + 64 }))).toBe("0/13h PRP_INVALID_OFFSET");
  });
});
