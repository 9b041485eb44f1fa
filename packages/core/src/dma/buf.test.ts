import { expect, it } from "vitest";
import { EBADF, EBUSY, EINVAL, EIO, EMFILE, ENOMEM, ERESTARTSYS } from "../debug/errno.ts";
import { FAULT_SLAB, fault_arm } from "../debug/fault-inject.ts";
import { kernel_rodata, kernel_static, kernel_symbol } from "../debug/image.ts";
import { layout_faults, struct_layouts } from "../debug/layout.ts";
import { close_fd, fd_install, get_unused_fd_flags, NR_OPEN, open_fd_count } from "../fs/fdtable.ts";
import { anon_inode_getfile, file_count } from "../fs/file.ts";
import { kmem_in_use } from "../mm/slab-report.ts";
import { rcu_barrier } from "../rcu/rcu.ts";
import type { Cpu } from "../sched/cpu.ts";
import { current_task, set_tsk_thread_flag, TIF_SIGPENDING } from "../sched/task.ts";
import { boot_solo, dmesg } from "../testing/solo.ts";
import * as buf from "./buf.ts";
import type { AttachmentPtr, DmaBufPtr } from "./buf.ts";
import { dma_fence_put, dma_fence_signal } from "./fence.ts";
import * as resv from "./resv.ts";
import { DMA_RESV_SIZE, type DmaResvPtr } from "./resv.ts";
import type { SgTablePtr } from "./scatterlist.ts";
import { mock_fence } from "./testing/mock-fence.ts";

const PRIV = 0x1234;
const DEV = kernel_static("test_dev", 4);
const SGT = kernel_static("test_sgt", 12) as SgTablePtr;
const SHARED = kernel_static("test_shared_resv", DMA_RESV_SIZE) as DmaResvPtr;

/** What the exporter and the importer were asked, and whether the reservation was held. */
const calls: string[] = [];
/** What the exporter answers. */
const answers = { attach: 0, pin: 0, map: SGT as number, vmap: 0x4000, begin: 0 };

function heard(cpu: Cpu, dmabuf: DmaBufPtr, name: string): void {
  const held = resv.dma_resv_held(cpu, buf.dma_buf_resv(cpu, dmabuf));
  calls.push(`${name} ${held ? "locked" : "unlocked"}`);
}
function of(name: string, answer: () => number): number {
  return kernel_symbol((cpu: Cpu, attach: AttachmentPtr) => {
    heard(cpu, buf.attach_dmabuf(cpu, attach), name);
    return answer();
  });
}
function on(name: string, answer: () => number): number {
  return kernel_symbol((cpu: Cpu, dmabuf: DmaBufPtr) => {
    heard(cpu, dmabuf, name);
    return answer();
  });
}
const none = (): number => 0;
const WORDS = [
  on("attach", () => answers.attach),
  on("detach", none),
  of("pin", () => answers.pin),
  of("unpin", none),
  of("map", () => answers.map),
  of("unmap", none),
  on("release", none),
  on("begin", () => answers.begin),
  on("end", none),
  on("vmap", () => answers.vmap),
  on("vunmap", none),
];
const OPS = kernel_rodata("test_dma_buf_ops", WORDS);
function without(name: string, ...words: number[]): number {
  return kernel_rodata(
    `ops_${name}`,
    WORDS.map((word, i) => (words.includes(i * 4) ? 0 : word)),
  );
}
const MINIMAL = without(
  "minimal",
  buf.DMA_BUF_OPS_ATTACH,
  buf.DMA_BUF_OPS_DETACH,
  buf.DMA_BUF_OPS_PIN,
  buf.DMA_BUF_OPS_UNPIN,
  buf.DMA_BUF_OPS_BEGIN_CPU_ACCESS,
  buf.DMA_BUF_OPS_END_CPU_ACCESS,
  buf.DMA_BUF_OPS_VMAP,
  buf.DMA_BUF_OPS_VUNMAP,
);
const INCOMPLETE = [
  without("no_map", buf.DMA_BUF_OPS_MAP_DMA_BUF),
  without("no_unmap", buf.DMA_BUF_OPS_UNMAP_DMA_BUF),
  without("no_release", buf.DMA_BUF_OPS_RELEASE),
  without("no_pin", buf.DMA_BUF_OPS_PIN),
  without("no_unpin", buf.DMA_BUF_OPS_UNPIN),
];
const IMPORTER = kernel_rodata("test_importer_ops", [1, of("invalidate", none)]);
const DEAF_IMPORTER = kernel_rodata("test_deaf_importer_ops", [0, 0]);

function boot(): Cpu {
  const cpu = boot_solo();
  calls.length = 0;
  Object.assign(answers, { attach: 0, pin: 0, map: SGT, vmap: 0x4000, begin: 0 });
  return cpu;
}
function exported(cpu: Cpu, ops: number = OPS): DmaBufPtr {
  return buf.dma_buf_export(cpu, ops, PRIV, 65536, 0);
}
function lock(cpu: Cpu, dmabuf: DmaBufPtr): void {
  resv.dma_resv_lock(cpu, buf.dma_buf_resv(cpu, dmabuf), 0);
}
function unlock(cpu: Cpu, dmabuf: DmaBufPtr): void {
  resv.dma_resv_unlock(cpu, buf.dma_buf_resv(cpu, dmabuf));
}

it.each(struct_layouts().filter((l) => /dma_buf/.test(l.name)))("$name has a sound layout", (layout) => {
  expect(layout_faults(layout)).toEqual([]);
});

it("a buffer lives as long as its references, and leaves nothing behind", () => {
  const cpu = boot();
  const before = kmem_in_use(cpu);
  const d = exported(cpu);
  expect(buf.dma_buf_size(cpu, d)).toBe(65536);
  expect(buf.dma_buf_priv(cpu, d)).toBe(PRIV);
  buf.get_dma_buf(cpu, d);
  buf.dma_buf_put(cpu, d);
  expect(calls).toEqual([]);
  buf.dma_buf_put(cpu, d);
  expect(calls).toEqual(["release unlocked"]);
  rcu_barrier(cpu);
  expect(kmem_in_use(cpu)).toBe(before);
  expect(buf.dma_buf_counters(cpu)).toMatchObject({ exported: 1, released: 1 });
  expect(dmesg(cpu)).toEqual([]);
});

it("a descriptor holds a reference, and finds the buffer again", () => {
  const cpu = boot();
  const d = exported(cpu);
  const fd = buf.dma_buf_fd(cpu, d);
  expect(fd).toBeGreaterThan(2);
  expect(buf.dma_buf_get(cpu, fd)).toBe(d);
  expect(file_count(cpu, buf.dma_buf_file(cpu, d))).toBe(2);
  close_fd(cpu, fd);
  expect(calls).toEqual([]);
  buf.dma_buf_put(cpu, d);
  expect(calls).toEqual(["release unlocked"]);
  expect(buf.dma_buf_get(cpu, fd)).toBe(-EBADF);
  expect(buf.dma_buf_get(cpu, 0), "the console is another kind of file").toBe(-EINVAL);
  const other = get_unused_fd_flags(cpu, 0);
  const file = anon_inode_getfile(cpu, 0, 0, 0);
  fd_install(cpu, other, file);
  expect(buf.dma_buf_get(cpu, other)).toBe(-EINVAL);
  expect(file_count(cpu, file), "no reference kept").toBe(1);
  expect(buf.dma_buf_fd(cpu, 0 as DmaBufPtr)).toBe(-EINVAL);
});

it("when descriptors run out the caller keeps its reference", () => {
  const cpu = boot();
  const d = exported(cpu);
  while (open_fd_count(cpu) < NR_OPEN - 3) get_unused_fd_flags(cpu, 0);
  expect(buf.dma_buf_fd(cpu, d)).toBe(-EMFILE);
  expect(file_count(cpu, buf.dma_buf_file(cpu, d))).toBe(1);
});

it.each(INCOMPLETE)("an exporter without a required operation is refused (%#)", (ops) => {
  const cpu = boot();
  expect(exported(cpu, ops)).toBe(-EINVAL);
  expect(dmesg(cpu)).toHaveLength(1);
});

it("an exporter without priv is refused, and memory may run out", () => {
  const cpu = boot();
  expect(buf.dma_buf_export(cpu, OPS, 0, 4096, 0)).toBe(-EINVAL);
  const before = kmem_in_use(cpu);
  for (const after of [0, 1]) {
    fault_arm(cpu, FAULT_SLAB, { after, times: 1 });
    expect(exported(cpu)).toBe(-ENOMEM);
    expect(kmem_in_use(cpu)).toBe(before);
  }
});

it("buffers may share a reservation object, which outlives them", () => {
  const cpu = boot();
  resv.dma_resv_init(cpu, SHARED);
  const d = buf.dma_buf_export(cpu, OPS, PRIV, 4096, SHARED);
  expect(buf.dma_buf_resv(cpu, d)).toBe(SHARED);
  buf.dma_buf_put(cpu, d);
  expect(resv.dma_resv_trylock(cpu, SHARED)).toBe(true);
});

it("attach asks the exporter unlocked, and its refusal is the answer", () => {
  const cpu = boot();
  const d = exported(cpu);
  const before = kmem_in_use(cpu);
  answers.attach = -EIO;
  expect(buf.dma_buf_dynamic_attach(cpu, d, DEV, IMPORTER, 7)).toBe(-EIO);
  expect(kmem_in_use(cpu)).toBe(before);
  fault_arm(cpu, FAULT_SLAB, { after: 0, times: 1 });
  expect(buf.dma_buf_attach(cpu, d, DEV)).toBe(-ENOMEM);
  expect(dmesg(cpu)).toEqual([]);
  expect(buf.dma_buf_attach(cpu, d, 0)).toBe(-EINVAL);
  expect(calls).toEqual(["attach unlocked"]);
});

it("an attachment knows its parties", () => {
  const cpu = boot();
  const d = exported(cpu);
  const a = buf.dma_buf_dynamic_attach(cpu, d, DEV, IMPORTER, 7);
  expect(buf.attach_dmabuf(cpu, a)).toBe(d);
  expect(buf.attach_dev(cpu, a)).toBe(DEV);
  expect(buf.attach_importer_priv(cpu, a)).toBe(7);
  expect(buf.attach_peer2peer(cpu, a)).toBe(true);
  buf.attach_set_priv(cpu, a, 9);
  expect(buf.attach_priv(cpu, a)).toBe(9);
  expect(buf.dma_buf_attach_revocable(cpu, a)).toBe(true);
  buf.dma_buf_detach(cpu, d, a);
  expect(calls).toEqual(["attach unlocked", "detach unlocked"]);
  expect(buf.dma_buf_counters(cpu)).toMatchObject({ attached: 1, detached: 1 });
  expect(dmesg(cpu)).toEqual([]);
});

it("a dynamic importer's mapping is neither pinned nor waited for", () => {
  const cpu = boot();
  const d = exported(cpu);
  const a = buf.dma_buf_dynamic_attach(cpu, d, DEV, IMPORTER, 0);
  calls.length = 0;
  lock(cpu, d);
  const r = buf.dma_buf_resv(cpu, d);
  resv.dma_resv_reserve_fences(cpu, r, 1);
  const fence = mock_fence(cpu, 1, 1);
  resv.dma_resv_add_fence(cpu, r, fence, resv.DMA_RESV_USAGE_KERNEL);
  expect(buf.dma_buf_map_attachment(cpu, a, 0)).toBe(SGT);
  buf.dma_buf_unmap_attachment(cpu, a, SGT, 0);
  expect(buf.dma_buf_pin(cpu, a)).toBe(0);
  buf.dma_buf_unpin(cpu, a);
  unlock(cpu, d);
  expect(calls).toEqual(["map locked", "unmap locked", "pin locked", "unpin locked"]);
  expect(buf.dma_buf_counters(cpu)).toMatchObject({ mapped: 1, unmapped: 1 });
  dma_fence_signal(cpu, fence);
  dma_fence_put(cpu, fence);
  expect(dmesg(cpu)).toEqual([]);
});

it("a static importer's buffer is pinned while it is mapped", () => {
  const cpu = boot();
  const d = exported(cpu);
  const a = buf.dma_buf_attach(cpu, d, DEV);
  calls.length = 0;
  expect(buf.dma_buf_map_attachment_unlocked(cpu, a, 0)).toBe(SGT);
  buf.dma_buf_unmap_attachment_unlocked(cpu, a, SGT, 0);
  expect(calls).toEqual(["pin locked", "map locked", "unmap locked", "unpin locked"]);
  calls.length = 0;
  answers.pin = -EBUSY;
  expect(buf.dma_buf_map_attachment_unlocked(cpu, a, 0)).toBe(-EBUSY);
  expect(calls).toEqual(["pin locked"]);
  expect(dmesg(cpu), "attached, yet it cannot be pinned").toHaveLength(1);
});

it.each([
  [0, -ENOMEM],
  [-EIO, -EIO],
])("an exporter that maps %i makes map_attachment %i, and unpins", (answer, error) => {
  const cpu = boot();
  const a = buf.dma_buf_attach(cpu, exported(cpu), DEV);
  calls.length = 0;
  answers.map = answer;
  expect(buf.dma_buf_map_attachment_unlocked(cpu, a, 0)).toBe(error);
  expect(calls).toEqual(["pin locked", "map locked", "unpin locked"]);
  expect(buf.dma_buf_counters(cpu)).toMatchObject({ mapped: 0, unmapped: 0 });
});

it("invalidation tells every importer that can listen, with the reservation held", () => {
  const cpu = boot();
  const d = exported(cpu);
  const attachments = [IMPORTER, DEAF_IMPORTER, 0, IMPORTER].map((ops) =>
    buf.dma_buf_dynamic_attach(cpu, d, DEV, ops, 0),
  );
  calls.length = 0;
  lock(cpu, d);
  buf.dma_buf_invalidate_mappings(cpu, d);
  unlock(cpu, d);
  expect(calls).toEqual(["invalidate locked", "invalidate locked"]);
  buf.dma_buf_detach(cpu, d, attachments[0] as AttachmentPtr);
  calls.length = 0;
  lock(cpu, d);
  buf.dma_buf_invalidate_mappings(cpu, d);
  unlock(cpu, d);
  expect(calls).toEqual(["invalidate locked"]);
  expect(dmesg(cpu)).toEqual([]);
});

it("the CPU waits for writers before it reads, and for all before it writes", () => {
  const cpu = boot();
  const d = exported(cpu);
  const r = buf.dma_buf_resv(cpu, d);
  const TO_DEVICE = 1;
  const FROM_DEVICE = 2;
  const fence = mock_fence(cpu, 1, 1);
  lock(cpu, d);
  resv.dma_resv_reserve_fences(cpu, r, 1);
  resv.dma_resv_add_fence(cpu, r, fence, resv.DMA_RESV_USAGE_READ);
  unlock(cpu, d);
  expect(buf.dma_buf_begin_cpu_access(cpu, d, FROM_DEVICE)).toBe(0);
  expect(buf.dma_buf_end_cpu_access(cpu, d, FROM_DEVICE)).toBe(0);
  expect(calls).toEqual(["begin unlocked", "end unlocked"]);
  // Nobody would ever signal it: the solo kernel says so instead of hanging.
  expect(() => buf.dma_buf_begin_cpu_access(cpu, d, TO_DEVICE)).toThrow("sleep forever");
});

it("an exporter may refuse CPU access; without callbacks it is granted", () => {
  const cpu = boot();
  answers.begin = -EIO;
  expect(buf.dma_buf_begin_cpu_access(cpu, exported(cpu), 2)).toBe(-EIO);
  const plain = exported(cpu, MINIMAL);
  expect(buf.dma_buf_begin_cpu_access(cpu, plain, 1)).toBe(0);
  expect(buf.dma_buf_end_cpu_access(cpu, plain, 1)).toBe(0);
  lock(cpu, plain);
  expect(buf.dma_buf_vmap(cpu, plain)).toBe(-EINVAL);
  unlock(cpu, plain);
});

it("kernel mappings nest: one vmap, one vunmap", () => {
  const cpu = boot();
  const d = exported(cpu);
  lock(cpu, d);
  expect(buf.dma_buf_vmap(cpu, d)).toBe(0x4000);
  expect(buf.dma_buf_vmap(cpu, d)).toBe(0x4000);
  buf.dma_buf_vunmap(cpu, d, 0x4000);
  buf.dma_buf_vunmap(cpu, d, 0x4000);
  unlock(cpu, d);
  expect(calls).toEqual(["vmap locked", "vunmap locked"]);
});

/** What was said while `verb` ran. */
function said(cpu: Cpu, verb: () => void): string[] {
  const before = dmesg(cpu).length;
  verb();
  return dmesg(cpu).slice(before);
}
/** A descriptor of the buffer, without asking dma_buf_fd. */
function installed(cpu: Cpu, d: DmaBufPtr): number {
  const fd = get_unused_fd_flags(cpu, 0);
  fd_install(cpu, fd, buf.dma_buf_file(cpu, d));
  return fd;
}
const NOT_HELD = "resv not held: lockdep_assert_held";
const HELD = "resv held: lockdep_assert_not_held";
type Verb = (cpu: Cpu, d: DmaBufPtr, a: AttachmentPtr) => unknown;
const LOCKED_VERBS: [string, Verb, unknown][] = [
  ["dma_buf_map_attachment", (cpu, _, a) => buf.dma_buf_map_attachment(cpu, a, 0), SGT],
  ["dma_buf_unmap_attachment", (cpu, _, a) => buf.dma_buf_unmap_attachment(cpu, a, SGT, 0), undefined],
  ["dma_buf_pin", (cpu, _, a) => buf.dma_buf_pin(cpu, a), 0],
  ["dma_buf_unpin", (cpu, _, a) => buf.dma_buf_unpin(cpu, a), undefined],
  ["dma_buf_vmap", (cpu, d) => buf.dma_buf_vmap(cpu, d), 0x4000],
  ["dma_buf_invalidate_mappings", (cpu, d) => buf.dma_buf_invalidate_mappings(cpu, d), undefined],
];
const UNLOCKED_VERBS: [string, Verb][] = [
  ["dma_buf_export", (cpu, d) => buf.dma_buf_export(cpu, OPS, PRIV, 4096, buf.dma_buf_resv(cpu, d)) > 0],
  ["dma_buf_fd", (cpu, d) => buf.dma_buf_fd(cpu, d) >= 0],
  ["dma_buf_get", (cpu, d) => buf.dma_buf_get(cpu, installed(cpu, d)) === d],
  ["dma_buf_dynamic_attach", (cpu, d) => buf.dma_buf_dynamic_attach(cpu, d, DEV, IMPORTER, 0) > 0],
  ["dma_buf_attach", (cpu, d) => buf.dma_buf_attach(cpu, d, DEV) > 0],
  ["dma_buf_detach", (cpu, d, a) => buf.dma_buf_detach(cpu, d, a) === undefined],
  ["dma_buf_put", (cpu, d) => buf.dma_buf_put(cpu, d) === undefined],
  ["dma_buf_map_attachment_unlocked", (cpu, _, a) => buf.dma_buf_map_attachment_unlocked(cpu, a, 0) === SGT],
  [
    "dma_buf_unmap_attachment_unlocked",
    (cpu, _, a) => buf.dma_buf_unmap_attachment_unlocked(cpu, a, SGT, 0) === undefined,
  ],
  ["dma_buf_begin_cpu_access", (cpu, d) => buf.dma_buf_begin_cpu_access(cpu, d, 0) === 0],
  ["dma_buf_end_cpu_access", (cpu, d) => buf.dma_buf_end_cpu_access(cpu, d, 0) === 0],
  ["dma_buf_vmap_unlocked", (cpu, d) => buf.dma_buf_vmap_unlocked(cpu, d) === 0x4000],
];

it.each(LOCKED_VERBS)("%s without the reservation warns and does its work", (name, verb, answer) => {
  const cpu = boot();
  const d = exported(cpu);
  const a = buf.dma_buf_dynamic_attach(cpu, d, DEV, IMPORTER, 0);
  let got: unknown;
  const texts = said(cpu, () => (got = verb(cpu, d, a)));
  expect(texts).toHaveLength(1);
  expect(texts[0]).toContain(NOT_HELD);
  expect(texts[0]).toContain(`at ${name} `);
  expect(got).toBe(answer);
});

it.each(UNLOCKED_VERBS)("%s with the reservation warns, and does not hang on it", (name, verb) => {
  const cpu = boot();
  const d = exported(cpu);
  const a = buf.dma_buf_dynamic_attach(cpu, d, DEV, IMPORTER, 0);
  buf.get_dma_buf(cpu, d);
  lock(cpu, d);
  let good: unknown;
  const texts = said(cpu, () => (good = verb(cpu, d, a)));
  expect(texts).toHaveLength(1);
  expect(texts[0]).toContain(HELD);
  expect(texts[0]).toContain(`at ${name === "dma_buf_attach" ? "dma_buf_dynamic_attach" : name} `);
  expect(good).toBe(true);
  expect(resv.dma_resv_held(cpu, buf.dma_buf_resv(cpu, d)), "the caller's hold stays").toBe(true);
  unlock(cpu, d);
});

it("NULL arguments warn and are -EINVAL, or nothing happens", () => {
  const cpu = boot();
  const d = 0 as DmaBufPtr;
  const a = 0 as AttachmentPtr;
  const answers_of_null: [() => unknown, unknown][] = [
    [() => buf.dma_buf_put(cpu, d), undefined],
    [() => buf.dma_buf_dynamic_attach(cpu, d, DEV, IMPORTER, 0), -EINVAL],
    [() => buf.dma_buf_attach(cpu, d, DEV), -EINVAL],
    [() => buf.dma_buf_detach(cpu, d, a), undefined],
    [() => buf.dma_buf_map_attachment(cpu, a, 0), -EINVAL],
    [() => buf.dma_buf_map_attachment_unlocked(cpu, a, 0), -EINVAL],
    [() => buf.dma_buf_unmap_attachment(cpu, a, SGT, 0), undefined],
    [() => buf.dma_buf_unmap_attachment_unlocked(cpu, a, SGT, 0), undefined],
    [() => buf.dma_buf_pin(cpu, a), -EINVAL],
    [() => buf.dma_buf_unpin(cpu, a), undefined],
    [() => buf.dma_buf_begin_cpu_access(cpu, d, 0), -EINVAL],
    [() => buf.dma_buf_end_cpu_access(cpu, d, 0), -EINVAL],
    [() => buf.dma_buf_vmap(cpu, d), -EINVAL],
    [() => buf.dma_buf_vmap_unlocked(cpu, d), -EINVAL],
    [() => buf.dma_buf_vunmap(cpu, d, 0), undefined],
    [() => buf.dma_buf_vunmap_unlocked(cpu, d, 0), undefined],
    [() => buf.dma_buf_invalidate_mappings(cpu, d), undefined],
  ];
  for (const [verb, answer] of answers_of_null) {
    let got: unknown;
    expect(said(cpu, () => (got = verb()))).toHaveLength(1);
    expect(got).toBe(answer);
  }
  expect(calls).toEqual([]);
});

it("only a dynamic importer pins", () => {
  const cpu = boot();
  const d = exported(cpu);
  const a = buf.dma_buf_attach(cpu, d, DEV);
  lock(cpu, d);
  expect(said(cpu, () => buf.dma_buf_pin(cpu, a))).toHaveLength(1);
  expect(said(cpu, () => buf.dma_buf_unpin(cpu, a))).toHaveLength(1);
  unlock(cpu, d);
});

it("a static importer's mapping waits for the fences of those who move the buffer, and for no others", () => {
  const cpu = boot();
  const d = exported(cpu);
  const a = buf.dma_buf_attach(cpu, d, DEV);
  const r = buf.dma_buf_resv(cpu, d);
  lock(cpu, d);
  resv.dma_resv_reserve_fences(cpu, r, 2);
  const writer = mock_fence(cpu, 1, 1);
  resv.dma_resv_add_fence(cpu, r, writer, resv.DMA_RESV_USAGE_WRITE);
  expect(buf.dma_buf_map_attachment(cpu, a, 0)).toBe(SGT);
  buf.dma_buf_unmap_attachment(cpu, a, SGT, 0);
  const mover = mock_fence(cpu, 2, 1);
  resv.dma_resv_add_fence(cpu, r, mover, resv.DMA_RESV_USAGE_KERNEL);
  set_tsk_thread_flag(cpu, current_task(cpu), TIF_SIGPENDING);
  calls.length = 0;
  expect(buf.dma_buf_map_attachment(cpu, a, 0), "interrupted, and undone").toBe(-ERESTARTSYS);
  expect(calls).toEqual(["pin locked", "map locked", "unmap locked", "unpin locked"]);
  unlock(cpu, d);
  expect(buf.dma_buf_begin_cpu_access(cpu, d, 1)).toBe(-ERESTARTSYS);
  expect(dmesg(cpu)).toEqual([]);
});

it("unlocked kernel mappings take the reservation themselves", () => {
  const cpu = boot();
  const d = exported(cpu);
  expect(buf.dma_buf_vmap_unlocked(cpu, d)).toBe(0x4000);
  buf.dma_buf_vunmap_unlocked(cpu, d, 0x4000);
  expect(calls).toEqual(["vmap locked", "vunmap locked"]);
  expect(dmesg(cpu)).toEqual([]);
});

it("a buffer released with attachments warns", () => {
  const cpu = boot();
  const d = exported(cpu);
  buf.dma_buf_attach(cpu, d, DEV);
  buf.dma_buf_put(cpu, d);
  expect(dmesg(cpu)).toHaveLength(1);
});

it("detaching from the wrong buffer warns and does nothing", () => {
  const cpu = boot();
  const a = buf.dma_buf_attach(cpu, exported(cpu), DEV);
  buf.dma_buf_detach(cpu, exported(cpu), a);
  expect(dmesg(cpu)).toHaveLength(1);
  expect(buf.dma_buf_counters(cpu).detached).toBe(0);
});
