/** Names of places for reports: "task_struct+0x80 of CPU 1", "vram_create()+0x1c". Plain reads only. */
import { percpu_name, PERCPU_AREA, static_name } from "@ringside/core/debug/image";
import { observed_private, PG_slab } from "@ringside/core/mm/page";
import {
  OBJECT_ALLOC_SITE,
  slab_object_address,
  slab_object_of,
  type SlabPtr,
} from "@ringside/core/mm/slab-meta";
import type { Cpu } from "@ringside/core/sched/cpu";
import { site_names } from "./site-names.ts";

/** The object at an address: a static one, one of a CPU, or who allocated it; "" if it is none of these. */
export function place_name(cpu: Cpu, place: number): string {
  const { percpu, dmesg, pages, pages_end } = cpu.map;
  if (place < percpu) return static_name(place);
  if (place < dmesg) return percpu_place(place - percpu);
  return place >= pages && place < pages_end ? slab_place(cpu, place) : "";
}

function percpu_place(offset: number): string {
  const id = Math.floor(offset / PERCPU_AREA);
  const name = percpu_name(offset % PERCPU_AREA);
  return name === "" ? `stack of CPU ${id}` : `${name} of CPU ${id}`;
}

/** By the function that allocated it: that says best what it is. */
function slab_place(cpu: Cpu, place: number): string {
  const slab = observed_private(cpu, place, PG_slab) as SlabPtr;
  const record = slab === 0 ? 0 : slab_object_of(cpu, slab, place);
  if (record === 0) return "";
  const site = site_names.site_name(cpu.mem.read16(record + OBJECT_ALLOC_SITE));
  return `${site.split(" ")[0]}()+0x${(place - slab_object_address(cpu, slab, record)).toString(16)}`;
}
