/**
 * What the controller knows: its queues, features and counters. Private to its thread: nobody else can see
 * or change it, so these are ordinary fields. Host memory is not here; it is reached through dma.ts only.
 */
import { Iotlb } from "@ringside/core/dma/iommu-device";
import type { DevicePtr } from "@ringside/core/dma/device";
import { kernel_static } from "@ringside/core/debug/image";
import { NVME_MAX_QUEUES, nvme_cq_doorbell, nvme_sq_doorbell } from "../spec/bar.ts";
import { NVME_DEVICE } from "../spec/device.ts";

/** Bytes of a logical block. */
export const NVME_LBA_SIZE = 512;
export const NVME_LBA_SHIFT = 9;
/** Namespaces: number 1 exists; 2 ... NN are valid and inactive. */
export const NVME_NSID = 1;
export const NVME_NN = 16;
/** MDTS: 2^10 pages of 4 KiB, 4 MiB: PRP lists of more than one page occur. */
export const NVME_MDTS = 10;
export const NVME_MDTS_BYTES: number = 4096 << NVME_MDTS;
/** Zero-based: four asynchronous event requests, four aborts, 64 error log entries. */
export const NVME_AERL = 3;
export const NVME_ACL = 3;
export const NVME_ELPE = 63;

/** A page of the device's own memory, where identify data and log pages are built before the DMA. */
const SCRATCH = kernel_static("nvme_device_scratch", 4096);

export class NvmeCq {
  readonly qid: number;
  /** DMA address of entry 0; page aligned. */
  readonly base: number;
  readonly entries: number;
  readonly vector: number;
  readonly irq_enabled: boolean;
  /** Address of the head doorbell. */
  readonly doorbell: number;
  /** Last head the host wrote that made sense. */
  head: number = 0;
  /** Next slot to post, and the phase to post it with. */
  tail: number = 0;
  phase: number = 1;
  /** Last doorbell word looked at, sensible or not. */
  seen: number = 0;
  /** Submission queues that complete here. */
  users: number = 0;
  /** Entries posted since the last interrupt, and when the first of them was kept back; 0: none is. */
  fresh: number = 0;
  fresh_since: number = 0;
  /** Page of the ring last translated, its address, and the translation epoch it belongs to. */
  window_page: number = -1;
  window: number = 0;
  window_epoch: number = -1;

  constructor(qid: number, base: number, entries: number, vector: number, irq_enabled: boolean) {
    this.qid = qid;
    this.base = base;
    this.entries = entries;
    this.vector = vector;
    this.irq_enabled = irq_enabled;
    this.doorbell = nvme_cq_doorbell(qid);
  }
}

export class NvmeSq {
  readonly qid: number;
  readonly base: number;
  readonly entries: number;
  readonly cq: NvmeCq;
  /** Address of the tail doorbell. */
  readonly doorbell: number;
  /** Next entry to fetch. */
  head: number = 0;
  /** Private copy of the last tail that made sense. */
  tail: number = 0;
  seen: number = 0;

  constructor(qid: number, base: number, entries: number, cq: NvmeCq) {
    this.qid = qid;
    this.base = base;
    this.entries = entries;
    this.cq = cq;
    this.doorbell = nvme_sq_doorbell(qid);
  }
}

/** One entry of the error information log. */
export class NvmeErrorEntry {
  error_count: number = 0;
  sqid: number = 0;
  cmdid: number = 0;
  status_field: number = 0;
  lba: number = 0;
  nsid: number = 0;
}

export class NvmeCtrl {
  readonly dev: DevicePtr = NVME_DEVICE;
  tlb: Iotlb = new Iotlb();
  /** It has a thread of its own, so unmaps wait for its answer; else somebody calls step(). */
  readonly threaded: boolean;
  readonly scratch: number = SCRATCH;
  readonly media: number;
  /** Size of the namespace in logical blocks. */
  readonly blocks: number;

  /** CC as last acted upon, and CSTS as last published. */
  cc: number = 0;
  csts: number = 0;
  /** CSTS.RDY and neither failed nor shut down: queues are processed. */
  running: boolean = false;
  /** Grows whenever translations may have changed. */
  epoch: number = 0;

  admin: NvmeSq | undefined;
  /** By queue id; index 0 is the admin queue. */
  readonly sqs: (NvmeSq | undefined)[] = Array.from({ length: NVME_MAX_QUEUES });
  readonly cqs: (NvmeCq | undefined)[] = Array.from({ length: NVME_MAX_QUEUES });
  /** The I/O submission queues, in arbitration order, and whose turn is first. */
  active: NvmeSq[] = [];
  turn: number = 0;
  /** Some queue could not go on for want of completion entries; the word for the host says so too. */
  withheld: boolean = false;
  withheld_published: boolean = false;
  /** Interrupts that wait for the coalescing threshold or time. */
  deferred: boolean = false;
  /** Some vector has its pending bit set. */
  irq_pending: boolean = false;
  /** Rounds since the last look at all doorbells. */
  steps: number = 0;

  /** Result (DW0) of the command being executed. */
  result: number = 0;
  /** Feature values by identifier. */
  features: number[] = [];
  /** Zero-based count of queue pairs granted by Number of Queues. */
  queues_granted: number = NVME_MAX_QUEUES - 2;
  /** Bit v: vector v is exempt from coalescing (feature 09h). */
  readonly coalescing_disabled: boolean[] = [];

  /** Command ids of the asynchronous event requests held. */
  aer_cids: number[] = [];
  /** Events not reported yet, as completion DW0 values, oldest first. */
  events: number[] = [];
  /** Bit t: events of type t wait until their log page is read. */
  events_masked: number = 0;
  readonly errors: NvmeErrorEntry[] = Array.from({ length: NVME_ELPE + 1 }, make_error_entry);
  error_count: number = 0;

  reads: number = 0;
  writes: number = 0;
  flushes: number = 0;
  others: number = 0;
  admin_commands: number = 0;
  failed: number = 0;
  bad_doorbells: number = 0;
  interrupts: number = 0;
  /** Blocks moved by commands that succeeded. */
  blocks_read: number = 0;
  blocks_written: number = 0;

  constructor(media: number, media_bytes: number, threaded: boolean) {
    this.threaded = threaded;
    this.media = media;
    this.blocks = Math.floor(media_bytes / NVME_LBA_SIZE);
  }
}

function make_error_entry(): NvmeErrorEntry {
  return new NvmeErrorEntry();
}
