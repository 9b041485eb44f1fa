/** Laws of files and of the descriptor table. */
import { expect, test } from "vitest";
import { EBADF, EMFILE } from "../debug/errno.ts";
import { kernel_rodata, kernel_static, kernel_symbol } from "../debug/image.ts";
import { kmem_in_use } from "../mm/slab.ts";
import { rcu_barrier } from "../rcu/rcu.ts";
import type { Cpu } from "../sched/cpu.ts";
import { boot_solo, dmesg } from "../testing/solo.ts";
import {
  close_fd,
  exit_files,
  fd_install,
  fget,
  get_unused_fd_flags,
  NR_OPEN,
  open_fd_count,
  put_unused_fd,
} from "./fdtable.ts";
import {
  anon_inode_getfile,
  file_count,
  file_flags,
  file_mode,
  file_op,
  type FilePtr,
  file_private,
  FMODE_READ,
  FMODE_WRITE,
  FOP_FSYNC,
  FOP_RELEASE,
  fput,
  get_file,
  O_CLOEXEC,
  O_DIRECT,
  O_RDONLY,
  O_RDWR,
} from "./file.ts";

const RELEASED = kernel_static("test_released", 4);
const FOPS = kernel_rodata("test_fops", [kernel_symbol(count_release), 0, 0, 0, 0, 0]);
function count_release(cpu: Cpu, file: FilePtr): void {
  cpu.mem.write(RELEASED, cpu.mem.read(RELEASED) + file_private(cpu, file));
}

function open_one(cpu: Cpu): number {
  const fd = get_unused_fd_flags(cpu, 0);
  fd_install(cpu, fd, anon_inode_getfile(cpu, FOPS, 1, O_RDWR));
  return fd;
}

test("release runs once, when the last reference goes, whoever drops it", () => {
  const cpu = boot_solo();
  const file = anon_inode_getfile(cpu, FOPS, 1, O_RDWR | O_DIRECT | O_CLOEXEC);
  get_file(cpu, file);
  fput(cpu, file);
  expect(cpu.mem.read(RELEASED)).toBe(0);
  expect([file_count(cpu, file), file_flags(cpu, file)]).toEqual([1, O_RDWR | O_DIRECT]);
  fput(cpu, file);
  expect(cpu.mem.read(RELEASED)).toBe(1);
});

test("a file without an operation says 0", () => {
  const cpu = boot_solo();
  const file = anon_inode_getfile(cpu, FOPS, 1, O_RDONLY);
  expect(file_op(cpu, file, FOP_FSYNC)).toBe(0);
  expect(file_op(cpu, file, FOP_RELEASE)).not.toBe(0);
  expect(file_mode(cpu, file) & (FMODE_READ | FMODE_WRITE)).toBe(FMODE_READ);
  fput(cpu, file);
});

test("descriptors: the lowest free one, the console is taken, closed ones come back", () => {
  const cpu = boot_solo();
  expect([open_one(cpu), open_one(cpu), open_one(cpu)]).toEqual([3, 4, 5]);
  expect(close_fd(cpu, 4)).toBe(0);
  expect(close_fd(cpu, 4)).toBe(-EBADF);
  expect(fget(cpu, 4)).toBe(0);
  expect(open_one(cpu)).toBe(4);
  expect(open_fd_count(cpu)).toBe(3);
});

test("a reserved descriptor is not a file, and can be given back", () => {
  const cpu = boot_solo();
  const fd = get_unused_fd_flags(cpu, 0);
  expect(fget(cpu, fd)).toBe(0);
  expect(close_fd(cpu, fd)).toBe(-EBADF);
  put_unused_fd(cpu, fd);
  expect(get_unused_fd_flags(cpu, 0)).toBe(fd);
});

test("out-of-range descriptors are -EBADF, a full table is -EMFILE", () => {
  const cpu = boot_solo();
  for (const fd of [-1, NR_OPEN, 1 << 30]) {
    expect(fget(cpu, fd)).toBe(0);
    expect(close_fd(cpu, fd)).toBe(-EBADF);
  }
  for (let fd = 3; fd < NR_OPEN; fd++) expect(get_unused_fd_flags(cpu, 0)).toBe(fd);
  expect(get_unused_fd_flags(cpu, 0)).toBe(-EMFILE);
});

test("a file outlives its descriptor while somebody holds it, and its memory goes after a grace period", () => {
  const cpu = boot_solo();
  const before = kmem_in_use(cpu);
  const fd = open_one(cpu);
  const file = fget(cpu, fd);
  expect(file_count(cpu, file)).toBe(2);
  close_fd(cpu, fd);
  expect(cpu.mem.read(RELEASED)).toBe(0);
  fput(cpu, file);
  expect(cpu.mem.read(RELEASED)).toBe(1);
  expect(kmem_in_use(cpu)).not.toEqual(before);
  rcu_barrier(cpu);
  expect(kmem_in_use(cpu)).toEqual(before);
});

test("the process leaves nothing open", () => {
  const cpu = boot_solo();
  const before = kmem_in_use(cpu);
  for (let i = 0; i < 40; i++) open_one(cpu);
  exit_files(cpu);
  rcu_barrier(cpu);
  expect([open_fd_count(cpu), cpu.mem.read(RELEASED)]).toEqual([0, 40]);
  expect(kmem_in_use(cpu)).toEqual(before);
  expect(dmesg(cpu)).toEqual([]);
});
