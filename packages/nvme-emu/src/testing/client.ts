/**
 * A register-level host: it knows BAR0, rings and memory, and nothing of the driver. What a conformance
 * program on bare metal would be.
 *
 * Interface: `const client = inline_client()` steps the device on this thread whenever it waits; or
 * `new NvmeTestClient(cpu)` talks to a device that runs elsewhere. Then client.enable(), client.admin({...}),
 * client.create_pair(1), client.io(1, {...}).
 */
import type { Cpu } from "@ringside/core/sched/cpu";
import { NvmeController } from "../controller/controller.ts";
import {
  NVME_BAR0,
  nvme_cq_doorbell,
  nvme_mmio_read32,
  nvme_mmio_write32,
  nvme_mmio_write64,
  nvme_ring_cq_head,
  nvme_ring_device,
  nvme_sq_doorbell,
} from "../spec/bar.ts";
import * as E from "../spec/entries.ts";
import * as O from "../spec/opcodes.ts";
import * as R from "../spec/registers.ts";
import { NVME_SCT_SC_MASK, nvme_status_text } from "../spec/status.ts";
import { boot_host, join_device, machine_parts, type MachineParts, TestClock } from "./machine.ts";

/** Fields of a command; what is absent is 0. */
export interface TestCommand {
  readonly opcode: number;
  readonly fuse?: number;
  readonly psdt?: number;
  readonly cid?: number;
  readonly nsid?: number;
  readonly prp1?: number;
  readonly prp2?: number;
  readonly cdw10?: number;
  readonly cdw11?: number;
  readonly cdw12?: number;
  readonly cdw13?: number;
}

export interface TestCompletion {
  readonly cid: number;
  /** SCT and SC: what nvme_status_text prints. */
  readonly status: number;
  readonly result: number;
  readonly sq_head: number;
  readonly sq_id: number;
}

/** A queue pair as the host sees it. */
export class TestQueue {
  readonly qid: number;
  readonly sq: number;
  readonly cq: number;
  readonly entries: number;
  tail: number = 0;
  head: number = 0;
  phase: number = 1;
  next_cid: number = 0;

  constructor(qid: number, sq: number, cq: number, entries: number) {
    this.qid = qid;
    this.sq = sq;
    this.cq = cq;
    this.entries = entries;
  }
}

const PATIENCE = 20_000;

export class NvmeTestClient {
  readonly cpu: Cpu;
  /** Inline device, if any. */
  readonly controller: NvmeController | undefined;
  readonly clock: TestClock;
  admin_queue: TestQueue;
  readonly queues: Map<number, TestQueue> = new Map<number, TestQueue>();
  /** Negative control: believe every entry, whatever its phase. */
  ignore_phase: boolean = false;
  /** Where memory comes from in a machine whose page allocator is in use. */
  alloc_pages: ((bytes: number) => number) | undefined;
  /** Maps fresh memory for the device; without it DMA addresses are memory addresses. */
  map_dma: ((p: number, bytes: number) => number) | undefined;
  private readonly mapped: Map<number, number> = new Map<number, number>();
  private next_free: number;

  constructor(cpu: Cpu, controller?: NvmeController, clock: TestClock = new TestClock()) {
    this.cpu = cpu;
    this.controller = controller;
    this.clock = clock;
    this.next_free = cpu.map.pages;
    this.admin_queue = new TestQueue(0, 0, 0, 0);
  }

  /** Zeroed pages. */
  alloc(bytes: number): number {
    const size = Math.ceil(bytes / 4096) * 4096;
    let p = this.next_free;
    if (this.alloc_pages !== undefined) p = this.alloc_pages(size);
    else this.next_free += size;
    if (p === 0 || p + size > this.cpu.map.pages_end) throw new Error("test client: out of memory");
    this.cpu.mem.memset(p, 0, size);
    if (this.map_dma !== undefined) this.mapped.set(p, this.map_dma(p, size));
    return p;
  }

  /** The DMA address of what alloc returned. */
  dma(p: number): number {
    return this.mapped.get(p) ?? p;
  }

  /** Lets the device work until it has nothing to do, or waits a moment for the one that runs elsewhere. */
  pump(): void {
    if (this.controller === undefined) this.cpu.mem.wait(this.cpu.map.pages_end - 4, 0, 0.2);
    else while (this.controller.step());
  }

  private wait_csts(mask: number, value: number): number {
    for (let i = 0; i < PATIENCE; i++) {
      this.pump();
      const csts = nvme_mmio_read32(this.cpu, R.NVME_REG_CSTS);
      if ((csts & mask) === value || (csts & R.NVME_CSTS_CFS) !== 0) return csts;
    }
    throw new Error("test client: CSTS does not change");
  }

  /** Sets up the admin queue and enables the controller. Returns CSTS. */
  enable(entries: number = 32, cc: number = R.NVME_CC_IOSQES | R.NVME_CC_IOCQES): number {
    const bytes = entries * E.NVME_SQE_SIZE;
    this.queues.clear();
    this.admin_queue = new TestQueue(0, this.alloc(bytes), this.alloc(entries * E.NVME_CQE_SIZE), entries);
    this.queues.set(0, this.admin_queue);
    const size = entries - 1;
    nvme_mmio_write32(this.cpu, R.NVME_REG_AQA, size | (size << R.NVME_AQA_ACQS_SHIFT));
    nvme_mmio_write64(this.cpu, R.NVME_REG_ASQ, this.dma(this.admin_queue.sq));
    nvme_mmio_write64(this.cpu, R.NVME_REG_ACQ, this.dma(this.admin_queue.cq));
    nvme_mmio_write32(this.cpu, R.NVME_REG_CC, cc | R.NVME_CC_ENABLE);
    return this.wait_csts(R.NVME_CSTS_RDY, R.NVME_CSTS_RDY);
  }

  /** Clears CC.EN. Returns CSTS. */
  disable(): number {
    nvme_mmio_write32(this.cpu, R.NVME_REG_CC, nvme_mmio_read32(this.cpu, R.NVME_REG_CC) & ~R.NVME_CC_ENABLE);
    return this.wait_csts(R.NVME_CSTS_RDY, 0);
  }

  shutdown(): number {
    const cc = nvme_mmio_read32(this.cpu, R.NVME_REG_CC);
    nvme_mmio_write32(this.cpu, R.NVME_REG_CC, cc | R.NVME_CC_SHN_NORMAL);
    return this.wait_csts(R.NVME_CSTS_SHST_MASK, R.NVME_CSTS_SHST_CMPLT);
  }

  queue(qid: number): TestQueue {
    const queue = this.queues.get(qid);
    if (queue === undefined) throw new Error(`test client: no queue ${qid}`);
    return queue;
  }

  /** Writes a command into the ring, without the doorbell. Returns its id. */
  place(queue: TestQueue, command: TestCommand): number {
    const { mem } = this.cpu;
    const cid = command.cid ?? queue.next_cid++ & 0xffff;
    const p = queue.sq + queue.tail * E.NVME_SQE_SIZE;
    mem.memset(p, 0, E.NVME_SQE_SIZE);
    mem.write8(p + E.SQE_OPCODE, command.opcode);
    mem.write8(p + E.SQE_FLAGS, (command.fuse ?? 0) | ((command.psdt ?? 0) << 6));
    mem.write16(p + E.SQE_CID, cid);
    mem.write(p + E.SQE_NSID, command.nsid ?? 0);
    mem.write64(p + E.SQE_PRP1, command.prp1 ?? 0);
    mem.write64(p + E.SQE_PRP2, command.prp2 ?? 0);
    mem.write(p + E.SQE_CDW10, command.cdw10 ?? 0);
    mem.write(p + E.SQE_CDW11, command.cdw11 ?? 0);
    mem.write(p + E.SQE_CDW12, command.cdw12 ?? 0);
    mem.write(p + E.SQE_CDW13, command.cdw13 ?? 0);
    queue.tail = (queue.tail + 1) % queue.entries;
    return cid;
  }

  /** Rings the tail doorbell. */
  ring(queue: TestQueue): void {
    this.cpu.mem.storeRelease(nvme_sq_doorbell(queue.qid), queue.tail);
    nvme_ring_device(this.cpu);
  }

  /** The completion at the head, if its phase says it is new. */
  peek(queue: TestQueue): TestCompletion | undefined {
    const p = queue.cq + queue.head * E.NVME_CQE_SIZE;
    const dw3 = this.cpu.mem.loadAcquire(p + E.CQE_DW3);
    if (((dw3 >>> 16) & 1) !== queue.phase && !this.ignore_phase) return undefined;
    return {
      cid: dw3 & 0xffff,
      status: (dw3 >>> E.CQE_DW3_STATUS_SHIFT) & NVME_SCT_SC_MASK,
      result: this.cpu.mem.read(p + E.CQE_RESULT) >>> 0,
      sq_head: this.cpu.mem.read16(p + E.CQE_SQ_HEAD),
      sq_id: this.cpu.mem.read16(p + E.CQE_SQ_ID),
    };
  }

  /** Consumes one entry without telling the device. */
  consume(queue: TestQueue): void {
    if (++queue.head < queue.entries) return;
    queue.head = 0;
    queue.phase ^= 1;
  }

  /** Tells the device which entries were consumed. */
  ring_head(queue: TestQueue): void {
    this.cpu.mem.storeRelease(nvme_cq_doorbell(queue.qid), queue.head);
    nvme_ring_cq_head(this.cpu);
  }

  /** All completions there are now; the head doorbell is rung once. */
  reap(queue: TestQueue): TestCompletion[] {
    const found: TestCompletion[] = [];
    for (let entry = this.peek(queue); entry !== undefined; entry = this.peek(queue)) {
      found.push(entry);
      this.consume(queue);
      if (found.length >= queue.entries) break;
    }
    if (found.length > 0) this.ring_head(queue);
    return found;
  }

  /** Waits for the next completion of a queue. */
  await_completion(queue: TestQueue): TestCompletion {
    for (let i = 0; i < PATIENCE; i++) {
      this.pump();
      const entry = this.peek(queue);
      if (entry === undefined) continue;
      this.consume(queue);
      this.ring_head(queue);
      return entry;
    }
    throw new Error(`test client: no completion on queue ${queue.qid}`);
  }

  /** One command, waited for. */
  run(queue: TestQueue, command: TestCommand): TestCompletion {
    this.place(queue, command);
    this.ring(queue);
    return this.await_completion(queue);
  }

  admin(command: TestCommand): TestCompletion {
    return this.run(this.admin_queue, command);
  }

  /** As admin, but only the status as text: "0/00h SUCCESS". */
  admin_status(command: TestCommand): string {
    return nvme_status_text(this.admin(command).status);
  }

  io(qid: number, command: TestCommand): TestCompletion {
    return this.run(this.queue(qid), { nsid: 1, ...command });
  }

  io_status(qid: number, command: TestCommand): string {
    return nvme_status_text(this.io(qid, command).status);
  }

  create_cq(qid: number, size: number, extra: Partial<TestCommand> = {}): TestCompletion {
    return this.admin({
      opcode: O.nvme_admin_create_cq,
      prp1: this.dma(this.alloc(size * E.NVME_CQE_SIZE)),
      cdw10: qid | ((size - 1) << 16),
      cdw11: O.NVME_QUEUE_PHYS_CONTIG,
      ...extra,
    });
  }

  create_sq(qid: number, size: number, cqid: number, extra: Partial<TestCommand> = {}): TestCompletion {
    return this.admin({
      opcode: O.nvme_admin_create_sq,
      prp1: this.dma(this.alloc(size * E.NVME_SQE_SIZE)),
      cdw10: qid | ((size - 1) << 16),
      cdw11: O.NVME_QUEUE_PHYS_CONTIG | (cqid << O.NVME_SQ_CQID_SHIFT),
      ...extra,
    });
  }

  /** A working I/O queue pair, with interrupts as `cdw11` of the completion queue says. */
  create_pair(qid: number, entries: number = 64, cq_flags: number = O.NVME_QUEUE_PHYS_CONTIG): TestQueue {
    const cq = this.alloc(entries * E.NVME_CQE_SIZE);
    const sq = this.alloc(entries * E.NVME_SQE_SIZE);
    const made_cq = this.create_cq(qid, entries, { prp1: this.dma(cq), cdw11: cq_flags });
    const made_sq = this.create_sq(qid, entries, qid, { prp1: this.dma(sq) });
    if (made_cq.status !== 0 || made_sq.status !== 0) throw new Error("test client: no queue pair");
    const queue = new TestQueue(qid, sq, cq, entries);
    this.queues.set(qid, queue);
    return queue;
  }

  delete_queue(opcode: number, qid: number): string {
    return this.admin_status({ opcode, cdw10: qid });
  }

  register(offset: number): number {
    return nvme_mmio_read32(this.cpu, offset);
  }

  /** Address of BAR0, for tests that poke at it. */
  bar(): number {
    return NVME_BAR0;
  }
}

/** A machine whose device is stepped by the client itself. */
export function inline_client(parts: MachineParts = machine_parts()): NvmeTestClient {
  const clock = new TestClock();
  const cpu = boot_host(parts, clock);
  const controller = new NvmeController(join_device(parts, clock), cpu.map.media, parts.config.media);
  return new NvmeTestClient(cpu, controller, clock);
}
