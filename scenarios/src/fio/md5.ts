/** MD5 (RFC 1321) of bytes in memory, for verify=md5. Not for anything that needs a safe hash. */
import type { Cpu } from "@ringside/core/sched/cpu";

/** Left rotations of the four rounds, and the sines: RFC 1321 section 3.4. */
const TURNS: Uint8Array = Uint8Array.from([7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21]);
const SINES: Int32Array = Int32Array.from({ length: 64 }, (_, i) =>
  Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32),
);
const BLOCK = 64;

export class Md5 {
  /** After md5_of: the digest as four little-endian words. */
  readonly words: Int32Array = new Int32Array(4);
  readonly #block: Int32Array = new Int32Array(16);

  /** `p` and `bytes` multiples of 4. */
  md5_of(cpu: Cpu, p: number, bytes: number): void {
    const { words } = this;
    words[0] = 0x67452301;
    words[1] = 0xefcdab89 | 0;
    words[2] = 0x98badcfe | 0;
    words[3] = 0x10325476;
    const block = this.#block;
    const whole = bytes - (bytes % BLOCK);
    for (let at = 0; at < whole; at += BLOCK) {
      for (let i = 0; i < 16; i++) block[i] = cpu.mem.read(p + at + i * 4);
      this.#round();
    }
    const rest = (bytes - whole) / 4;
    block.fill(0);
    for (let i = 0; i < rest; i++) block[i] = cpu.mem.read(p + whole + i * 4);
    block[rest] = 0x80;
    if (rest >= 14) {
      this.#round();
      block.fill(0);
    }
    block[14] = bytes << 3;
    block[15] = bytes >>> 29;
    this.#round();
  }

  #round(): void {
    const { words } = this;
    const block = this.#block;
    let a = words[0] as number;
    let b = words[1] as number;
    let c = words[2] as number;
    let d = words[3] as number;
    for (let i = 0; i < 64; i++) {
      const round = i >> 4;
      let f = 0;
      let g = 0;
      if (round === 0) {
        f = (b & c) | (~b & d);
        g = i;
      } else if (round === 1) {
        f = (d & b) | (~d & c);
        g = (5 * i + 1) & 15;
      } else if (round === 2) {
        f = b ^ c ^ d;
        g = (3 * i + 5) & 15;
      } else {
        f = c ^ (b | ~d);
        g = (7 * i) & 15;
      }
      const sum = (a + f + (SINES[i] as number) + (block[g] as number)) | 0;
      const turn = TURNS[round * 4 + (i & 3)] as number;
      a = d;
      d = c;
      c = b;
      b = (b + ((sum << turn) | (sum >>> (32 - turn)))) | 0;
    }
    words[0] = ((words[0] as number) + a) | 0;
    words[1] = ((words[1] as number) + b) | 0;
    words[2] = ((words[2] as number) + c) | 0;
    words[3] = ((words[3] as number) + d) | 0;
  }
}
