/** An executed op in words: `fetchAdd refs 1: 2 -> 3`. The verb as in Memory, the place by name, the values. */
import type { ControlledMemory } from "../controlled-memory.ts";
import {
  OP_ALLOC,
  OP_COMPARE_EXCHANGE,
  OP_CRC32C,
  OP_FENCE,
  OP_FREE,
  OP_MEMCPY,
  OP_MEMSET,
  OP_NOTIFY,
  OP_WAIT,
  OP_WAKE,
  OPS,
  READS,
  WRITES,
} from "../op.ts";
import { isFree } from "../world.ts";
import { type FlowOp, failedExchange } from "./flow.ts";

export function textOf(mem: ControlledMemory, op: FlowOp, name: (place: number) => string): string {
  const { kind, p, a, b, result } = mem;
  const verb = OPS[kind]?.name ?? "?";
  const at = name(p);
  switch (kind) {
    case OP_FENCE:
      return verb;
    case OP_WAIT:
      if (result === (b | 0)) return `wait ${at} while ${b}: ${a <= 0 ? "timed-out at once" : "sleeps"}`;
      return `wait ${at} while ${b}: is ${result}`;
    case OP_WAKE:
      return mem.waitResult === "ok" ? `wakes at ${at}` : `${mem.waitResult} at ${at}`;
    case OP_NOTIFY:
      return `notify ${at}: wakes ${result}`;
    case OP_MEMCPY:
      return `memcpy ${at} <- ${name(a)}, ${b} bytes`;
    case OP_MEMSET:
      return `memset ${at} = ${a}, ${b} bytes`;
    case OP_CRC32C:
      return `crc32c ${at}, ${b} bytes`;
    case OP_ALLOC:
      return `alloc ${at}, ${b} bytes`;
    case OP_FREE:
      return `${isFree(mem) ? "free" : "poison"} ${at}, ${b} bytes`;
    case OP_COMPARE_EXCHANGE:
      return failedExchange(mem)
        ? `${verb} ${at} ${b} -> ${a}: is ${result}`
        : `${verb} ${at}: ${result} -> ${a}`;
    default:
      return accessText(mem, op, verb, at);
  }
}

function accessText(mem: ControlledMemory, op: FlowOp, verb: string, at: string): string {
  const access = OPS[mem.kind]?.access ?? 0;
  if (access === READS) return `${verb} ${at} = ${mem.result}`;
  if (access === (READS | WRITES)) return `${verb} ${at} ${mem.a}: ${mem.result} -> ${op.written ?? "?"}`;
  const was = Number.isNaN(op.read) || op.read === mem.a ? "" : ` (was ${op.read})`;
  return `${verb} ${at} = ${mem.a}${was}`;
}
