/** CSTS: the one word in which the controller tells its state. */
import type { Cpu } from "@ringside/core/sched/cpu";
import { NVME_BAR0 } from "../spec/bar.ts";
import { NVME_REG_CSTS } from "../spec/registers.ts";
import type { NvmeCtrl } from "./state.ts";

const CSTS: number = NVME_BAR0 + NVME_REG_CSTS;

export function nvme_publish_csts(cpu: Cpu, n: NvmeCtrl, csts: number): void {
  n.csts = csts;
  // Pairs with the host's loadAcquire while it waits for RDY: a host that sees RDY clear may reuse the queue
  // memory, so every access of ours to it comes before.
  cpu.mem.storeRelease(CSTS, csts);
}
