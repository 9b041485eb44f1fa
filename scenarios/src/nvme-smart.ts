/** What the controller's SMART log says it did, asked through the front door: an admin command. */
import { nvme_get_log } from "@ringside/nvme-emu/driver/admin";
import { dev_buffer, nvme_dev } from "@ringside/nvme-emu/driver/dev";
import { NVME_LOG_SMART } from "@ringside/nvme-emu/spec/opcodes";
import type { Cpu } from "@ringside/core/sched/cpu";
import type { Args, Result } from "./workload.ts";

const SMART_BYTES = 512;
/** 128-bit counters; the low 64 bits count for a few million years. */
const HOST_READ_COMMANDS = 64;
const HOST_WRITE_COMMANDS = 80;

export function nvme_smart(cpu: Cpu, _args: Args): Result {
  const dev = nvme_dev(cpu);
  const log = dev_buffer(cpu, dev);
  const status = nvme_get_log(cpu, dev, NVME_LOG_SMART, log, SMART_BYTES);
  if (status !== 0) throw new Error(`nvme: Get Log Page (SMART) failed with status ${status}`);
  return {
    reads: cpu.mem.read64(log + HOST_READ_COMMANDS),
    writes: cpu.mem.read64(log + HOST_WRITE_COMMANDS),
  };
}
