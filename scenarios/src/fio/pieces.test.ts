/** The book of written blocks, against a book that is too simple to be wrong. */
import { expect, test } from "vitest";
import { common_divisor, WrittenPieces } from "./pieces.ts";
import { FioRandom } from "./random.ts";

const UNIT = 512;
const UNITS = 64;

interface Piece {
  readonly first: number;
  readonly units: number;
  readonly seed: number;
  state: "writing" | "written" | "reading";
}

/** A list, searched from the front. */
class SimpleBook {
  pieces: Piece[] = [];

  touching(first: number, units: number): Piece[] {
    return this.pieces.filter((p) => p.first < first + units && first < p.first + p.units);
  }
}

const byFirst = (book: SimpleBook, first: number): Piece =>
  book.pieces.find((piece) => piece.first === first) as Piece;

test("ten thousand writes, read-backs and overwrites agree with a simple list", () => {
  const regions = [{ name: "f", start: 4096, offset: 1024, bytes: UNITS * UNIT }];
  const pieces = new WrittenPieces(regions, UNIT);
  const book = new SimpleBook();
  const random = new FioRandom(3, 1);
  for (let step = 0; step < 10_000; step++) {
    const units = 1 + random.uniform(4);
    const first = random.uniform(UNITS - units + 1);
    const offset = 1024 + first * UNIT;
    const touched = book.touching(first, units);
    const busy = touched.some((p) => p.state !== "written");
    expect(pieces.is_busy(0, offset, units * UNIT)).toBe(busy);
    if (!busy) {
      expect(pieces.begin_write(0, offset, units * UNIT, step, step & 0xffff)).toBe(first);
      book.pieces = book.pieces.filter((p) => !touched.includes(p));
      book.pieces.push({ first, units, seed: step, state: "writing" });
    }
    const writing = book.pieces.filter((p) => p.state === "writing");
    if (writing.length > random.uniform(4)) {
      const done = writing[random.uniform(writing.length)] as Piece;
      done.state = "written";
      pieces.end_write(done.first);
    }
    const oldest = book.pieces.find((p) => p.state !== "reading");
    const piece = random.uniform(3) === 0 ? pieces.begin_read() : -2;
    if (piece !== -2) {
      expect(piece).toBe(oldest?.state === "written" ? oldest.first : -1);
      if (piece >= 0) {
        expect(pieces.offset_of(piece)).toBe(1024 + piece * UNIT);
        expect(pieces.bytes_of(piece)).toBe((oldest as Piece).units * UNIT);
        expect(pieces.seed_of(piece)).toBe((oldest as Piece).seed);
        byFirst(book, piece).state = "reading";
      }
    }
    const reading = book.pieces.filter((p) => p.state === "reading");
    if (reading.length > random.uniform(3)) {
      const done = reading[0] as Piece;
      pieces.forget_piece(done.first);
      book.pieces = book.pieces.filter((p) => p !== done);
    }
    expect(pieces.waiting).toBe(book.pieces.filter((p) => p.state !== "reading").length);
  }
});

test("pieces of several files keep apart", () => {
  const regions = [
    { name: "a", start: 0, offset: 0, bytes: 8 * UNIT },
    { name: "b", start: 65536, offset: 4096, bytes: 8 * UNIT },
  ];
  const pieces = new WrittenPieces(regions, UNIT);
  const first = pieces.begin_write(0, 7 * UNIT, UNIT, 1, 0);
  const second = pieces.begin_write(1, 4096, UNIT, 2, 0);
  expect([pieces.region_of(first), pieces.offset_of(first)]).toEqual([0, 7 * UNIT]);
  expect([pieces.region_of(second), pieces.offset_of(second)]).toEqual([1, 4096]);
});

test("blocks of 4k and 6k are counted in units of 2k", () => {
  expect(common_divisor([4096, 6144])).toBe(2048);
  expect(common_divisor([512])).toBe(512);
});
