/**
 * A file whose driver keeps token maps, and a buffer of pages to go with it, for tests of the token alone:
 * the driver maps nothing, it only keeps the books.
 */
import { ENOMEM, ENODEV } from "../../debug/errno.ts";
import { FAULT_CREATE_TOKEN, FAULT_MISSING_OPS, should_fail } from "../../debug/fault-inject.ts";
import { kernel_rodata, kernel_static, kernel_symbol } from "../../debug/image.ts";
import { anon_inode_getfile, type FilePtr, O_DIRECT } from "../../fs/file.ts";
import { GFP_KERNEL, kzalloc } from "../../mm/slab.ts";
import type { Cpu } from "../../sched/cpu.ts";
import {
  attach_importer_priv,
  type AttachmentPtr,
  dma_buf_detach,
  dma_buf_dynamic_attach,
  type DmaBufPtr,
  dma_buf_export,
  dma_buf_resv,
} from "../buf.ts";
import { dma_resv_assert_held } from "../resv.ts";
import {
  IO_DMABUF_MAP_SIZE,
  io_dmabuf_init_map,
  type IoDmabufMapPtr,
  io_dmabuf_token_dev_priv,
  io_dmabuf_token_dmabuf,
  io_dmabuf_token_invalidate_mappings,
  type IoDmabufTokenPtr,
  io_dmabuf_token_set_dev,
} from "../token.ts";

/** Words: maps made, maps unmapped, tokens released. */
const BOOKS = kernel_static("token_fixture_books", 12);
export const FIXTURE_MAPS = 0;
export const FIXTURE_UNMAPS = 4;
export const FIXTURE_RELEASES = 8;

export function fixture_book(cpu: Cpu, word: number): number {
  return cpu.mem.loadAcquire(BOOKS + word);
}

const BUF_OPS = kernel_rodata("fixture_buf_ops", [
  0,
  0,
  0,
  0,
  kernel_symbol(fixture_map_dma_buf),
  kernel_symbol(fixture_unmap_dma_buf),
  kernel_symbol(fixture_buf_release),
  0,
  0,
  0,
  0,
]);
const IMPORTER_OPS = kernel_rodata("fixture_importer_ops", [1, kernel_symbol(fixture_invalidate)]);
const MAP = kernel_symbol(fixture_map);
const UNMAP = kernel_symbol(fixture_unmap);
const RELEASE = kernel_symbol(fixture_release);
const DEV_OPS = kernel_rodata("fixture_dev_ops", [MAP, UNMAP, RELEASE]);
const INCOMPLETE_OPS = kernel_rodata("fixture_incomplete_ops", [MAP, 0, RELEASE]);
const FOPS = kernel_rodata("fixture_fops", [0, 0, 0, 0, 0, kernel_symbol(fixture_create_token)]);
const PLAIN_FOPS = kernel_rodata("fixture_plain_fops", [0, 0, 0, 0, 0, 0]);

function fixture_map_dma_buf(): number {
  return -ENODEV;
}
function fixture_unmap_dma_buf(): void {}
function fixture_buf_release(): void {}

function fixture_invalidate(cpu: Cpu, attach: AttachmentPtr): void {
  io_dmabuf_token_invalidate_mappings(cpu, attach_importer_priv(cpu, attach) as IoDmabufTokenPtr);
}

function fixture_map(cpu: Cpu, token: IoDmabufTokenPtr): number {
  dma_resv_assert_held(cpu, dma_buf_resv(cpu, io_dmabuf_token_dmabuf(cpu, token)));
  const map = kzalloc(cpu, IO_DMABUF_MAP_SIZE, GFP_KERNEL);
  if (map === 0) return -ENOMEM;
  const error = io_dmabuf_init_map(cpu, token, map as IoDmabufMapPtr);
  if (error < 0) return error;
  cpu.mem.fetchAdd(BOOKS + FIXTURE_MAPS, 1);
  return map;
}

function fixture_unmap(cpu: Cpu, token: IoDmabufTokenPtr): void {
  dma_resv_assert_held(cpu, dma_buf_resv(cpu, io_dmabuf_token_dmabuf(cpu, token)));
  cpu.mem.fetchAdd(BOOKS + FIXTURE_UNMAPS, 1);
}

function fixture_release(cpu: Cpu, token: IoDmabufTokenPtr): void {
  const attach = io_dmabuf_token_dev_priv(cpu, token) as AttachmentPtr;
  dma_buf_detach(cpu, io_dmabuf_token_dmabuf(cpu, token), attach);
  cpu.mem.fetchAdd(BOOKS + FIXTURE_RELEASES, 1);
}

function fixture_create_token(cpu: Cpu, _file: FilePtr, token: IoDmabufTokenPtr): number {
  if (should_fail(cpu, FAULT_CREATE_TOKEN)) return -ENOMEM;
  const dmabuf = io_dmabuf_token_dmabuf(cpu, token);
  // Any device will do: nothing is mapped.
  const attach = dma_buf_dynamic_attach(cpu, dmabuf, BOOKS, IMPORTER_OPS, token);
  if (attach < 0) return attach;
  const ops = should_fail(cpu, FAULT_MISSING_OPS) ? INCOMPLETE_OPS : DEV_OPS;
  io_dmabuf_token_set_dev(cpu, token, attach, ops);
  return 0;
}

/** A file that takes tokens, or one that does not. */
export function fixture_file(cpu: Cpu, takesTokens: boolean): FilePtr {
  return anon_inode_getfile(cpu, takesTokens ? FOPS : PLAIN_FOPS, 0, O_DIRECT);
}

/** A buffer of `bytes`; nobody ever touches its memory. */
export function fixture_buffer(cpu: Cpu, bytes: number): DmaBufPtr {
  // The exporter's private data must not be NULL.
  return dma_buf_export(cpu, BUF_OPS, BOOKS, bytes, 0);
}
