/**
 * A command completes just when its time-out is handled: the block layer's request state machine, between a driver of
 * the shape of NVMe's and a device that is as late as can be.
 *
 * The rule: a request ends once. Completion and time-out both claim it (blk_mq_mark_complete); who comes second leaves
 * it alone. A time-out holds a reference, so the tag is not given to the next request while the handler looks at it.
 *
 * The driver here is smaller than the real one, which cannot be probed without its controller: its queue is one word,
 * its completion is nvme_poll_cq's, its time-out handler nvme_cancel_request's.
 */
import { blk_execute_rq_nowait, blk_mq_alloc_request } from "@ringside/core/block/execute";
import { blk_mq_destroy_queue, blk_mq_init_queue, blk_put_queue } from "@ringside/core/block/blk-mq";
import { blk_mq_complete_request, blk_mq_end_request, RQ_END_IO_FREE } from "@ringside/core/block/complete";
import type { RequestQueuePtr } from "@ringside/core/block/queue";
import { blk_mq_rq_to_pdu, type HctxPtr, type RequestPtr, rq_set_end_io } from "@ringside/core/block/request";
import { blk_mq_rq_state, MQ_RQ_IN_FLIGHT } from "@ringside/core/block/rq-state";
import { BLK_STS_OK, BLK_STS_TIMEOUT } from "@ringside/core/block/status";
import { blk_abort_request, BLK_EH_DONE, blk_mq_start_request } from "@ringside/core/block/timeout";
import { IS_ERR } from "@ringside/core/debug/errno";
import { kernel_rodata, kernel_static, kernel_symbol } from "@ringside/core/debug/image";
import { rcu_read_lock, rcu_read_unlock } from "@ringside/core/rcu/rcu";
import type { Cpu } from "@ringside/core/sched/cpu";
import { claim } from "./claim.ts";
import type { KernelScenario } from "./scenario.ts";

const STATE = kernel_static("check_disk", 64);
/** Constant after setup. */
const QUEUE = STATE;
/** The command that the device has from the start. */
const COMMAND = STATE + 4;
/** How often it ended. */
const ENDED = STATE + 8;

/** The driver's data of a request: what it is to end with. */
const STATUS = 0;
const CMD_SIZE = 4;

const OPS = kernel_rodata("check_disk_mq_ops", [
  kernel_symbol(disk_queue_rq),
  0,
  kernel_symbol(disk_complete_rq),
  0,
  kernel_symbol(disk_timeout),
  0,
  0,
]);
const END_IO = kernel_symbol(disk_end_io);

function disk_queue_rq(cpu: Cpu, _hctx: HctxPtr, rq: RequestPtr): number {
  cpu.mem.writeOnce(blk_mq_rq_to_pdu(rq) + STATUS, BLK_STS_OK);
  blk_mq_start_request(cpu, rq);
  cpu.mem.write(COMMAND, rq);
  return BLK_STS_OK;
}

/** blk_mq_ops.complete: for whoever has claimed it. */
function disk_complete_rq(cpu: Cpu, rq: RequestPtr): void {
  blk_mq_end_request(cpu, rq, cpu.mem.readOnce(blk_mq_rq_to_pdu(rq) + STATUS));
}

/** blk_mq_ops.timeout: as nvme_cancel_request. */
function disk_timeout(cpu: Cpu, rq: RequestPtr): number {
  if (blk_mq_rq_state(cpu, rq) !== MQ_RQ_IN_FLIGHT) return BLK_EH_DONE;
  cpu.mem.writeOnce(blk_mq_rq_to_pdu(rq) + STATUS, BLK_STS_TIMEOUT);
  blk_mq_complete_request(cpu, rq);
  return BLK_EH_DONE;
}

function disk_end_io(cpu: Cpu, _rq: RequestPtr, _status: number): number {
  claim(cpu.mem.fetchAdd(ENDED, 1) === 0, "the request ended twice");
  return RQ_END_IO_FREE;
}

function setup(cpu: Cpu): void {
  const q = blk_mq_init_queue(cpu, {
    ops: OPS,
    nr_hw_queues: 1,
    nr_poll_queues: 0,
    queue_depth: 1,
    cmd_size: CMD_SIZE,
    driver_data: 0,
    limits: {
      max_hw_bytes: 4096,
      logical_block_size: 512,
      dma_alignment: 3,
      virt_boundary_mask: 4095,
      max_segments: 1,
      features: 0,
    },
  });
  cpu.mem.write(QUEUE, q);
  send(cpu, q);
}

function send(cpu: Cpu, q: RequestQueuePtr): void {
  const rq = blk_mq_alloc_request(cpu, q, 0, 0);
  claim(!IS_ERR(rq), "no request");
  rq_set_end_io(cpu, rq, END_IO, 0);
  blk_execute_rq_nowait(cpu, rq, false);
}

function command(cpu: Cpu): RequestPtr {
  return cpu.mem.read(COMMAND) as RequestPtr;
}

/** The device's interrupt: what it has is complete. A read section, as handlers are. */
function device(cpu: Cpu): void {
  rcu_read_lock(cpu);
  blk_mq_complete_request(cpu, command(cpu));
  rcu_read_unlock(cpu);
}

/** A driver that ends what the device has completed without asking whether somebody else has. */
function careless_device(cpu: Cpu): void {
  const rq = command(cpu);
  rcu_read_lock(cpu);
  if (blk_mq_rq_state(cpu, rq) === MQ_RQ_IN_FLIGHT) blk_mq_end_request(cpu, rq, BLK_STS_OK);
  rcu_read_unlock(cpu);
}

/** The command is late: its time-out is handled as soon as a worker comes to it. */
function watchdog(cpu: Cpu): void {
  blk_abort_request(cpu, command(cpu));
}

function lastly(cpu: Cpu): void {
  const q = cpu.mem.read(QUEUE) as RequestQueuePtr;
  blk_mq_destroy_queue(cpu, q);
  blk_put_queue(cpu, q);
  claim(cpu.mem.read(ENDED) === 1, "the request never ended");
}

export const nvme_timeout: KernelScenario = {
  kind: "kernel",
  name: "nvme-timeout",
  summary: "a command completes just when its time-out is handled",
  setup,
  kworkers: 1,
  focus: [
    "packages/core/src/block/rq-state",
    "packages/core/src/block/queue#queue_iterated",
    "scenarios/src/check",
  ],
  forms: {
    correct: {
      summary: "completion and time-out claim the request; one of them ends it",
      expect: "clean",
      threads: { device, watchdog },
      lastly,
    },
    "no-claim": {
      summary: "the driver looks whether the request is in flight and ends it, without claiming it",
      expect: "assertion",
      threads: { device: careless_device, watchdog },
      lastly,
    },
    "two-step-claim": {
      summary: "claiming is a look and a store: completion and time-out both get it",
      expect: "assertion",
      mutant: "block-claim-in-two-steps",
      threads: { device, watchdog },
      lastly,
    },
    "no-grace-period": {
      summary: "the time-out handler walks the tags before it knows that everybody claims in one step",
      expect: "assertion",
      mutant: "block-walk-without-grace-period",
      threads: { device, watchdog },
      lastly,
    },
  },
};
