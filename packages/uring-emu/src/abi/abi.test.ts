/** The ABI is byte exact: offsets and sizes as in include/uapi/linux/io_uring.h on a 64-bit machine. */
import { layout_faults, type StructLayout, struct_layouts } from "@ringside/core/debug/layout";
import { expect, test } from "vitest";
import "../liburing.ts";
import { io_uring_cqe_layout } from "./cqe.ts";
import { io_uring_getevents_arg_layout } from "./enter.ts";
import {
  io_uring_regbuf_desc_layout,
  io_uring_rsrc_register_layout,
  io_uring_rsrc_update2_layout,
  iovec_layout,
} from "./register.ts";
import { io_cqring_offsets_layout, io_sqring_offsets_layout, io_uring_params_layout } from "./setup.ts";
import { io_uring_sqe_layout } from "./sqe.ts";

/** "name@offset:bytes ..." then the size. */
const GOLDEN: readonly [StructLayout, string, number][] = [
  [
    io_uring_sqe_layout,
    "opcode@0:1 flags@1:1 ioprio@2:2 fd@4:4 off@8:8 addr@16:8 len@24:4 rw_flags@28:4 user_data@32:8 " +
      "buf_index@40:2 personality@42:2 splice_fd_in@44:4 addr3@48:8 __pad2@56:8",
    64,
  ],
  [io_uring_cqe_layout, "user_data@0:8 res@8:4 flags@12:4", 16],
  [
    io_sqring_offsets_layout,
    "head@0:4 tail@4:4 ring_mask@8:4 ring_entries@12:4 flags@16:4 dropped@20:4 array@24:4 resv1@28:4 user_addr@32:8",
    40,
  ],
  [
    io_cqring_offsets_layout,
    "head@0:4 tail@4:4 ring_mask@8:4 ring_entries@12:4 overflow@16:4 cqes@20:4 flags@24:4 resv1@28:4 user_addr@32:8",
    40,
  ],
  [
    io_uring_params_layout,
    "sq_entries@0:4 cq_entries@4:4 flags@8:4 sq_thread_cpu@12:4 sq_thread_idle@16:4 features@20:4 wq_fd@24:4 " +
      "resv@28:12 sq_off@40:40 cq_off@80:40",
    120,
  ],
  [io_uring_getevents_arg_layout, "sigmask@0:8 sigmask_sz@8:4 pad@12:4 ts@16:8", 24],
  [iovec_layout, "iov_base@0:8 iov_len@8:8", 16],
  [io_uring_rsrc_register_layout, "nr@0:4 flags@4:4 resv2@8:8 data@16:8 tags@24:8", 32],
  [io_uring_rsrc_update2_layout, "offset@0:4 flags@4:4 data@8:8 tags@16:8 nr@24:4 resv2@28:4", 32],
  [
    io_uring_regbuf_desc_layout,
    "type@0:4 flags@4:4 size@8:8 uaddr@16:8 dmabuf_fd@24:4 target_fd@28:4 __resv@32:48",
    80,
  ],
];

test.for(GOLDEN.map(([layout, fields, size]) => [layout.name, layout, fields, size] as const))(
  "struct %s has the layout of the uapi header",
  ([, layout, fields, size]) => {
    expect(layout.fields.map(([name, at, bytes]) => `${name}@${at}:${bytes}`).join(" ")).toBe(fields);
    expect(layout.size).toBe(size);
  },
);

test.for(GOLDEN.map(([layout]) => [layout.name, layout] as const))(
  "struct %s has no padding that is not a field",
  ([, layout]) => {
    expect(layout.fields.reduce((sum, [, , bytes]) => sum + bytes, 0)).toBe(layout.size);
  },
);

test("no field of any struct overlaps another, is misaligned or past the end", () => {
  const ours = struct_layouts().filter((layout) => layout.name.startsWith("io_"));
  expect(ours.length).toBeGreaterThan(GOLDEN.length);
  expect(ours.flatMap(layout_faults)).toEqual([]);
});
