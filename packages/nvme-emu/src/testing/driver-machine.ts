/**
 * The host driver with the controller on the same thread: the device gets its turn whenever the host would
 * sleep, or when a test says so. Files, kiocbs and iterators come from the heap.
 *
 * Interface: const m = new DriverMachine({...}); m.open(); m.read(...), m.write(...); m.settle(); m.remove().
 */
import { bdev_open } from "@ringside/core/block/fops";
import { kernel_static, kernel_symbol, symbol_call } from "@ringside/core/debug/image";
import { BIO_VEC_SIZE, bvec_set_page, type BioVecPtr } from "@ringside/core/fs/bvec";
import { exit_files, fget } from "@ringside/core/fs/fdtable";
import {
  file_op,
  type FilePtr,
  FOP_FSYNC,
  FOP_READ_ITER,
  FOP_WRITE_ITER,
  fput,
  O_DIRECT,
  O_RDWR,
} from "@ringside/core/fs/file";
import {
  iov_iter_bvec,
  iov_iter_dmabuf_map,
  IOV_ITER_SIZE,
  type IovIterPtr,
  ITER_DEST,
  ITER_SOURCE,
} from "@ringside/core/fs/iov-iter";
import { init_kiocb, KIOCB_SIZE, type KiocbPtr } from "@ringside/core/fs/kiocb";
import { device_cpu_id, type KernelConfig } from "@ringside/core/mm/memory-map";
import { GFP_KERNEL, kzalloc } from "@ringside/core/mm/slab";
import { rcu_barrier } from "@ringside/core/rcu/rcu";
import { Cpu, type Platform } from "@ringside/core/sched/cpu";
import { cond_resched } from "@ringside/core/sched/schedule";
import { boot_solo, SoloPlatform } from "@ringside/core/testing/solo";
import { NvmeController } from "../controller/controller.ts";
import { nvme_disk } from "../driver/dev.ts";
import { nvme_probe, nvme_remove } from "../driver/probe.ts";

const COMPLETIONS = kernel_static("driver_machine_completions", 8192);
const MAX_COMPLETIONS = 2000;
const DONE = kernel_symbol(note_completion);
function note_completion(cpu: Cpu, _kiocb: KiocbPtr, res: number): void {
  const n = cpu.mem.read(COMPLETIONS) + 1;
  if (n > MAX_COMPLETIONS) throw new Error("driver machine: too many completions");
  cpu.mem.write(COMPLETIONS + 4 * n, res);
  cpu.mem.write(COMPLETIONS, n);
}

/** Where the bytes of a transfer are. */
export type Memory =
  | { readonly bvecs: readonly (readonly [address: number, bytes: number])[] }
  | { readonly map: number; readonly offset: number; readonly bytes: number };

class DevicePlatform extends SoloPlatform {
  controller: NvmeController | undefined = undefined;
  override idle(cpu: Cpu): boolean {
    const worked = this.controller?.step() ?? false;
    return super.idle(cpu) || worked;
  }
}

export class DriverMachine {
  readonly cpu: Cpu;
  readonly controller: NvmeController;
  file: FilePtr = 0 as FilePtr;

  constructor(config: Partial<KernelConfig> = {}) {
    const platform = new DevicePlatform();
    const defaults = { ram: 24 << 20, media: 8 << 20, iommu: "passthrough" } as const;
    this.cpu = boot_solo({ ...defaults, ...config, platform });
    const device: Platform = { now: () => platform.now() };
    const id = device_cpu_id(this.cpu.config);
    const cpu = new Cpu(this.cpu.mem, id, this.cpu.config, device);
    this.controller = new NvmeController(cpu, cpu.map.media, this.cpu.config.media);
    platform.controller = this.controller;
  }

  probe(): number {
    return nvme_probe(this.cpu);
  }

  open(flags: number = O_RDWR | O_DIRECT): number {
    const fd = bdev_open(this.cpu, nvme_disk(this.cpu), flags);
    if (fd < 0) return fd;
    this.file = fget(this.cpu, fd);
    fput(this.cpu, this.file);
    return fd;
  }

  /** Probed and opened. */
  static started(config: Partial<KernelConfig> = {}): DriverMachine {
    const machine = new DriverMachine(config);
    const error = machine.probe();
    if (error < 0) throw new Error(`driver machine: probe failed with ${error}`);
    if (machine.open() < 0) throw new Error("driver machine: open failed");
    return machine;
  }

  kiocb(pos: number, flags: number = 0, sync: boolean = false): KiocbPtr {
    const kiocb = kzalloc(this.cpu, KIOCB_SIZE, GFP_KERNEL) as KiocbPtr;
    init_kiocb(this.cpu, kiocb, this.file, pos, flags, sync ? 0 : DONE);
    return kiocb;
  }

  iter(dir: number, memory: Memory): IovIterPtr {
    const { cpu } = this;
    const iter = kzalloc(cpu, IOV_ITER_SIZE, GFP_KERNEL) as IovIterPtr;
    if ("map" in memory) iov_iter_dmabuf_map(cpu, iter, dir, memory.map, memory.offset, memory.bytes);
    else {
      const { bvecs } = memory;
      const first = kzalloc(cpu, BIO_VEC_SIZE * bvecs.length, GFP_KERNEL);
      let count = 0;
      bvecs.forEach(([address, bytes], i) => {
        const bvec = (first + i * BIO_VEC_SIZE) as BioVecPtr;
        bvec_set_page(cpu, bvec, address & ~4095, bytes, address & 4095);
        count += bytes;
      });
      iov_iter_bvec(cpu, iter, dir, first as BioVecPtr, bvecs.length, count);
    }
    return iter;
  }

  read(pos: number, memory: Memory, flags: number = 0, sync: boolean = false): number {
    const read_iter = file_op(this.cpu, this.file, FOP_READ_ITER);
    return symbol_call(this.cpu, read_iter, this.kiocb(pos, flags, sync), this.iter(ITER_DEST, memory));
  }
  write(pos: number, memory: Memory, flags: number = 0, sync: boolean = false): number {
    const write_iter = file_op(this.cpu, this.file, FOP_WRITE_ITER);
    return symbol_call(this.cpu, write_iter, this.kiocb(pos, flags, sync), this.iter(ITER_SOURCE, memory));
  }
  fsync(): number {
    return symbol_call(this.cpu, file_op(this.cpu, this.file, FOP_FSYNC), this.file, 0);
  }

  /** The device works until it is idle, then the host takes its interrupts. */
  settle(): void {
    while (this.controller.step());
    cond_resched(this.cpu);
  }

  /** Results of asynchronous transfers since the last call. */
  completions(): number[] {
    const n = this.cpu.mem.read(COMPLETIONS);
    const results = Array.from({ length: n }, (_, i) => this.cpu.mem.read(COMPLETIONS + 4 * (i + 1)));
    this.cpu.mem.write(COMPLETIONS, 0);
    return results;
  }

  remove(): void {
    exit_files(this.cpu);
    nvme_remove(this.cpu);
    rcu_barrier(this.cpu);
  }
}
