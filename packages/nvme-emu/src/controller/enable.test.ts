/** Registers, enable, reset and shutdown. reg-read follows QEMU's tests/qtest/nvme-test.c. */
import { beforeEach, describe, expect, it } from "vitest";
import { nvme_mmio_read64, nvme_sq_doorbell } from "../spec/bar.ts";
import * as O from "../spec/opcodes.ts";
import * as R from "../spec/registers.ts";
import { inline_client, type NvmeTestClient } from "../testing/client.ts";

let client: NvmeTestClient;
beforeEach(() => {
  client = inline_client();
});

const SIZES = R.NVME_CC_IOSQES | R.NVME_CC_IOCQES;

describe("registers", () => {
  it("reg-read: CAP reads the same in one piece and in two", () => {
    const low = client.register(R.NVME_REG_CAP);
    const high = client.register(R.NVME_REG_CAP + 4);
    expect(nvme_mmio_read64(client.cpu, R.NVME_REG_CAP)).toBe(low + high * 2 ** 32);
    expect(low & R.NVME_CAP_MQES_MASK).toBe(4095);
    expect(low & R.NVME_CAP_CQR).not.toBe(0);
    expect(high & 0xf).toBe(5);
    expect((high >>> R.NVME_CAP_HI_CSS_SHIFT) & 0xff).toBe(R.NVME_CAP_CSS_NVM);
    expect((high >>> R.NVME_CAP_HI_MPSMIN_SHIFT) & 0xff).toBe(0);
    expect(client.register(R.NVME_REG_VS)).toBe(0x10400);
  });

  it("INTMS sets bits, INTMC clears them, both read the mask", () => {
    client.enable();
    const { cpu } = client;
    const write = (offset: number, value: number): void => {
      cpu.mem.storeRelease(client.bar() + offset, value);
    };
    expect(client.register(R.NVME_REG_INTMS)).toBe(0);
    write(R.NVME_REG_INTMS, 5);
    expect(client.register(R.NVME_REG_INTMC)).toBe(5);
  });
});

describe("enabling", () => {
  it("EN brings RDY, clearing it takes RDY away", () => {
    expect(client.enable()).toBe(R.NVME_CSTS_RDY);
    expect(client.disable()).toBe(0);
    expect(client.enable()).toBe(R.NVME_CSTS_RDY);
  });

  it.each([
    ["page size", SIZES | (1 << R.NVME_CC_MPS_SHIFT)],
    ["command set", SIZES | (6 << R.NVME_CC_CSS_SHIFT)],
    ["arbitration", SIZES | (1 << R.NVME_CC_AMS_SHIFT)],
    ["submission entry size", R.NVME_CC_IOCQES],
    ["completion entry size", R.NVME_CC_IOSQES],
  ])("an unsupported %s is a fatal status that a reset clears", (_what, cc) => {
    expect(client.enable(32, cc)).toBe(R.NVME_CSTS_CFS);
    expect(client.disable()).toBe(0);
    expect(client.enable()).toBe(R.NVME_CSTS_RDY);
  });

  it("an admin queue of one entry is refused", () => {
    expect(client.enable(1)).toBe(R.NVME_CSTS_CFS);
  });

  it("a reset deletes the I/O queues and keeps AQA, ASQ and ACQ", () => {
    client.enable();
    client.create_pair(1);
    const { sq } = client.admin_queue;
    client.disable();
    expect(client.register(R.NVME_REG_ASQ)).toBe(sq);
    expect(client.cpu.mem.read(nvme_sq_doorbell(0))).toBe(0);
    client.enable();
    expect(client.delete_queue(O.nvme_admin_delete_sq, 1)).toBe("1/01h QID_INVALID");
    client.create_pair(1);
  });

  it("a reset drops held event requests without completing them", () => {
    client.enable();
    client.place(client.admin_queue, { opcode: O.nvme_admin_async_event });
    client.ring(client.admin_queue);
    client.pump();
    client.disable();
    expect(client.peek(client.admin_queue)).toBeUndefined();
    client.enable();
    expect(client.admin({ opcode: O.nvme_admin_get_features, cdw10: O.NVME_FEAT_KATO }).status).toBe(0);
    expect(client.peek(client.admin_queue)).toBeUndefined();
  });

  it("features go back to their defaults at a reset", () => {
    client.enable();
    const feature = { cdw10: O.NVME_FEAT_ERR_RECOVERY };
    client.admin({ opcode: O.nvme_admin_set_features, ...feature, cdw11: 9 });
    expect(client.admin({ opcode: O.nvme_admin_get_features, ...feature }).result).toBe(9);
    client.disable();
    client.enable();
    expect(client.admin({ opcode: O.nvme_admin_get_features, ...feature }).result).toBe(0);
  });

  it("a shutdown completes, and commands after it are not processed", () => {
    client.enable();
    expect(client.shutdown() & R.NVME_CSTS_SHST_MASK).toBe(R.NVME_CSTS_SHST_CMPLT);
    client.place(client.admin_queue, { opcode: O.nvme_admin_get_features, cdw10: O.NVME_FEAT_KATO });
    client.ring(client.admin_queue);
    client.pump();
    expect(client.peek(client.admin_queue)).toBeUndefined();
    client.disable();
    expect(client.enable()).toBe(R.NVME_CSTS_RDY);
  });
});
