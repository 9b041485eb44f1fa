/** PRP entries: alignment, offsets, chained lists, and where every byte lands. */
import { beforeEach, describe, expect, it } from "vitest";
import * as O from "../spec/opcodes.ts";
import { inline_client, type NvmeTestClient, type TestCommand } from "../testing/client.ts";

const PAGE = 4096;
const OFFSET = "0/13h PRP_INVALID_OFFSET";
const OK = "0/00h SUCCESS";

let client: NvmeTestClient;
beforeEach(() => {
  client = inline_client();
  client.enable();
  client.create_pair(1, 16);
});

/** Media block b, word w holds this. */
function pattern(word: number): number {
  return Math.imul(word + 1, 0x9e3779b1) | 0;
}

function fill_media(bytes: number): void {
  const { mem, map } = client.cpu;
  for (let i = 0; i < bytes; i += 4) mem.write(map.media + i, pattern(i >> 2));
}

/** The words of a host buffer given page by page (address, bytes) are the media's from the start. */
function matches(parts: readonly (readonly [number, number])[]): boolean {
  let word = 0;
  for (const [p, bytes] of parts) {
    for (let i = 0; i < bytes; i += 4) if (client.cpu.mem.read(p + i) !== pattern(word++)) return false;
  }
  return true;
}

function read(blocks: number, prp1: number, prp2: number = 0): TestCommand {
  return { opcode: O.nvme_cmd_read, prp1, prp2, cdw12: blocks - 1 };
}

/** Pages that are not neighbours. */
function scattered(count: number): number[] {
  const pages: number[] = [];
  for (let i = 0; i < count; i++) {
    pages.push(client.alloc(PAGE));
    client.alloc(PAGE);
  }
  return pages;
}

/** Writes `entries` as a PRP list starting at `list`, chained into fresh pages where a page ends. */
function write_list(list: number, entries: readonly number[]): void {
  let at = list;
  entries.forEach((entry, i) => {
    const last_slot = (at & (PAGE - 1)) === PAGE - 8;
    if (last_slot && i < entries.length - 1) {
      const next = client.alloc(PAGE);
      client.cpu.mem.write64(at, next);
      at = next;
    }
    client.cpu.mem.write64(at, entry);
    at += 8;
  });
}

describe("one and two pages", () => {
  it("PRP1 may have any dword offset; PRP2 is ignored when not needed", () => {
    fill_media(512);
    const page = client.alloc(PAGE);
    for (let offset = 0; offset <= PAGE - 512; offset += 4) {
      client.cpu.mem.memset(page, 0, PAGE);
      expect(client.io_status(1, read(1, page + offset, 0xdead01))).toBe(OK);
      expect(matches([[page + offset, 512]])).toBe(true);
    }
  });

  it("an offset that is not a dword's is refused", () => {
    const page = client.alloc(PAGE);
    for (const offset of [1, 2, 3]) expect(client.io_status(1, read(1, page + offset))).toBe(OFFSET);
  });

  it("what PRP1's page cannot hold goes to PRP2, whatever the offset", () => {
    fill_media(PAGE);
    for (let offset = 4; offset < PAGE; offset += 124) {
      const [one = 0, two = 0] = scattered(2);
      expect(client.io_status(1, read(8, one + offset, two))).toBe(OK);
      expect(
        matches([
          [one + offset, PAGE - offset],
          [two, offset],
        ]),
      ).toBe(true);
    }
  });

  it("PRP2 as a data pointer has no offset", () => {
    const page = client.alloc(2 * PAGE);
    for (let offset = 4; offset < PAGE; offset *= 2) {
      expect(client.io_status(1, read(16, page, page + PAGE + offset))).toBe(OFFSET);
    }
  });

  it("PRP2 is missing: invalid field", () => {
    expect(client.io_status(1, read(16, client.alloc(PAGE)))).toBe("0/02h INVALID_FIELD");
    expect(client.io_status(1, read(1, 0))).toBe("0/02h INVALID_FIELD");
  });

  it("an address outside memory is a data transfer error", () => {
    expect(client.io_status(1, read(1, 0x7fff0000))).toBe("0/04h DATA_XFER_ERROR");
    expect(client.io_status(1, read(16, client.alloc(PAGE), 0x7fff0000))).toBe("0/04h DATA_XFER_ERROR");
  });
});

describe("lists", () => {
  it.each([3, 4, 255, 256])("%i scattered pages arrive in order", (pages) => {
    fill_media(pages * PAGE);
    const buffers = scattered(pages);
    const list = client.alloc(PAGE);
    write_list(list, buffers.slice(1));
    expect(client.io_status(1, read(pages * 8, buffers[0] ?? 0, list))).toBe(OK);
    expect(matches(buffers.map((p) => [p, PAGE]))).toBe(true);
  });

  it("neighbouring pages are one run, and a gap in the middle is respected", () => {
    fill_media(8 * PAGE);
    const run = client.alloc(4 * PAGE);
    client.alloc(PAGE);
    const rest = client.alloc(4 * PAGE);
    const pages = [0, 1, 2, 3].map((i) => run + i * PAGE).concat([0, 1, 2, 3].map((i) => rest + i * PAGE));
    const list = client.alloc(PAGE);
    write_list(list, pages.slice(1));
    expect(client.io_status(1, read(64, run, list))).toBe(OK);
    expect(matches(pages.map((p) => [p, PAGE]))).toBe(true);
  });

  it("the list may start anywhere in its page, and chains at the page's end", () => {
    const pages = 64;
    fill_media(pages * PAGE);
    const buffers = scattered(pages);
    for (const slots of [2, 3, 7, 31, 62, 63, 64]) {
      const list = client.alloc(PAGE) + PAGE - slots * 8;
      for (const p of buffers) client.cpu.mem.memset(p, 0, PAGE);
      write_list(list, buffers.slice(1));
      expect(client.io_status(1, read(pages * 8, buffers[0] ?? 0, list))).toBe(OK);
      expect(matches(buffers.map((p) => [p, PAGE]))).toBe(true);
    }
  });

  it("an exactly full list does not chain: its last slot is data", () => {
    const pages = 9;
    fill_media(pages * PAGE);
    const buffers = scattered(pages);
    const list = client.alloc(PAGE) + PAGE - 8 * 8;
    write_list(list, buffers.slice(1));
    expect(client.io_status(1, read(pages * 8, buffers[0] ?? 0, list))).toBe(OK);
    expect(matches(buffers.map((p) => [p, PAGE]))).toBe(true);
  });

  it("lists of one slot each chain page after page", () => {
    const buffers = scattered(6);
    fill_media(6 * PAGE);
    const lists = [0, 1].map(() => client.alloc(PAGE));
    const list = (lists[0] ?? 0) + PAGE - 16;
    const { mem } = client.cpu;
    mem.write64(list, buffers[1] ?? 0);
    mem.write64(list + 8, lists[1] ?? 0);
    buffers.slice(2).forEach((p, i) => mem.write64((lists[1] ?? 0) + 8 * i, p));
    expect(client.io_status(1, read(48, buffers[0] ?? 0, list))).toBe(OK);
    expect(matches(buffers.map((p) => [p, PAGE]))).toBe(true);
  });

  it("entries and chain links have no offset; the list is qword aligned", () => {
    const buffers = scattered(4);
    const list = client.alloc(PAGE);
    write_list(list, buffers.slice(1));
    expect(client.io_status(1, read(32, buffers[0] ?? 0, list + 4))).toBe(OFFSET);
    client.cpu.mem.write64(list + 8, (buffers[2] ?? 0) + 8);
    expect(client.io_status(1, read(32, buffers[0] ?? 0, list))).toBe(OFFSET);
    const late = client.alloc(PAGE) + PAGE - 8;
    client.cpu.mem.write64(late, list + 64);
    expect(client.io_status(1, read(32, buffers[0] ?? 0, late))).toBe(OFFSET);
  });

  it("a list that cannot be read is a data transfer error", () => {
    expect(client.io_status(1, read(32, client.alloc(PAGE), 0x7fff0000))).toBe("0/04h DATA_XFER_ERROR");
  });

  it("the last page may be partly used, with an offset in the first", () => {
    fill_media(4 * PAGE);
    const buffers = scattered(4);
    const list = client.alloc(PAGE);
    write_list(list, buffers.slice(1));
    const prp1 = (buffers[0] ?? 0) + 1024;
    expect(client.io_status(1, read(20, prp1, list))).toBe(OK);
    const tail = 20 * 512 - 3072 - PAGE;
    expect(
      matches([
        [prp1, 3072],
        [buffers[1] ?? 0, PAGE],
        [buffers[2] ?? 0, tail],
      ]),
    ).toBe(true);
    expect(client.cpu.mem.read((buffers[2] ?? 0) + tail)).toBe(0);
  });

  it("write moves the other way", () => {
    const buffers = scattered(3);
    const list = client.alloc(PAGE);
    write_list(list, buffers.slice(1));
    const { mem, map } = client.cpu;
    buffers.forEach((p, n) => mem.memset(p, n + 1, PAGE));
    const write = { ...read(24, buffers[0] ?? 0, list), opcode: O.nvme_cmd_write, cdw10: 100 };
    expect(client.io_status(1, write)).toBe(OK);
    [0, 1, 2].forEach((n) => expect(mem.read8(map.media + 100 * 512 + n * PAGE + 17)).toBe(n + 1));
    expect(mem.read8(map.media + 100 * 512 - 1)).toBe(0);
    expect(mem.read8(map.media + 124 * 512)).toBe(0);
  });
});
