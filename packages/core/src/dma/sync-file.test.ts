import { expect, it } from "vitest";
import { EBADF, EINTR, EINVAL, EIO, ENOENT, ENOMEM, ENOTTY } from "../debug/errno.ts";
import { FAULT_SLAB, fault_arm } from "../debug/fault-inject.ts";
import { kernel_static, kernel_symbol } from "../debug/image.ts";
import { layout_faults, struct_layouts } from "../debug/layout.ts";
import { close_fd, fd_install, get_unused_fd_flags, open_fd_count } from "../fs/fdtable.ts";
import { kmem_in_use } from "../mm/slab-report.ts";
import { rcu_barrier } from "../rcu/rcu.ts";
import { type Cpu, stack_push } from "../sched/cpu.ts";
import { current_task, set_tsk_thread_flag, TIF_SIGPENDING } from "../sched/task.ts";
import { mod_timer, TIMER_SIZE, timer_setup, type TimerPtr } from "../sched/timer.ts";
import { boot_solo, dmesg } from "../testing/solo.ts";
import {
  dma_fence_context,
  dma_fence_get_status,
  dma_fence_is_signaled,
  dma_fence_put,
  dma_fence_set_error,
  dma_fence_signal,
  type DmaFencePtr,
} from "./fence.ts";
import { sync_file_create, sync_file_file, sync_file_get_fence } from "./sync-file.ts";
import * as uapi from "./sync-uapi.ts";
import * as sync from "./sync-user.ts";
import { mock_fence } from "./testing/mock-fence.ts";

const TIMER = kernel_static("test_sync_timer", TIMER_SIZE + 8) as TimerPtr;
const INC_TIMER = kernel_symbol((cpu: Cpu, timer: number) =>
  sync.sw_sync_timeline_inc(cpu, cpu.mem.read(timer + TIMER_SIZE), 1),
);

/** A descriptor for `fence`, whose reference it takes over. */
function fd_of(cpu: Cpu, fence: DmaFencePtr): number {
  const fd = get_unused_fd_flags(cpu, 0);
  fd_install(cpu, fd, sync_file_file(cpu, sync_file_create(cpu, fence)));
  dma_fence_put(cpu, fence);
  return fd;
}
function expect_nothing_left(cpu: Cpu, before: number): void {
  rcu_barrier(cpu);
  expect(open_fd_count(cpu)).toBe(0);
  expect(kmem_in_use(cpu)).toBe(before);
  expect(dmesg(cpu)).toEqual([]);
}

it.each(struct_layouts().filter((l) => l.name.startsWith("sync_")))("$name has a sound layout", (layout) => {
  expect(layout_faults(layout)).toEqual([]);
});

it("the ioctl numbers are Linux's", () => {
  expect(uapi.SYNC_IOC_MERGE).toBe(0xc0303e03);
  expect(uapi.SYNC_IOC_FILE_INFO).toBe(0xc0383e04);
  expect(uapi.SYNC_IOC_SET_DEADLINE).toBe(0x40103e05);
  expect(uapi.SW_SYNC_IOC_CREATE_FENCE).toBe(0xc0285700);
  expect(uapi.SW_SYNC_IOC_INC).toBe(0x40045701);
});

it("a file tells of its fence, and keeps it", () => {
  const cpu = boot_solo();
  const before = kmem_in_use(cpu);
  const fence = mock_fence(cpu, 40, 2);
  const fd = fd_of(cpu, fence);
  expect(sync.sync_file_info(cpu, fd)).toEqual({
    name: "mock-mock40-2",
    status: 0,
    fences: [{ obj_name: "mock", driver_name: "mock", status: 0, timestamp_ns: 0 }],
  });
  expect(sync.sync_wait(cpu, fd, 0)).toBe(0);
  const again = sync_file_get_fence(cpu, fd);
  expect(again).toBe(fence);
  dma_fence_set_error(cpu, fence, -EIO);
  sync.sync_wait(cpu, fd, 3);
  dma_fence_signal(cpu, fence);
  dma_fence_put(cpu, again);
  expect(sync.sync_wait(cpu, fd, 0)).toBe(1);
  const info = sync.sync_file_info(cpu, fd);
  expect(info).toMatchObject({ status: -EIO, fences: [{ driver_name: "detached-driver", status: -EIO }] });
  expect(info?.fences[0]?.timestamp_ns).toBeGreaterThan(0);
  close_fd(cpu, fd);
  expect_nothing_left(cpu, before);
});

it("a merged file stands for the fences of both, under its own name", () => {
  const cpu = boot_solo();
  const before = kmem_in_use(cpu);
  const [a, b] = [fd_of(cpu, mock_fence(cpu, 5, 1)), fd_of(cpu, mock_fence(cpu, 6, 1))];
  const name = "a name that is longer than a field has room for it";
  const merged = sync.sync_merge(cpu, name, a, b);
  expect(sync.sync_file_info(cpu, merged)).toMatchObject({ name: name.slice(0, 31), status: 0 });
  expect(sync.sync_fence_size(cpu, merged)).toBe(2);
  expect(sync.sync_fence_count_with_status(cpu, merged, sync.FENCE_STATUS_ACTIVE)).toBe(2);
  for (const fd of [a, b]) {
    expect(sync.sync_wait(cpu, merged, 0)).toBe(0);
    const fence = sync_file_get_fence(cpu, fd);
    dma_fence_signal(cpu, fence);
    dma_fence_put(cpu, fence);
  }
  expect(sync.sync_wait(cpu, merged, -1)).toBe(1);
  for (const fd of [a, b, merged]) close_fd(cpu, fd);
  expect_nothing_left(cpu, before);
});

it("what is asked wrongly is answered as in Linux", () => {
  const cpu = boot_solo();
  const fd = fd_of(cpu, mock_fence(cpu, 5, 1));
  const console = 0;
  expect(sync.sync_merge(cpu, "", fd, 999)).toBe(-ENOENT);
  expect(sync.sync_merge(cpu, "", fd, console)).toBe(-ENOENT);
  expect(sync.sync_merge(cpu, "", 999, fd)).toBe(-EBADF);
  expect(sync.sync_merge(cpu, "", console, fd)).toBe(-ENOTTY);
  expect(sync.sw_sync_timeline_inc(cpu, fd, 1)).toBe(-ENOTTY);
  expect(sync.sw_sync_fence_create(cpu, -1, "", 1)).toBe(-EBADF);
  expect(sync.sync_wait(cpu, 999, 0), "POLLNVAL").toBe(1);
  expect(sync.sync_fence_size(cpu, 999)).toBe(0);
  expect(sync.sync_fence_count_with_status(cpu, 999, 1)).toBe(-1);
  expect(sync_file_get_fence(cpu, console)).toBe(0);
  const data = stack_push(cpu, uapi.SYNC_MERGE_DATA_SIZE);
  cpu.mem.write(data + uapi.SYNC_MERGE_FLAGS, 1);
  expect(sync.fd_ioctl(cpu, fd, uapi.SYNC_IOC_MERGE, data)).toBe(-EINVAL);
  const info = stack_push(cpu, uapi.SYNC_FILE_INFO_SIZE);
  cpu.mem.write(info + uapi.SYNC_FILE_PAD, 1);
  expect(sync.fd_ioctl(cpu, fd, uapi.SYNC_IOC_FILE_INFO, info)).toBe(-EINVAL);
  expect(open_fd_count(cpu), "no descriptor was lost").toBe(1);
  set_tsk_thread_flag(cpu, current_task(cpu), TIF_SIGPENDING);
  expect(sync.sync_wait(cpu, fd, 100)).toBe(-EINTR);
  expect(dmesg(cpu)).toEqual([]);
});

it.each([0, 1, 2])("without memory nothing is merged and nothing kept (%i allocations work)", (after) => {
  const cpu = boot_solo();
  const [a, b] = [fd_of(cpu, mock_fence(cpu, 5, 1)), fd_of(cpu, mock_fence(cpu, 6, 1))];
  const before = kmem_in_use(cpu);
  fault_arm(cpu, FAULT_SLAB, { after, times: 1 });
  expect(sync.sync_merge(cpu, "", a, b)).toBe(-ENOMEM);
  expect(open_fd_count(cpu)).toBe(2);
  rcu_barrier(cpu);
  expect(kmem_in_use(cpu)).toBe(before);
});

it("a timeline signals its fences in order, whatever order they were made in", () => {
  const cpu = boot_solo();
  const before = kmem_in_use(cpu);
  const timeline = sync.sw_sync_timeline_create(cpu);
  const values = [7, 2, 5, 2, 9];
  const fds = values.map((value) => sync.sw_sync_fence_create(cpu, timeline, "f", value));
  const fences = fds.map((fd) => sync_file_get_fence(cpu, fd));
  expect(fences[1], "one fence a number").toBe(fences[3]);
  expect(new Set(fences.map((fence) => dma_fence_context(cpu, fence))).size).toBe(1);
  for (let count = 1; count <= 9; count++) {
    expect(sync.sw_sync_timeline_inc(cpu, timeline, 1)).toBe(0);
    expect(fences.map((fence) => dma_fence_is_signaled(cpu, fence))).toEqual(values.map((v) => v <= count));
  }
  for (const fence of fences) dma_fence_put(cpu, fence);
  for (const fd of [...fds, timeline]) close_fd(cpu, fd);
  expect_nothing_left(cpu, before);
});

it("a fence of a number that is past is signaled, also across the wrap", () => {
  const cpu = boot_solo();
  const timeline = sync.sw_sync_timeline_create(cpu);
  expect(sync.sync_wait(cpu, sync.sw_sync_fence_create(cpu, timeline, "f", 0), 0)).toBe(1);
  sync.sw_sync_timeline_inc(cpu, timeline, 0xfffffffe);
  const after = sync.sw_sync_fence_create(cpu, timeline, "f", 1);
  expect(sync.sync_wait(cpu, sync.sw_sync_fence_create(cpu, timeline, "f", 0xfffffff0), 0)).toBe(1);
  expect(sync.sync_wait(cpu, after, 0)).toBe(0);
  sync.sw_sync_timeline_inc(cpu, timeline, 3);
  expect(sync.sync_wait(cpu, after, 0)).toBe(1);
});

it("closing a timeline fails what still waits for it", () => {
  const cpu = boot_solo();
  const before = kmem_in_use(cpu);
  const timeline = sync.sw_sync_timeline_create(cpu);
  const fd = sync.sw_sync_fence_create(cpu, timeline, "f", 3);
  const fence = sync_file_get_fence(cpu, fd);
  close_fd(cpu, timeline);
  expect(dma_fence_get_status(cpu, fence)).toBe(-ENOENT);
  expect(sync.sync_wait(cpu, fd, -1)).toBe(1);
  expect(sync.sync_file_info(cpu, fd)).toMatchObject({ status: -ENOENT });
  dma_fence_put(cpu, fence);
  close_fd(cpu, fd);
  expect_nothing_left(cpu, before);
});

it("who polls is woken by the signal", () => {
  const cpu = boot_solo();
  const timeline = sync.sw_sync_timeline_create(cpu);
  const [a, b] = [1, 2].map((value) => sync.sw_sync_fence_create(cpu, timeline, "f", value)) as [
    number,
    number,
  ];
  timer_setup(cpu, TIMER, INC_TIMER);
  cpu.mem.write(TIMER + TIMER_SIZE, timeline);
  mod_timer(cpu, TIMER, cpu.now() + 3);
  expect(sync.sync_wait(cpu, a, -1)).toBe(1);
  expect(sync.sync_wait(cpu, b, 2)).toBe(0);
  mod_timer(cpu, TIMER, cpu.now() + 3);
  expect(sync.sync_wait(cpu, sync.sync_merge(cpu, "m", a, b), 1000)).toBe(1);
});

it("the earliest deadline counts, and reaches the fences of a merged file", () => {
  const cpu = boot_solo();
  const timeline = sync.sw_sync_timeline_create(cpu);
  const a = sync.sw_sync_fence_create(cpu, timeline, "f", 1);
  const b = sync.sw_sync_fence_create(cpu, sync.sw_sync_timeline_create(cpu), "f", 1);
  expect(sync.sw_sync_get_deadline(cpu, timeline, a)).toBe(-ENOENT);
  const merged = sync.sync_merge(cpu, "m", a, b);
  expect(sync.sync_set_deadline(cpu, merged, 5000)).toBe(0);
  expect(sync.sync_set_deadline(cpu, a, 7000)).toBe(0);
  expect(sync.sw_sync_get_deadline(cpu, timeline, a)).toBe(5000);
  expect(sync.sync_set_deadline(cpu, a, 3000)).toBe(0);
  expect(sync.sw_sync_get_deadline(cpu, timeline, a)).toBe(3000);
  expect(sync.sw_sync_get_deadline(cpu, timeline, b)).toBe(5000);
  expect(sync.sw_sync_get_deadline(cpu, timeline, merged), "no fence of a timeline").toBe(-EINVAL);
});
