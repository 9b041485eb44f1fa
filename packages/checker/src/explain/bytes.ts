/** A writer and a reader of small numbers (LEB128 varints) and short texts. The reader throws RangeError at the end. */

export class ByteWriter {
  readonly bytes: number[] = [];

  /** 0 ... 2^53-1; one byte below 128. */
  number(value: number): void {
    let rest = value;
    while (rest >= 128) {
      this.bytes.push((rest % 128) | 128);
      rest = Math.floor(rest / 128);
    }
    this.bytes.push(rest);
  }
  /** Any 32 bits, in four bytes. */
  word(value: number): void {
    for (let shift = 0; shift < 32; shift += 8) this.bytes.push((value >>> shift) & 0xff);
  }
  text(value: string): void {
    const utf8 = new TextEncoder().encode(value);
    this.number(utf8.length);
    this.bytes.push(...utf8);
  }
}

export class ByteReader {
  private readonly bytes: Uint8Array;
  private readonly end: number;
  private at: number;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  get left(): number {
    return this.end - this.at;
  }

  byte(): number {
    if (this.at >= this.end) throw new RangeError("read past the end");
    return this.bytes[this.at++] as number;
  }
  number(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte();
      value += (byte & 127) * scale;
      if (value > Number.MAX_SAFE_INTEGER) throw new RangeError("a number too large");
      if (byte < 128) return value;
    }
  }
  word(): number {
    let value = 0;
    for (let shift = 0; shift < 32; shift += 8) value |= this.byte() << shift;
    return value;
  }
  text(): string {
    const length = this.number();
    if (length > this.left) throw new RangeError("a text longer than what holds it");
    this.at += length;
    return new TextDecoder().decode(this.bytes.subarray(this.at - length, this.at));
  }
}
