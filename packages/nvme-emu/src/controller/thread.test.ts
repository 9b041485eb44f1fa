/** The controller on a thread of its own: sleeping, waking, stopping, and data under concurrency. */
import "../testing/image.ts";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Cpu } from "@ringside/core/sched/cpu";
import { device_cpu_id } from "@ringside/core/mm/memory-map";
import { task_is_sleeping, task_of_cpu } from "@ringside/core/sched/task";
import * as O from "../spec/opcodes.ts";
import { NVME_CQ_WITHHELD } from "../spec/bar.ts";
import { NvmeTestClient, TestQueue } from "../testing/client.ts";
import { type DeviceThread, start_device } from "../testing/device-thread.ts";
import { boot_host, machine_parts } from "../testing/machine.ts";
import { nvme_controller_counters } from "./counters.ts";

let client: NvmeTestClient;
let cpu: Cpu;
let device: DeviceThread;
beforeEach(() => {
  const parts = machine_parts();
  cpu = boot_host(parts);
  client = new NvmeTestClient(cpu);
  device = start_device(parts);
  client.enable();
});
afterEach(() => device.end());

function asleep(): boolean {
  return task_is_sleeping(cpu, task_of_cpu(cpu, device_cpu_id(cpu.config)));
}

/** Reaps without sleeping: the device is a core away. */
function spin_reap(queue: TestQueue, wanted: number): number {
  let found = 0;
  for (let i = 0; i < 1e7 && found < wanted; i++) {
    found += client.reap(queue).length;
    cpu.mem.pause();
  }
  return found;
}

describe("the device thread", () => {
  it("identifies itself, then sleeps when idle and wakes for a doorbell, again and again", () => {
    const queue = client.create_pair(1);
    let slept = 0;
    for (let round = 0; round < 50; round++) {
      for (let i = 0; i < 100 && !asleep(); i++) client.pump();
      if (asleep()) slept++;
      expect(client.run(queue, { opcode: O.nvme_cmd_flush, nsid: 1 }).status).toBe(0);
    }
    expect(slept).toBeGreaterThan(25);
  });

  it("writes and reads back 4 KiB blocks in batches, completions in every order of phases", () => {
    const queue = client.create_pair(1, 33);
    const buffers = Array.from({ length: 32 }, () => client.alloc(4096));
    for (let round = 0; round < 200; round++) {
      const is_write = round % 2 === 0;
      buffers.forEach((p, i) => {
        cpu.mem.memset(p, is_write ? (round + i) & 0xff : 0, 4096);
        const opcode = is_write ? O.nvme_cmd_write : O.nvme_cmd_read;
        client.place(queue, { opcode, nsid: 1, prp1: p, cdw10: i * 8, cdw12: 7 });
      });
      client.ring(queue);
      expect(spin_reap(queue, 32)).toBe(32);
      if (!is_write) buffers.forEach((p, i) => expect(cpu.mem.read8(p + 4095)).toBe((round - 1 + i) & 0xff));
    }
    expect(nvme_controller_counters(cpu)).toMatchObject({ ioCommands: 6400, reads: 3200, writes: 3200 });
  });

  it("a full completion queue wakes it again: no completion is lost", () => {
    const cq = client.alloc(4096);
    const sq = client.alloc(64 * 64);
    client.create_cq(1, 3, { prp1: cq });
    client.create_sq(1, 64, 1, { prp1: sq });
    const submit = new TestQueue(1, sq, 0, 64);
    const complete = new TestQueue(1, 0, cq, 3);
    let done = 0;
    for (let round = 0; round < 100; round++) {
      const batch = 1 + (round % 60);
      for (let i = 0; i < batch; i++) client.place(submit, { opcode: O.nvme_cmd_flush, nsid: 1 });
      client.ring(submit);
      for (let i = 0; i < batch; i++) expect(client.await_completion(complete).cid).toBe(done++ & 0xffff);
    }
    expect(client.cpu.mem.read(NVME_CQ_WITHHELD)).toBe(0);
  });

  it("resets while it is asleep and while it works", () => {
    for (let round = 0; round < 10; round++) {
      const queue = client.create_pair(1, 64);
      for (let i = 0; i < 60; i++) client.place(queue, { opcode: O.nvme_cmd_flush, nsid: 1 });
      client.ring(queue);
      client.disable();
      client.enable();
    }
  });

  it("returns when kernel threads are told to stop", async () => {
    client.create_pair(1);
    await device.stop(cpu);
    expect(client.register(0x1c)).toBe(0);
  });
});
