/** Rings: phase, wrap, full queues, arbitration. RollChk and the full-queue cases follow tnvme's groups. */
import { beforeEach, describe, expect, it } from "vitest";
import * as O from "../spec/opcodes.ts";
import { nvme_status_text } from "../spec/status.ts";
import { inline_client, type NvmeTestClient, type TestQueue } from "../testing/client.ts";
import { nvme_controller_counters } from "./counters.ts";

let client: NvmeTestClient;
beforeEach(() => {
  client = inline_client();
  client.enable();
});

const FLUSH = { opcode: O.nvme_cmd_flush, nsid: 1 };

function flush(queue: TestQueue, count: number): number[] {
  const cids: number[] = [];
  for (let i = 0; i < count; i++) cids.push(client.place(queue, FLUSH));
  client.ring(queue);
  return cids;
}

describe("phase", () => {
  it.each([2, 3, 4, 17, 64, 300])("inverts at each wrap of %i entries (RollChk)", (entries) => {
    const queue = client.create_pair(1, entries);
    for (let round = 0; round < entries * 3 + 1; round++) {
      const cid = client.place(queue, FLUSH);
      client.ring(queue);
      const done = client.await_completion(queue);
      expect(done).toMatchObject({ cid, status: 0, sq_id: 1, sq_head: queue.tail });
    }
  });

  it("a host that ignores it believes stale entries", () => {
    const queue = client.create_pair(1, 4);
    flush(queue, 3);
    client.pump();
    expect(client.reap(queue)).toHaveLength(3);
    client.ignore_phase = true;
    // Nothing is outstanding, yet the fourth slot and then the old ones look like completions.
    expect(client.reap(queue).length).toBeGreaterThan(0);
    client.ignore_phase = false;
  });

  it("the admin queue wraps, too", () => {
    for (let i = 0; i < 100; i++) {
      const done = client.admin({ opcode: O.nvme_admin_get_features, cdw10: O.NVME_FEAT_KATO });
      expect(done.cid).toBe(i);
    }
  });
});

describe("full queues", () => {
  it("a full submission queue is taken whole", () => {
    const queue = client.create_pair(1, 16);
    const cids = flush(queue, 15);
    client.pump();
    expect(client.reap(queue).map((done) => done.cid)).toEqual(cids);
  });

  it("completions past the last free entry are withheld until the host makes room", () => {
    const queue = client.create_pair(1, 4);
    expect(nvme_status_text(client.create_sq(2, 16, 1, { prp1: client.alloc(4096) }).status)).toContain(
      "SUC",
    );
    flush(queue, 3);
    client.pump();
    flush(queue, 2);
    client.pump();
    const first = [0, 1, 2].map(() => {
      const done = client.peek(queue);
      client.consume(queue);
      return done?.cid;
    });
    expect(first).toEqual([0, 1, 2]);
    // The ring is full as the device knows it: the fourth slot must still be the old, empty one.
    expect(client.peek(queue)).toBeUndefined();
    client.pump();
    expect(client.peek(queue)).toBeUndefined();
    client.ring_head(queue);
    client.pump();
    expect(client.reap(queue).map((done) => done.cid)).toEqual([3, 4]);
  });

  it("one freed entry lets one completion through", () => {
    const queue = client.create_pair(1, 3);
    flush(queue, 2);
    client.pump();
    flush(queue, 2);
    client.pump();
    client.consume(queue);
    client.ring_head(queue);
    client.pump();
    client.consume(queue);
    expect(client.peek(queue)?.cid).toBe(2);
    client.consume(queue);
    expect(client.peek(queue)).toBeUndefined();
    client.ring_head(queue);
    client.pump();
    expect(client.reap(queue).map((done) => done.cid)).toEqual([3]);
  });

  it("the admin completion queue is never overrun (adminQFull)", () => {
    const admin = client.admin_queue;
    for (let i = 0; i < 31; i++) client.place(admin, { opcode: O.nvme_admin_get_features, cdw10: 0x0f });
    client.ring(admin);
    client.pump();
    const reaped: number[] = [];
    for (let i = 0; i < 31; i++) {
      reaped.push(client.peek(admin)?.cid ?? -1);
      client.consume(admin);
    }
    client.place(admin, { opcode: O.nvme_admin_get_features, cdw10: 0x0f });
    client.ring(admin);
    client.pump();
    expect(client.peek(admin)).toBeUndefined();
    expect(reaped).toEqual(Array.from({ length: 31 }, (_, i) => i));
    client.ring_head(admin);
    expect(client.await_completion(admin).cid).toBe(31);
  });
});

describe("arbitration", () => {
  it("is round robin with a burst: a full queue does not starve the others", () => {
    const a = client.create_pair(1, 256);
    const b = client.create_pair(2, 256);
    flush(a, 200);
    flush(b, 10);
    client.controller?.step();
    expect(client.reap(a)).toHaveLength(32);
    expect(client.reap(b)).toHaveLength(10);
    client.pump();
    expect(client.reap(a)).toHaveLength(168);
  });

  it("every completion is counted before it is seen", () => {
    const queue = client.create_pair(1, 64);
    flush(queue, 40);
    client.pump();
    expect(client.reap(queue)).toHaveLength(40);
    expect(nvme_controller_counters(client.cpu)).toMatchObject({ ioCommands: 40, flushes: 40, errors: 0 });
  });

  it("deleting a submission queue completes what it never fetched as aborted", () => {
    const queue = client.create_pair(1, 8);
    // Both rung before the device looks: it works on the admin queue first.
    flush(queue, 5);
    client.controller?.step();
    expect(client.reap(queue)).toHaveLength(5);
    flush(queue, 3);
    client.place(client.admin_queue, { opcode: O.nvme_admin_delete_sq, cdw10: 1 });
    client.ring(client.admin_queue);
    client.pump();
    const statuses = client.reap(queue).map((done) => nvme_status_text(done.status));
    expect(statuses).toEqual(["0/08h ABORT_QUEUE", "0/08h ABORT_QUEUE", "0/08h ABORT_QUEUE"]);
    expect(client.await_completion(client.admin_queue).status).toBe(0);
  });
});
