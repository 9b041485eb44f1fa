import { DriverMachine } from "./driver-machine.ts";
import { kernel_static, kernel_symbol, symbol_call } from "@ringside/core/debug/image";
import { blk_finish_plug, blk_start_plug_nr_ios } from "@ringside/core/block/plug";
import { bdev_get_queue, disk_part0 } from "@ringside/core/block/disk";
import { nvme_disk } from "../driver/dev.ts";
import { HCTX_TYPE_POLL, HCTX_TYPE_DEFAULT, queue_hctx } from "@ringside/core/block/queue";
import { blk_mq_poll } from "@ringside/core/block/submit";
import { udmabuf_create } from "@ringside/core/dma/exporters/udmabuf";
import { io_dmabuf_create_map, io_dmabuf_token_create, IO_DMABUF_TOKEN_SIZE } from "@ringside/core/dma/token";
import { __get_free_pages } from "@ringside/core/mm/page-alloc";
import { GFP_KERNEL, kzalloc } from "@ringside/core/mm/slab";
import { iov_iter_dmabuf_map, iov_iter_bvec, IOV_ITER_SIZE, ITER_DEST } from "@ringside/core/fs/iov-iter";
import { init_kiocb, IOCB_HIPRI, KIOCB_SIZE } from "@ringside/core/fs/kiocb";
import { file_op, FOP_READ_ITER } from "@ringside/core/fs/file";
import { bvec_set_page, BIO_VEC_SIZE } from "@ringside/core/fs/bvec";
import { cond_resched } from "@ringside/core/sched/schedule";
const COUNT = kernel_static("zz", 4);
const NOTE = kernel_symbol(note); function note(cpu: any, k: number, r: number) { cpu.mem.write(COUNT, cpu.mem.read(COUNT) + 1); }
const [completion, percpu, kind, iommu, B] = process.argv.slice(2) as any;
const batch = Number(B ?? 32);
const m = DriverMachine.started({ completion, percpu, iommu, media: 64 << 20 } as any);
const cpu = m.cpu;
const pages = __get_free_pages(cpu, GFP_KERNEL, 8);
const dmabuf = udmabuf_create(cpu, pages, 1 << 20);
const token = kzalloc(cpu, IO_DMABUF_TOKEN_SIZE, GFP_KERNEL) as any;
io_dmabuf_token_create(cpu, m.file, token, dmabuf, 0);
const map = io_dmabuf_create_map(cpu, token);
const kiocbs = kzalloc(cpu, KIOCB_SIZE * batch, GFP_KERNEL), iter = kzalloc(cpu, IOV_ITER_SIZE, GFP_KERNEL) as any, bv = kzalloc(cpu, BIO_VEC_SIZE * batch, GFP_KERNEL);
const q = bdev_get_queue(cpu, disk_part0(nvme_disk(cpu)));
const hctx = queue_hctx(cpu, q, completion === "poll" ? HCTX_TYPE_POLL : HCTX_TYPE_DEFAULT, 0) as any;
const read = file_op(cpu, m.file, FOP_READ_ITER);
const hipri = completion === "poll" ? IOCB_HIPRI : 0;
function submit() {
  const plug = blk_start_plug_nr_ios(cpu, batch);
  for (let i = 0; i < batch; i++) {
    const k = (kiocbs + i * KIOCB_SIZE) as any;
    init_kiocb(cpu, k, m.file, 4096 * (cpu.random32() % 16000), hipri, NOTE);
    if (kind === "dmabuf") iov_iter_dmabuf_map(cpu, iter, ITER_DEST, map, (i % 256) * 4096, 4096);
    else { bvec_set_page(cpu, (bv + i * BIO_VEC_SIZE) as any, pages + (i % 256) * 4096, 4096, 0); iov_iter_bvec(cpu, iter, ITER_DEST, (bv + i * BIO_VEC_SIZE) as any, 1, 4096); }
    symbol_call(cpu, read, k, iter);
  }
  blk_finish_plug(cpu, plug);
}
function reap() { if (completion === "poll") blk_mq_poll(cpu, hctx); else cond_resched(cpu); }
const s: number[] = [], d: number[] = [], r: number[] = [];
for (let n = 0; n < Number(process.env.N ?? 20000); n++) {
  const a = performance.now(); submit();
  const b = performance.now(); while (m.controller.step());
  const c = performance.now(); reap();
  const e = performance.now();
  s.push(b - a); d.push(c - b); r.push(e - c);
}
const med = (x: number[]) => { x = x.slice(x.length >> 1).sort((p, q) => p - q); return (x[x.length >> 2]! * 1e6 / batch).toFixed(0); };
console.log(process.argv.slice(2).join(" "), "submit", med(s), "ns  device", med(d), "ns  reap", med(r), "ns", cpu.mem.read(COUNT));
