/**
 * The descriptor table of the one process (include/linux/fdtable.h, fs/file.c).
 *
 * Numbers are taken and given back under file_lock; fd_install alone fills the slot of a number its caller has
 * reserved. Slots are read under RCU: fget takes a reference only if f_count is not 0, and
 * then looks whether the slot still holds the same file. 0, 1 and 2 are a console that is not a ring.
 *
 * Interface: get_unused_fd_flags reserves, fd_install publishes (or put_unused_fd gives back), close_fd ends.
 */
import { EBADF, EMFILE } from "../debug/errno.ts";
import { kernel_initcall, kernel_static } from "../debug/image.ts";
import { BUG_ON } from "../debug/warn.ts";
import { spin_lock, spin_unlock } from "../lock/spinlock.ts";
import { rcu_read_lock, rcu_read_unlock } from "../rcu/qs.ts";
import { rcu_assign_pointer, rcu_dereference } from "../rcu/rcu.ts";
import { refcount_inc_not_zero } from "../ref/refcount.ts";
import type { Cpu } from "../sched/cpu.ts";
import { FILE_SIZE, file_count_word, type FilePtr, fput, get_file, init_file, O_RDWR } from "./file.ts";

/** RLIMIT_NOFILE: descriptors of the process. */
export const NR_OPEN = 1024;
const FDS = NR_OPEN;

const FILES = kernel_static("init_files", 128 + NR_OPEN / 8 + NR_OPEN * 4);
// Guarded by FILE_LOCK:
const FILE_LOCK = 0;
/** No descriptor below it is free. */
const NEXT_FD = 4;
/** Bitmap: taken, installed or not. */
const OPEN_FDS = 128;
/** Filled by who reserved the number, emptied under FILE_LOCK, read under RCU. */
const FD = OPEN_FDS + NR_OPEN / 8;

const CONSOLE = kernel_static("console_file", FILE_SIZE) as FilePtr;
const STDERR = 2;

kernel_initcall(files_init);
function files_init(cpu: Cpu): void {
  init_file(cpu, CONSOLE, 0, 0, O_RDWR);
  for (let fd = 0; fd <= STDERR; fd++) {
    get_unused_fd_flags(cpu, 0);
    fd_install(cpu, fd, get_file(cpu, CONSOLE));
  }
}

function fd_slot(fd: number): number {
  return FILES + FD + fd * 4;
}

function fd_is_open(cpu: Cpu, fd: number): boolean {
  return (cpu.mem.read(FILES + OPEN_FDS + (fd >> 5) * 4) & (1 << (fd & 31))) !== 0;
}

function set_open_fd(cpu: Cpu, fd: number, open: boolean): void {
  const word = FILES + OPEN_FDS + (fd >> 5) * 4;
  const bit = 1 << (fd & 31);
  cpu.mem.write(word, open ? cpu.mem.read(word) | bit : cpu.mem.read(word) & ~bit);
}

/** Reserves the lowest free descriptor; -EMFILE when there is none. The flags say nothing here. */
export function get_unused_fd_flags(cpu: Cpu, _flags: number): number {
  spin_lock(cpu, FILES + FILE_LOCK);
  let fd = cpu.mem.read(FILES + NEXT_FD);
  while (fd < NR_OPEN && fd_is_open(cpu, fd)) fd++;
  if (fd < NR_OPEN) {
    set_open_fd(cpu, fd, true);
    cpu.mem.write(FILES + NEXT_FD, fd + 1);
  }
  spin_unlock(cpu, FILES + FILE_LOCK);
  return fd < NR_OPEN ? fd : -EMFILE;
}

/** Frees the number. FILE_LOCK held. */
function __put_unused_fd(cpu: Cpu, fd: number): void {
  set_open_fd(cpu, fd, false);
  if (fd < cpu.mem.read(FILES + NEXT_FD)) cpu.mem.write(FILES + NEXT_FD, fd);
}

/** Gives back a reserved descriptor that was never installed. */
export function put_unused_fd(cpu: Cpu, fd: number): void {
  spin_lock(cpu, FILES + FILE_LOCK);
  __put_unused_fd(cpu, fd);
  spin_unlock(cpu, FILES + FILE_LOCK);
}

/** Publishes `file` under a reserved descriptor; the table takes over the caller's reference. */
export function fd_install(cpu: Cpu, fd: number, file: FilePtr): void {
  BUG_ON(cpu, cpu.mem.read(fd_slot(fd)) !== 0, "fd_install over an installed file");
  // Pairs with the rcu_dereference in fget: a reader sees the file initialised.
  rcu_assign_pointer(cpu, fd_slot(fd), file);
}

/** The file behind `fd` with a reference, or 0. */
export function fget(cpu: Cpu, fd: number): FilePtr {
  if (fd < 0 || fd >= FDS) return 0 as FilePtr;
  for (;;) {
    rcu_read_lock(cpu);
    const file = rcu_dereference(cpu, fd_slot(fd)) as FilePtr;
    const got = file !== 0 && refcount_inc_not_zero(cpu, file_count_word(file));
    const same = rcu_dereference(cpu, fd_slot(fd)) === file;
    rcu_read_unlock(cpu);
    if (file === 0 || (got && same)) return file;
    // Closed or replaced meanwhile: what we hold is no longer what the descriptor means.
    if (got) fput(cpu, file);
  }
}

/** close(2): empties the slot and drops the table's reference. 0 or -EBADF. */
export function close_fd(cpu: Cpu, fd: number): number {
  if (fd < 0 || fd >= NR_OPEN) return -EBADF;
  spin_lock(cpu, FILES + FILE_LOCK);
  const file = cpu.mem.read(fd_slot(fd)) as FilePtr;
  if (file !== 0) {
    rcu_assign_pointer(cpu, fd_slot(fd), 0);
    __put_unused_fd(cpu, fd);
  }
  spin_unlock(cpu, FILES + FILE_LOCK);
  if (file === 0) return -EBADF;
  fput(cpu, file);
  return 0;
}

/** Descriptors in use above the console: what the process would leave open. */
export function open_fd_count(cpu: Cpu): number {
  let count = 0;
  for (let fd = STDERR + 1; fd < NR_OPEN; fd++) if (fd_is_open(cpu, fd)) count++;
  return count;
}

/** The process exits: closes everything but the console. Other tasks no longer use the table. */
export function exit_files(cpu: Cpu): void {
  for (let fd = STDERR + 1; fd < NR_OPEN; fd++) close_fd(cpu, fd);
}
