/** What the threads of vram-threads.test.ts do to one buffer: write to it, map it, move it. */
import { ENOMEM } from "../../debug/errno.ts";
import { kernel_static } from "../../debug/image.ts";
import type { Cpu } from "../../sched/cpu.ts";
import { cond_resched } from "../../sched/schedule.ts";
import { msleep } from "../../sched/delay.ts";
import { linger } from "../../testing/rendezvous.ts";
import { dma_buf_detach } from "../buf.ts";
import { device_del } from "../device.ts";
import {
  vram_async_move,
  type VramBufPtr,
  vram_counters,
  vram_create,
  vram_destroy,
  vram_dmabuf,
  vram_evict,
  vram_move,
  vram_restore,
  vram_user_begin,
  vram_user_end,
  vram_user_page,
} from "../exporters/vram.ts";
import { IMPORTER_DEV, importer_attach, importer_init, importer_map, importer_unmap } from "./importer.ts";

const PAGES = 4;
const BUF = kernel_static("test_buf", 4);
/** Movers that have finished. */
const FINISHED = kernel_static("test_finished", 4);

function buffer(cpu: Cpu): VramBufPtr {
  return cpu.mem.read(BUF) as VramBufPtr;
}

export function make_buffer(cpu: Cpu): void {
  importer_init(cpu);
  const buf = vram_create(cpu, PAGES * 4096);
  for (let i = 0; i < PAGES; i++) cpu.mem.memset(vram_user_page(cpu, buf, i), 0, 4096);
  cpu.mem.write(BUF, buf);
}

/** Returns the sum of all counts in the buffer, and how often it moved. */
export function destroy_buffer(cpu: Cpu): { written: number; moves: number } {
  let written = 0;
  for (let i = 0; i < PAGES; i++) {
    vram_user_begin(cpu, buffer(cpu));
    const page = vram_user_page(cpu, buffer(cpu), i);
    for (let at = 0; at < 4096; at += 128) written += cpu.mem.read(page + at);
    vram_user_end(cpu, buffer(cpu));
  }
  vram_destroy(cpu, buffer(cpu));
  device_del(cpu, IMPORTER_DEV);
  const { evictions, moves } = vram_counters(cpu);
  return { written, moves: evictions + moves };
}

/** Adds 1 to this CPU's word of a page. */
function add_one(cpu: Cpu, page: number): void {
  const word = page + cpu.id * 128;
  const count = cpu.mem.loadAcquire(word);
  linger(cpu, 16);
  cpu.mem.storeRelease(word, count + 1);
}

/** Writes until the movers are done. Returns how often. */
export function writer(cpu: Cpu, _moves: number, movers: number): number {
  let i = 0;
  for (; cpu.mem.loadAcquire(FINISHED) < movers; i++) {
    vram_user_begin(cpu, buffer(cpu));
    add_one(cpu, vram_user_page(cpu, buffer(cpu), i % PAGES));
    vram_user_end(cpu, buffer(cpu));
    cond_resched(cpu);
  }
  return i;
}

/** Control: uses the address after the section. */
export function careless_writer(cpu: Cpu, _moves: number, movers: number): number {
  let i = 0;
  for (; cpu.mem.loadAcquire(FINISHED) < movers; i++) {
    vram_user_begin(cpu, buffer(cpu));
    const page = vram_user_page(cpu, buffer(cpu), i % PAGES);
    vram_user_end(cpu, buffer(cpu));
    add_one(cpu, page);
    cond_resched(cpu);
  }
  return i;
}

function keep_mapping(cpu: Cpu, movers: number, polite: boolean): number {
  const dmabuf = vram_dmabuf(cpu, buffer(cpu));
  const attach = importer_attach(cpu, dmabuf);
  let maps = 0;
  while (cpu.mem.loadAcquire(FINISHED) < movers) {
    importer_unmap(cpu, attach, importer_map(cpu, attach, polite));
    maps++;
    msleep(cpu, 1);
  }
  dma_buf_detach(cpu, dmabuf, attach);
  return maps;
}

export function mapper(cpu: Cpu, _moves: number, movers: number): number {
  return keep_mapping(cpu, movers, true);
}

/** Control: maps without waiting for fences. */
export function rude_mapper(cpu: Cpu, _moves: number, movers: number): number {
  return keep_mapping(cpu, movers, false);
}

/** Moves the buffer every way there is. */
export function mover(cpu: Cpu, moves: number): void {
  for (let i = 0; i < moves; i++) {
    const way = i % 5;
    let error = 0;
    if (way === 0) error = vram_evict(cpu, buffer(cpu));
    else if (way === 1) error = vram_async_move(cpu, buffer(cpu), false);
    else if (way === 2) error = vram_move(cpu, buffer(cpu));
    else if (way === 3) error = vram_async_move(cpu, buffer(cpu), true);
    else error = vram_restore(cpu, buffer(cpu));
    if (error !== 0) throw new Error(`move ${way}: ${error}`);
    cond_resched(cpu);
  }
  cpu.mem.fetchAdd(FINISHED, 1);
}

/** Pipelined moves within VRAM only, as fast as they go. */
export function async_mover(cpu: Cpu, moves: number): void {
  for (let i = 0; i < moves; i++) {
    // VRAM may be full of placements that wait for their turn.
    while (vram_async_move(cpu, buffer(cpu), false) === -ENOMEM) msleep(cpu, 1);
    cond_resched(cpu);
  }
  cpu.mem.fetchAdd(FINISHED, 1);
}
