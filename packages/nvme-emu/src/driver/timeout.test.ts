/** Commands that take too long: a lost interrupt, an Abort, a command that stays away, cancelling, lost completions. */
import { expect, test } from "vitest";
import { bdev_get_queue, disk_part0 } from "@ringside/core/block/disk";
import { HCTX_TYPE_DEFAULT, queue_hctx, type RequestQueuePtr } from "@ringside/core/block/queue";
import { type HctxPtr, hctx_tags } from "@ringside/core/block/request";
import { blk_mq_tags_busy } from "@ringside/core/block/tags";
import { FAULT_IO_TIMEOUT, fault_arm, fault_hits } from "@ringside/core/debug/fault-inject";
import { dmesg_read } from "@ringside/core/debug/dmesg";
import { __get_free_pages } from "@ringside/core/mm/page-alloc";
import { GFP_KERNEL } from "@ringside/core/mm/slab";
import { msleep } from "@ringside/core/sched/delay";
import { dmesg, type SoloPlatform } from "@ringside/core/testing/solo";
import { cond_resched } from "@ringside/core/sched/schedule";
import type { NvmeController } from "../controller/controller.ts";
import { MSIX_CTRL_MASKED, MSIX_ENTRY_CTRL, nvme_msix_entry } from "../spec/bar.ts";
import { DriverMachine } from "../testing/driver-machine.ts";
import { nvme_disk } from "./dev.ts";
import { NVME_IO_TIMEOUT, nvme_cancel_tagset } from "./timeout.ts";

class TimeoutMachine extends DriverMachine {
  readonly buffer: number;
  private back: number = Number.POSITIVE_INFINITY;
  readonly platform: SoloPlatform & { controller: NvmeController | undefined };
  constructor() {
    super();
    if (this.probe() !== 0 || this.open() < 0) throw new Error("no disk");
    this.platform = this.cpu.platform as SoloPlatform & { controller: NvmeController | undefined };
    this.buffer = __get_free_pages(this.cpu, GFP_KERNEL, 0);
    const idle = this.platform.idle.bind(this.platform);
    this.platform.idle = (cpu): boolean => {
      if (this.platform.time_ms >= this.back) this.attach();
      return idle(cpu);
    };
  }
  get q(): RequestQueuePtr {
    return bdev_get_queue(this.cpu, disk_part0(nvme_disk(this.cpu)));
  }
  busy(): number {
    const hctx = queue_hctx(this.cpu, this.q, HCTX_TYPE_DEFAULT, 0) as HctxPtr;
    return blk_mq_tags_busy(this.cpu, hctx_tags(this.cpu, hctx));
  }
  start(): void {
    this.read(0, { bvecs: [[this.buffer, 4096]] });
  }
  /** The device does nothing until it is back, by itself after `ms`. */
  detach(ms: number = Number.POSITIVE_INFINITY): void {
    this.platform.controller = undefined;
    this.back = this.platform.time_ms + ms;
  }
  attach(): void {
    this.platform.controller = this.controller;
    this.back = Number.POSITIVE_INFINITY;
  }
  /** Lets time pass at once, then the works run that are due. */
  later(ms: number): void {
    this.platform.time_ms += ms;
    cond_resched(this.cpu);
    msleep(this.cpu, 30);
  }
  log(): string {
    return dmesg_read(this.cpu, 0)
      .map((record) => record.text)
      .join("\n");
  }
}

test("a command whose interrupt is lost is found by polling", () => {
  const m = new TimeoutMachine();
  m.cpu.mem.write(nvme_msix_entry(1) + MSIX_ENTRY_CTRL, MSIX_CTRL_MASKED);
  m.start();
  m.settle();
  expect([m.completions(), m.busy()]).toEqual([[], 1]);
  m.later(NVME_IO_TIMEOUT - 1000);
  expect(m.completions()).toEqual([]);
  m.later(2000);
  expect([m.completions(), m.busy()]).toEqual([[4096], 0]);
  expect(dmesg(m.cpu).join()).toMatch(
    /I\/O tag \d+ \(\w{4}\) opcode 0x2 \(Read\) QID 1 timeout, completion polled/,
  );
  m.cpu.mem.write(nvme_msix_entry(1) + MSIX_ENTRY_CTRL, 0);
  m.start();
  m.settle();
  expect(m.completions(), "interrupts work again").toEqual([4096]);
});

test("a command that is late is aborted once, and completes when the device comes back", () => {
  const m = new TimeoutMachine();
  m.detach(NVME_IO_TIMEOUT + 500);
  m.start();
  m.later(NVME_IO_TIMEOUT + 2);
  expect(dmesg(m.cpu).join()).toMatch(/QID 1 timeout, aborting req_op:READ\(0\) size:4096/);
  m.settle();
  expect([m.completions(), m.busy()]).toEqual([[4096], 0]);
  expect(m.log()).toMatch(/Abort status: 0x0/);
  expect(dmesg(m.cpu)).toHaveLength(1);
  m.remove();
});

test("a command that stays away is reported again and again, and never ended", () => {
  const m = new TimeoutMachine();
  m.detach();
  m.start();
  for (let i = 0; i < 2; i++) m.later(NVME_IO_TIMEOUT + 2);
  expect(dmesg(m.cpu).join()).toMatch(/QID 1 timeout, reset controller: not supported/);
  expect([m.completions(), m.busy()]).toEqual([[], 1]);
  m.attach();
  msleep(m.cpu, 30);
  m.settle();
  expect([m.completions(), m.busy()]).toEqual([[4096], 0]);
});

test("cancelled commands are tried again; the device's old completions are ignored", () => {
  const m = new TimeoutMachine();
  m.detach();
  m.start();
  m.start();
  nvme_cancel_tagset(m.cpu, m.q);
  expect(m.completions()).toEqual([]);
  m.attach();
  msleep(m.cpu, 30);
  m.settle();
  expect([m.completions(), m.busy()]).toEqual([[4096, 4096], 0]);
  expect(dmesg(m.cpu).filter((text) => text.includes("genctr mismatch"))).toHaveLength(2);
});

test("a completion that is swallowed (fail_io_timeout) leaves the command to its time-out", () => {
  const m = new TimeoutMachine();
  fault_arm(m.cpu, FAULT_IO_TIMEOUT, { times: 1 });
  m.start();
  m.settle();
  expect([m.completions(), fault_hits(m.cpu, FAULT_IO_TIMEOUT), m.busy()]).toEqual([[], 1, 1]);
  m.later(NVME_IO_TIMEOUT + 2);
  expect(dmesg(m.cpu).join()).toMatch(/timeout, aborting/);
  // What a controller reset will do.
  nvme_cancel_tagset(m.cpu, m.q);
  msleep(m.cpu, 30);
  m.settle();
  expect([m.completions(), m.busy()]).toEqual([[4096], 0]);
});
