/** Interrupts: one a batch, none without IEN, held while masked, coalesced when asked. */
import { beforeEach, describe, expect, it } from "vitest";
import { irq_pending_word } from "@ringside/core/sched/task";
import {
  MSIX_CTRL_MASKED,
  MSIX_ENTRY_CTRL,
  nvme_mmio_write32,
  nvme_msix_entry,
  nvme_msix_program,
} from "../spec/bar.ts";
import * as O from "../spec/opcodes.ts";
import { NVME_REG_INTMC, NVME_REG_INTMS } from "../spec/registers.ts";
import { inline_client, type NvmeTestClient, type TestQueue } from "../testing/client.ts";
import { nvme_controller_counters } from "./counters.ts";

const TARGET = 1;
const IRQ = 3;
const VECTOR = 2;
const WITH_IRQ = O.NVME_QUEUE_PHYS_CONTIG | O.NVME_CQ_IRQ_ENABLED | (VECTOR << O.NVME_CQ_IV_SHIFT);

let client: NvmeTestClient;
let queue: TestQueue;
let admin_interrupts: number;
beforeEach(() => {
  client = inline_client();
  client.enable();
  nvme_msix_program(client.cpu, VECTOR, TARGET, IRQ);
  queue = client.create_pair(1, 64, WITH_IRQ);
  admin_interrupts = nvme_controller_counters(client.cpu).interrupts;
});

function flush(count: number): void {
  for (let i = 0; i < count; i++) client.place(queue, { opcode: O.nvme_cmd_flush, nsid: 1 });
  client.ring(queue);
}

/** Interrupts of the I/O queue so far. */
function sent(): number {
  return nvme_controller_counters(client.cpu).interrupts - admin_interrupts;
}

/** Takes the pending bits of the target CPU. */
function pending(): number {
  return client.cpu.mem.exchange(irq_pending_word(client.cpu, TARGET), 0);
}

describe("interrupts", () => {
  it("a batch raises one, on the CPU and vector of the table", () => {
    flush(20);
    client.pump();
    expect(sent()).toBe(1);
    expect(pending()).toBe(1 << IRQ);
    expect(client.reap(queue)).toHaveLength(20);
  });

  it("a completion queue without IEN raises none", () => {
    const silent = client.create_pair(2, 16);
    admin_interrupts = nvme_controller_counters(client.cpu).interrupts;
    client.place(silent, { opcode: O.nvme_cmd_flush, nsid: 1 });
    client.ring(silent);
    client.pump();
    expect(client.reap(silent)).toHaveLength(1);
    expect(sent()).toBe(0);
  });

  it("INTMS holds it, INTMC lets it go", () => {
    nvme_mmio_write32(client.cpu, NVME_REG_INTMS, 1 << VECTOR);
    flush(1);
    client.pump();
    expect(pending()).toBe(0);
    expect(client.reap(queue)).toHaveLength(1);
    nvme_mmio_write32(client.cpu, NVME_REG_INTMC, 1 << VECTOR);
    client.pump();
    expect(pending()).toBe(1 << IRQ);
    expect(sent()).toBe(1);
  });

  it("the table's mask bit holds it, too, and several while masked become one", () => {
    const control = nvme_msix_entry(VECTOR) + MSIX_ENTRY_CTRL;
    client.cpu.mem.storeRelease(control, MSIX_CTRL_MASKED);
    for (let i = 0; i < 3; i++) {
      flush(1);
      client.pump();
    }
    expect(pending()).toBe(0);
    client.cpu.mem.storeRelease(control, 0);
    client.pump();
    expect(pending()).toBe(1 << IRQ);
    expect(sent()).toBe(1);
  });
});

describe("coalescing", () => {
  const set = { opcode: O.nvme_admin_set_features, cdw10: O.NVME_FEAT_IRQ_COALESCE };
  beforeEach(() => {
    // More than 4 entries, or 10 * 100 us.
    client.clock.time_ms = 5;
    expect(client.admin({ ...set, cdw11: (10 << 8) | 3 }).status).toBe(0);
    admin_interrupts = nvme_controller_counters(client.cpu).interrupts;
  });

  it("waits for the threshold", () => {
    flush(3);
    client.pump();
    expect(sent()).toBe(0);
    flush(1);
    client.pump();
    expect(sent()).toBe(1);
  });

  it("waits no longer than the time", () => {
    flush(1);
    client.pump();
    client.clock.time_ms += 0.5;
    client.pump();
    expect(sent()).toBe(0);
    client.clock.time_ms += 0.6;
    client.pump();
    expect(sent()).toBe(1);
    client.pump();
    expect(sent()).toBe(1);
  });

  it("a vector may be exempt", () => {
    const config = { opcode: O.nvme_admin_set_features, cdw10: O.NVME_FEAT_IRQ_CONFIG };
    client.admin({ ...config, cdw11: VECTOR | (1 << 16) });
    admin_interrupts = nvme_controller_counters(client.cpu).interrupts;
    flush(1);
    client.pump();
    expect(sent()).toBe(1);
  });
});
