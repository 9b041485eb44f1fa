/**
 * Reports about pages: bad_page() (mm/page_alloc.c) and page poisoning (mm/page_poison.c). Free pages are
 * filled with PAGE_POISON; one that comes back changed was written to through a stale address.
 *
 * Interface: page_poison_init once at boot; check_new_pages on pages just taken from the free lists.
 */
import { LOG_BUG, printk } from "../debug/dmesg.ts";
import { kernel_static } from "../debug/image.ts";
import { site_text } from "../debug/site.ts";
import type { Cpu } from "../sched/cpu.ts";
import {
  page_address,
  page_alloc_site,
  page_flags,
  page_free_site,
  page_to_pfn,
  type PagePtr,
  pfn_to_page,
  PG_poisoned,
  virt_to_head_page,
  virt_to_page,
} from "./page.ts";

/** What free pages are filled with (include/linux/poison.h). */
export const PAGE_POISON = 0xaa;
/** Bytes of each page that are compared with the poison. */
const POISON_CHECKED = 512;
/** CRC of that many bytes of poison: one bulk verb instead of a loop of loads. */
const POISON_CRC = kernel_static("page_poison_crc", 4);

/** Needs one page of scratch memory, which is the first of RAM: all are free. */
export function page_poison_init(cpu: Cpu): void {
  cpu.mem.memset(cpu.map.pages, PAGE_POISON, POISON_CHECKED);
  cpu.mem.write(POISON_CRC, cpu.mem.crc32c(cpu.map.pages, POISON_CHECKED));
}

/** Were free pages written to since they were freed? Pages never used are not poisoned. */
export function check_new_pages(cpu: Cpu, head: PagePtr, nr: number): void {
  const expected = cpu.mem.read(POISON_CRC);
  for (let i = 0; i < nr; i++) {
    const page = pfn_to_page(cpu, page_to_pfn(cpu, head) + i);
    if ((page_flags(cpu, page) & PG_poisoned) === 0) continue;
    const addr = page_address(cpu, page);
    if ((cpu.mem.crc32c(addr, POISON_CHECKED) | 0) !== expected) report_corruption(cpu, page, addr);
  }
}

function report_corruption(cpu: Cpu, page: PagePtr, addr: number): void {
  let at = addr;
  while (at < addr + POISON_CHECKED - 1 && cpu.mem.read8(at) === PAGE_POISON) at++;
  const value = cpu.mem.read8(at).toString(16);
  const freed = `freed by ${site_text(cpu, page_free_site(cpu, page))}`;
  printk(
    cpu,
    LOG_BUG,
    `pagealloc: memory corruption: 0x${value} instead of 0xaa at ${at}, a free page\n${freed}`,
  );
}

/** "Bad page state": the page at `addr` is not what the caller takes it for. */
export function bad_page(cpu: Cpu, addr: number, reason: string, site: number): void {
  const page = virt_to_page(cpu, addr);
  const pfn = page === 0 ? "none" : page_to_pfn(cpu, page).toString(16).padStart(5, "0");
  const head = virt_to_head_page(cpu, addr);
  let owner = "";
  if (head !== 0) owner = `\nAllocated by: ${site_text(cpu, page_alloc_site(cpu, head))}`;
  else if (page !== 0) owner = `\nFreed by: ${site_text(cpu, page_free_site(cpu, page))}`;
  const text = `BUG: Bad page state in process cpu${cpu.id}  pfn:${pfn}\npage dumped because: ${reason}`;
  printk(cpu, LOG_BUG, `${text} (address ${addr} at ${site_text(cpu, site)})${owner}`);
}
