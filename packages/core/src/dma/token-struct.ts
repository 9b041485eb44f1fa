/**
 * The structs of the token (include/linux/io_dmabuf_token.h) and the importer's view of them. The verbs are
 * in token.ts.
 *
 * The last fields of the map and the token are not in the kernel: token-oracle.ts judges by them.
 */
import type { Ptr } from "atomics-sync";
import { struct_layout } from "../debug/layout.ts";
import { PERCPU_REF_SIZE } from "../ref/percpu-ref.ts";
import type { Cpu } from "../sched/cpu.ts";
import { WORK_STRUCT_SIZE } from "../sched/workqueue.ts";
import type { DmaBufPtr } from "./buf.ts";

export type IoDmabufTokenPtr = Ptr<"io_dmabuf_token">;
export type IoDmabufMapPtr = Ptr<"io_dmabuf_map">;

/** struct io_dmabuf_token_dev_ops: words of a kernel_rodata table. */
export const DEV_OPS_MAP = 0;
export const DEV_OPS_UNMAP = 4;
export const DEV_OPS_RELEASE = 8;

// struct io_dmabuf_map
/** Counts requests and other users; unmapping waits until all are gone. */
export const REFS = 0;
export const MAP_RELEASE_WORK = REFS + PERCPU_REF_SIZE;
// Constant after io_dmabuf_init_map:
export const FENCE = MAP_RELEASE_WORK + WORK_STRUCT_SIZE;
export const TOKEN = FENCE + 4;
// Not in the kernel, for the oracle: how often it was unmapped; the grace period that protects its readers.
export const NR_UNMAPS = TOKEN + 4;
export const UNPUBLISHED = NR_UNMAPS + 4;
export const IO_DMABUF_MAP_SIZE = (UNPUBLISHED + 4 + 7) & ~7;

// struct io_dmabuf_token
/** Published map. Written under the reservation lock, read under RCU. */
export const MAP = 0;
// Constant after io_dmabuf_token_create:
export const DMABUF = 4;
export const DIR = 8;
export const FENCE_SEQ = 12;
export const FENCE_CTX = 16;
export const TOKEN_RELEASE_WORK = 24;
/** One for the owner, and one per map while it is being released. */
export const TOKEN_REFS = TOKEN_RELEASE_WORK + WORK_STRUCT_SIZE;
// Set by the importer in create_dmabuf_token:
export const DEV_PRIV = TOKEN_REFS + 4;
export const DEV_OPS = DEV_PRIV + 4;
// Not in the kernel: maps alive, for the oracle.
export const NR_MAPS = DEV_OPS + 4;
export const IO_DMABUF_TOKEN_SIZE = (NR_MAPS + 4 + 7) & ~7;

struct_layout("io_dmabuf_map", IO_DMABUF_MAP_SIZE, [
  ["refs", REFS, PERCPU_REF_SIZE],
  ["release_work", MAP_RELEASE_WORK, WORK_STRUCT_SIZE],
  ["fence", FENCE, 4],
  ["token", TOKEN, 4],
  ["nr_unmaps", NR_UNMAPS, 4],
  ["unpublished", UNPUBLISHED, 4],
]);
struct_layout("io_dmabuf_token", IO_DMABUF_TOKEN_SIZE, [
  ["map", MAP, 4],
  ["dmabuf", DMABUF, 4],
  ["dir", DIR, 4],
  ["fence_seq", FENCE_SEQ, 4],
  ["fence_ctx", FENCE_CTX, 8],
  ["release_work", TOKEN_RELEASE_WORK, WORK_STRUCT_SIZE],
  ["refs", TOKEN_REFS, 4],
  ["dev_priv", DEV_PRIV, 4],
  ["dev_ops", DEV_OPS, 4],
  ["nr_maps", NR_MAPS, 4],
]);

/** An operation of the importer: a symbol, 0 when it is missing. */
export function dev_op(cpu: Cpu, token: IoDmabufTokenPtr, op: number): number {
  return cpu.mem.read(cpu.mem.read(token + DEV_OPS) + op);
}

/** The importer gave all it must. */
export function dev_ops_complete(cpu: Cpu, token: IoDmabufTokenPtr): boolean {
  if (cpu.mem.read(token + DEV_OPS) === 0) return false;
  return (
    dev_op(cpu, token, DEV_OPS_MAP) !== 0 &&
    dev_op(cpu, token, DEV_OPS_UNMAP) !== 0 &&
    dev_op(cpu, token, DEV_OPS_RELEASE) !== 0
  );
}

export function io_dmabuf_token_dmabuf(cpu: Cpu, token: IoDmabufTokenPtr): DmaBufPtr {
  return cpu.mem.read(token + DMABUF) as DmaBufPtr;
}

export function io_dmabuf_token_dir(cpu: Cpu, token: IoDmabufTokenPtr): number {
  return cpu.mem.read(token + DIR);
}

export function io_dmabuf_token_dev_priv(cpu: Cpu, token: IoDmabufTokenPtr): number {
  return cpu.mem.read(token + DEV_PRIV);
}

/** The importer's half of create: its private data and its operations. */
export function io_dmabuf_token_set_dev(cpu: Cpu, token: IoDmabufTokenPtr, priv: number, ops: number): void {
  cpu.mem.write(token + DEV_PRIV, priv);
  cpu.mem.write(token + DEV_OPS, ops);
}

/** The token a map belongs to. */
export function io_dmabuf_map_token(cpu: Cpu, map: IoDmabufMapPtr): IoDmabufTokenPtr {
  return cpu.mem.read(map + TOKEN) as IoDmabufTokenPtr;
}
