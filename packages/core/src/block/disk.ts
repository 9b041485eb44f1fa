/**
 * struct gendisk and the struct block_device of the whole disk (include/linux/blkdev.h, block/genhd.c). There
 * are no partitions, so they are one object here.
 *
 * References: the driver has one from alloc_disk to put_disk, each open file one. del_gendisk ends all I/O;
 * the struct and the queue live until the last file is closed.
 *
 * Interface: alloc_disk, device_add_disk; bdev_open (fops.ts); del_gendisk, put_disk.
 */
import type { Ptr } from "atomics-sync";
import { struct_layout } from "../debug/layout.ts";
import { read_text, write_text } from "../debug/site.ts";
import { BUG_ON } from "../debug/warn.ts";
import { GFP_KERNEL, kfree, kzalloc } from "../mm/slab.ts";
import { refcount_dec_and_test, refcount_inc_not_zero, refcount_set } from "../ref/refcount.ts";
import type { Cpu } from "../sched/cpu.ts";
import { blk_mq_destroy_queue, blk_put_queue } from "./blk-mq.ts";
import type { RequestQueuePtr } from "./queue.ts";

export type GendiskPtr = Ptr<"gendisk">;
export type BlockDevicePtr = Ptr<"block_device">;

// struct block_device. Constant once the disk is added:
const BD_QUEUE = 0;
const BD_DISK = 4;
/** Bytes of the device: below 2 GiB, so a word holds them, and a sector number too. */
const BD_SIZE = 8;
// struct gendisk:
const PRIVATE_DATA = 12;
const REFS = 16;
/** 0, GD_ADDED or GD_DEAD; written by the driver. */
const STATE = 20;
const DISK_NAME = 24;
const DISK_NAME_LEN = 36;
const GENDISK_SIZE: number = DISK_NAME + DISK_NAME_LEN;

const GD_ADDED = 1;
const GD_DEAD = 2;

struct_layout("gendisk", GENDISK_SIZE, [
  ["part0.bd_queue", BD_QUEUE, 4],
  ["part0.bd_disk", BD_DISK, 4],
  ["part0.bd_size", BD_SIZE, 4],
  ["private_data", PRIVATE_DATA, 4],
  ["refs", REFS, 4],
  ["state", STATE, 4],
  ["disk_name", DISK_NAME, DISK_NAME_LEN],
]);

/** A disk over `q`, which it owns from now on; 0 when out of memory (then `q` is still the caller's). */
export function alloc_disk(cpu: Cpu, q: RequestQueuePtr, name: string, priv: number): GendiskPtr {
  const disk = kzalloc(cpu, GENDISK_SIZE, GFP_KERNEL) as GendiskPtr;
  if (disk === 0) return disk;
  cpu.mem.write(disk + BD_QUEUE, q);
  cpu.mem.write(disk + BD_DISK, disk);
  cpu.mem.write(disk + PRIVATE_DATA, priv);
  refcount_set(cpu, disk + REFS, 1);
  write_text(cpu, disk + DISK_NAME, name, DISK_NAME_LEN - 4);
  return disk;
}

/** The disk may be opened. */
export function device_add_disk(cpu: Cpu, disk: GendiskPtr, nr_sectors: number): void {
  BUG_ON(cpu, nr_sectors * 512 > 0x7fffffff, "disk too large for a 31-bit machine");
  cpu.mem.write(disk + BD_SIZE, nr_sectors * 512);
  // Pairs with the loadAcquire in disk_try_get: who can open it sees its size.
  cpu.mem.storeRelease(disk + STATE, GD_ADDED);
}

/** Ends all I/O: no new opens, no new requests; returns when the requests in flight are done. */
export function del_gendisk(cpu: Cpu, disk: GendiskPtr): void {
  cpu.mem.storeRelease(disk + STATE, GD_DEAD);
  blk_mq_destroy_queue(cpu, bdev_get_queue(cpu, disk_part0(disk)));
}

/** A reference for an opener, unless the disk is not there (yet, any more). */
export function disk_try_get(cpu: Cpu, disk: GendiskPtr): boolean {
  if (cpu.mem.loadAcquire(disk + STATE) !== GD_ADDED) return false;
  return refcount_inc_not_zero(cpu, disk + REFS);
}

/** Drops a reference; the last one frees disk and queue, after del_gendisk. */
export function put_disk(cpu: Cpu, disk: GendiskPtr): void {
  if (!refcount_dec_and_test(cpu, disk + REFS)) return;
  blk_put_queue(cpu, bdev_get_queue(cpu, disk_part0(disk)));
  kfree(cpu, disk);
}

export function disk_part0(disk: GendiskPtr): BlockDevicePtr {
  return disk as number as BlockDevicePtr;
}
export function disk_name(cpu: Cpu, disk: GendiskPtr): string {
  return read_text(cpu, disk + DISK_NAME);
}
export function disk_private(cpu: Cpu, disk: GendiskPtr): number {
  return cpu.mem.read(disk + PRIVATE_DATA);
}
export function bdev_get_queue(cpu: Cpu, bdev: BlockDevicePtr): RequestQueuePtr {
  return cpu.mem.read(bdev + BD_QUEUE) as RequestQueuePtr;
}
export function bdev_disk(cpu: Cpu, bdev: BlockDevicePtr): GendiskPtr {
  return cpu.mem.read(bdev + BD_DISK) as GendiskPtr;
}
/** bdev_nr_bytes. */
export function bdev_nr_bytes(cpu: Cpu, bdev: BlockDevicePtr): number {
  return cpu.mem.read(bdev + BD_SIZE);
}
