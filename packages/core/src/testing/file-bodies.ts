/** Bodies for file-threads.test.ts: one task opens and closes, others look the descriptor up meanwhile. */
import { kernel_rodata, kernel_static, kernel_symbol } from "../debug/image.ts";
import { close_fd, fd_install, fget, get_unused_fd_flags } from "../fs/fdtable.ts";
import { anon_inode_getfile, type FilePtr, file_private, fput, O_RDWR } from "../fs/file.ts";
import { GFP_KERNEL, kfree, kmalloc, kmem_in_use } from "../mm/slab.ts";
import { rcu_barrier } from "../rcu/rcu.ts";
import type { Cpu } from "../sched/cpu.ts";
import { cond_resched } from "../sched/schedule.ts";

const STATE = kernel_static("file_bodies", 256);
const BEFORE = 0;
const STOP = 4;
const RELEASES = 128;
const FOUND = 192;
/** Finds that make a run worth something, and how much longer it may take to get there. */
const ENOUGH = 10;
const PATIENCE = 200;
const MAGIC = 0x51ced;
const FD = 3;

const FOPS = kernel_rodata("file_bodies_fops", [kernel_symbol(release), 0, 0, 0, 0, 0]);
function release(cpu: Cpu, file: FilePtr): void {
  cpu.mem.fetchAdd(STATE + RELEASES, 1);
  kfree(cpu, file_private(cpu, file));
}

export function set_up(cpu: Cpu): void {
  cpu.mem.write(STATE + BEFORE, kmem_in_use(cpu));
}

/** Opens and closes descriptor 3, on until somebody found it; returns [rounds, how often it was another one]. */
export function open_and_close(cpu: Cpu, rounds: number): [number, number] {
  let odd = 0;
  let round = 0;
  while (round < rounds || (cpu.mem.loadAcquire(STATE + FOUND) < ENOUGH && round < PATIENCE * rounds)) {
    const data = kmalloc(cpu, 4, GFP_KERNEL);
    cpu.mem.write(data, MAGIC);
    const fd = get_unused_fd_flags(cpu, 0);
    if (fd !== FD) odd++;
    fd_install(cpu, fd, anon_inode_getfile(cpu, FOPS, data, O_RDWR));
    cond_resched(cpu);
    close_fd(cpu, fd);
    round++;
  }
  cpu.mem.storeRelease(STATE + STOP, 1);
  return [round, odd];
}

/** Looks the descriptor up; returns [found, found with spoilt data]. */
export function look_up(cpu: Cpu): [number, number] {
  let found = 0;
  let spoilt = 0;
  while (cpu.mem.loadAcquire(STATE + STOP) === 0) {
    const file = fget(cpu, FD);
    if (file !== 0) {
      found++;
      cpu.mem.fetchAdd(STATE + FOUND, 1);
      if (cpu.mem.read(file_private(cpu, file)) !== MAGIC) spoilt++;
      fput(cpu, file);
    }
    cond_resched(cpu);
  }
  return [found, spoilt];
}

export function tear_down(cpu: Cpu): { releases: number; leaked: number } {
  rcu_barrier(cpu);
  return {
    releases: cpu.mem.read(STATE + RELEASES),
    leaked: kmem_in_use(cpu) - cpu.mem.read(STATE + BEFORE),
  };
}
