/** Raw bytes of what nvme-cli would ask a controller for: identify data, logs, registers. */
import { nvme_get_log, nvme_identify } from "@ringside/nvme-emu/driver/admin";
import { dev_buffer, nvme_dev } from "@ringside/nvme-emu/driver/dev";
import { NVME_BAR0 } from "@ringside/nvme-emu/spec/bar";
import {
  NVME_ID_CNS_CTRL,
  NVME_ID_CNS_NS,
  NVME_LOG_ERROR,
  NVME_LOG_SMART,
} from "@ringside/nvme-emu/spec/opcodes";
import type { Cpu } from "@ringside/core/sched/cpu";
import type { Args, Result } from "./workload.ts";

const IDENTIFY_BYTES = 4096;
const SMART_BYTES = 512;
const ERROR_LOG_BYTES = 64;
const REGISTER_BYTES = 4096;

function bytes_at(cpu: Cpu, p: number, bytes: number): number[] {
  const data: number[] = [];
  for (let i = 0; i < bytes; i++) data.push(cpu.mem.read8(p + i));
  return data;
}

function fetched(cpu: Cpu, what: string, status: number, bytes: number): number[] {
  if (status !== 0) throw new Error(`nvme: ${what} failed with status ${status}`);
  return bytes_at(cpu, dev_buffer(cpu, nvme_dev(cpu)), bytes);
}

/** Results: idCtrl, idNs (namespace 1), smart, errors, registers: arrays of bytes. */
export function nvme_info(cpu: Cpu, _args: Args): Result {
  const dev = nvme_dev(cpu);
  const page = dev_buffer(cpu, dev);
  const idCtrl = fetched(cpu, "Identify", nvme_identify(cpu, dev, NVME_ID_CNS_CTRL, 0, page), IDENTIFY_BYTES);
  const idNs = fetched(cpu, "Identify", nvme_identify(cpu, dev, NVME_ID_CNS_NS, 1, page), IDENTIFY_BYTES);
  const smart = fetched(cpu, "SMART", nvme_get_log(cpu, dev, NVME_LOG_SMART, page, SMART_BYTES), SMART_BYTES);
  const errors = fetched(
    cpu,
    "error log",
    nvme_get_log(cpu, dev, NVME_LOG_ERROR, page, ERROR_LOG_BYTES),
    ERROR_LOG_BYTES,
  );
  return { idCtrl, idNs, smart, errors, registers: bytes_at(cpu, NVME_BAR0, REGISTER_BYTES) };
}
