/**
 * A second opinion on PRPs: reads PRP1, PRP2 and the lists as the specification says (NVMe 2.1 4.3.1) and
 * writes out which bytes they mean. Shares nothing with the driver's builder or the controller's reader.
 */

export interface PrpSource {
  /** The 64-bit word at DMA address `at`. */
  entry(at: number): number;
}

const PAGE = 4096;

/** Address of every 4 KiB piece, first to last; throws where the specification forbids what it reads. */
export function walk_prps(
  source: PrpSource,
  prp1: number,
  prp2: number,
  bytes: number,
): [at: number, len: number][] {
  const pieces: [number, number][] = [];
  if (prp1 % 4 !== 0) throw new Error("PRP1 is not dword aligned");
  const first = Math.min(bytes, PAGE - (prp1 % PAGE));
  pieces.push([prp1, first]);
  let left = bytes - first;
  if (left === 0) return pieces;
  if (left <= PAGE) {
    if (prp2 % PAGE !== 0) throw new Error("PRP2 has an offset");
    pieces.push([prp2, left]);
    return pieces;
  }
  if (prp2 % 8 !== 0) throw new Error("PRP list is not qword aligned");
  let at = prp2;
  while (left > 0) {
    const end_of_page = at - (at % PAGE) + PAGE;
    const last_slot = at + 8 === end_of_page;
    const value = source.entry(at);
    if (value % PAGE !== 0) {
      if (!(last_slot && left > PAGE && value % 8 === 0)) throw new Error("PRP entry has an offset");
    }
    if (last_slot && left > PAGE) {
      at = value;
      continue;
    }
    pieces.push([value, Math.min(left, PAGE)]);
    left -= Math.min(left, PAGE);
    at += 8;
  }
  return pieces;
}
