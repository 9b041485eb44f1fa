/**
 * A driver for token scenarios: it maps the buffer for a device, and its I/O writes to the page it was given. So an I/O
 * that goes on when the buffer has moved is seen: VRAM that is free again is full of VRAM_POISON.
 *
 * The node stands for io_uring's: every request holds it, and who drops it last releases the token.
 */
import { ENOMEM, ERR_PTR, IS_ERR } from "@ringside/core/debug/errno";
import { kernel_rodata, kernel_static, kernel_symbol } from "@ringside/core/debug/image";
import { FAULT_MISSING_OPS, should_fail } from "@ringside/core/debug/fault-inject";
import { BUG_ON, violation } from "@ringside/core/debug/warn";
import {
  attach_importer_priv,
  type AttachmentPtr,
  dma_buf_detach,
  dma_buf_dynamic_attach,
  dma_buf_map_attachment,
  dma_buf_unmap_attachment,
} from "@ringside/core/dma/buf";
import { device_del, DEVICE_SIZE, device_init, type DevicePtr } from "@ringside/core/dma/device";
import {
  vram_create,
  vram_destroy,
  vram_dmabuf,
  VRAM_POISON,
  type VramBufPtr,
} from "@ringside/core/dma/exporters/vram";
import { DMA_BIDIRECTIONAL } from "@ringside/core/dma/mapping";
import { sg_virt, sgt_entry, type SgTablePtr } from "@ringside/core/dma/scatterlist";
import {
  IO_DMABUF_MAP_SIZE,
  IO_DMABUF_TOKEN_SIZE,
  io_dmabuf_create_map,
  io_dmabuf_get_map,
  io_dmabuf_init_map,
  io_dmabuf_map_drop,
  type IoDmabufMapPtr,
  io_dmabuf_token_create,
  io_dmabuf_token_dev_priv,
  io_dmabuf_token_dmabuf,
  io_dmabuf_token_invalidate_mappings,
  type IoDmabufTokenPtr,
  io_dmabuf_token_release,
  io_dmabuf_token_set_dev,
} from "@ringside/core/dma/token";
import { anon_inode_getfile, type FilePtr, fput, O_DIRECT } from "@ringside/core/fs/file";
import { PAGE_SIZE } from "@ringside/core/mm/memory-map";
import { GFP_KERNEL, kfree, kzalloc } from "@ringside/core/mm/slab";
import { refcount_dec_and_test, refcount_set } from "@ringside/core/ref/refcount";
import type { Cpu } from "@ringside/core/sched/cpu";
import { schedule_timeout } from "@ringside/core/sched/schedule";
import { set_current_state, TASK_UNINTERRUPTIBLE } from "@ringside/core/sched/task";

// Constant after setup:
const DEVICE = kernel_static("check_device", 4);
const BUFFER = kernel_static("check_buffer", 4);
const TOKEN = kernel_static("check_token", 4);
/** Requests that hold the node. */
const NODE = kernel_static("check_node", 4);

// struct driver_map: io_dmabuf_map first.
const SGT = IO_DMABUF_MAP_SIZE;
const PAGE = SGT + 4;
const DRIVER_MAP_SIZE = PAGE + 4;

const POISON_WORD = (VRAM_POISON * 0x01010101) | 0;

function driver_invalidate(cpu: Cpu, attach: AttachmentPtr): void {
  io_dmabuf_token_invalidate_mappings(cpu, attach_importer_priv(cpu, attach) as IoDmabufTokenPtr);
}

function driver_map(cpu: Cpu, token: IoDmabufTokenPtr): number {
  const attach = io_dmabuf_token_dev_priv(cpu, token) as AttachmentPtr;
  const map = kzalloc(cpu, DRIVER_MAP_SIZE, GFP_KERNEL);
  if (map === 0) return ERR_PTR(-ENOMEM);
  const sgt = dma_buf_map_attachment(cpu, attach, DMA_BIDIRECTIONAL);
  if (IS_ERR(sgt)) {
    kfree(cpu, map);
    return sgt;
  }
  cpu.mem.write(map + SGT, sgt);
  cpu.mem.write(map + PAGE, sg_virt(cpu, sgt_entry(cpu, sgt, 0)));
  const error = io_dmabuf_init_map(cpu, token, map as IoDmabufMapPtr);
  if (error < 0) {
    dma_buf_unmap_attachment(cpu, attach, sgt, DMA_BIDIRECTIONAL);
    kfree(cpu, map);
    return error;
  }
  return map;
}

function driver_unmap(cpu: Cpu, token: IoDmabufTokenPtr, map: IoDmabufMapPtr): void {
  const attach = io_dmabuf_token_dev_priv(cpu, token) as AttachmentPtr;
  dma_buf_unmap_attachment(cpu, attach, cpu.mem.read(map + SGT) as SgTablePtr, DMA_BIDIRECTIONAL);
}

function driver_release(cpu: Cpu, token: IoDmabufTokenPtr): void {
  const attach = io_dmabuf_token_dev_priv(cpu, token) as AttachmentPtr;
  dma_buf_detach(cpu, io_dmabuf_token_dmabuf(cpu, token), attach);
}

function driver_create_token(cpu: Cpu, _file: FilePtr, token: IoDmabufTokenPtr): number {
  const dmabuf = io_dmabuf_token_dmabuf(cpu, token);
  const attach = dma_buf_dynamic_attach(cpu, dmabuf, cpu.mem.read(DEVICE), ATTACH_OPS, token);
  if (attach < 0) return attach;
  io_dmabuf_token_set_dev(cpu, token, attach, should_fail(cpu, FAULT_MISSING_OPS) ? POOR_OPS : DEV_OPS);
  return 0;
}

const ATTACH_OPS = kernel_rodata("check_attach_ops", [1, kernel_symbol(driver_invalidate)]);
const DEV_OPS = kernel_rodata("check_dev_ops", [
  kernel_symbol(driver_map),
  kernel_symbol(driver_unmap),
  kernel_symbol(driver_release),
]);
/** Of a driver that forgot to release. */
const POOR_OPS = kernel_rodata("check_poor_ops", [kernel_symbol(driver_map), kernel_symbol(driver_unmap), 0]);
const FOPS = kernel_rodata("check_token_fops", [0, 0, 0, 0, 0, kernel_symbol(driver_create_token)]);

export function check_buffer(cpu: Cpu): VramBufPtr {
  return cpu.mem.read(BUFFER) as VramBufPtr;
}

export function check_token(cpu: Cpu): IoDmabufTokenPtr {
  return cpu.mem.read(TOKEN) as IoDmabufTokenPtr;
}

/** A token over the buffer, or 0: as io_uring makes one, which frees what could not be created. */
export function token_register(cpu: Cpu): IoDmabufTokenPtr {
  const token = kzalloc(cpu, IO_DMABUF_TOKEN_SIZE, GFP_KERNEL) as IoDmabufTokenPtr;
  const file = anon_inode_getfile(cpu, FOPS, 0, O_DIRECT);
  const dmabuf = vram_dmabuf(cpu, check_buffer(cpu));
  const error = io_dmabuf_token_create(cpu, file, token, dmabuf, DMA_BIDIRECTIONAL);
  fput(cpu, file);
  if (error === 0) return token;
  kfree(cpu, token);
  return 0 as IoDmabufTokenPtr;
}

/** A buffer of one page, and a token over it whose node `requests` requests hold. */
export function token_setup(cpu: Cpu, requests: number): void {
  const device = kzalloc(cpu, DEVICE_SIZE, GFP_KERNEL) as DevicePtr;
  BUG_ON(cpu, device === 0 || device_init(cpu, device, "check0") < 0, "no device");
  cpu.mem.write(DEVICE, device);
  const buf = vram_create(cpu, PAGE_SIZE);
  BUG_ON(cpu, IS_ERR(buf), "no buffer");
  cpu.mem.write(BUFFER, buf);
  const token = token_register(cpu);
  BUG_ON(cpu, token === 0, "no token");
  cpu.mem.write(TOKEN, token);
  refcount_set(cpu, NODE, requests);
}

/** The exporter's own reference goes; the buffer with it, once the token is gone. */
export function token_teardown(cpu: Cpu): void {
  vram_destroy(cpu, check_buffer(cpu));
  device_remove(cpu);
}

/** The device is unplugged, unless it was before. */
export function device_remove(cpu: Cpu): void {
  const device = cpu.mem.exchange(DEVICE, 0) as DevicePtr;
  if (device === 0) return;
  device_del(cpu, device);
  kfree(cpu, device);
}

/** One access of the device, through a map that a request holds. */
export function device_write(cpu: Cpu, map: IoDmabufMapPtr): void {
  const page = cpu.mem.read(map + PAGE);
  if (cpu.mem.readOnce(page) === POISON_WORD) {
    violation(cpu, "io-after-move", `DMA of CPU ${cpu.id} to a page that the buffer has left`);
  }
  cpu.mem.writeOnce(page, cpu.id + 1);
}

/** Lets `ms` pass. */
export function nap(cpu: Cpu, ms: number): void {
  set_current_state(cpu, TASK_UNINTERRUPTIBLE);
  schedule_timeout(cpu, ms);
}

/** The map of a request, or an error pointer. */
export function token_map(cpu: Cpu): IoDmabufMapPtr {
  const token = check_token(cpu);
  const map = io_dmabuf_get_map(cpu, token);
  return map === 0 ? io_dmabuf_create_map(cpu, token) : map;
}

/** A request: gets the map or makes one, does I/O through it for `ms`, completes. */
export function token_request(cpu: Cpu, ms: number = 0): void {
  const map = token_map(cpu);
  if (!IS_ERR(map)) {
    device_write(cpu, map);
    if (ms > 0) nap(cpu, ms);
    device_write(cpu, map);
    io_dmabuf_map_drop(cpu, map);
  }
}

/** The request is over: whoever drops the node last releases the token. */
export function token_node_put(cpu: Cpu): void {
  if (refcount_dec_and_test(cpu, NODE)) io_dmabuf_token_release(cpu, check_token(cpu));
}
