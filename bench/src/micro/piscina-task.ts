/** What a piscina thread does with one message: as little as the other peers. */

interface Message {
  readonly op: number;
  readonly id: number;
  readonly address: number;
  readonly length: number;
}

export default function take({ op, id, address, length }: Message): number {
  return (op + id + address + length) | 0;
}
