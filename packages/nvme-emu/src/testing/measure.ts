/**
 * How many commands a second the device side does. First fed by a host that is not measured: the ring is
 * filled, then only step() is timed. Then with host and device on two threads.
 * `node packages/nvme-emu/src/testing/measure.ts [seconds]`
 */
import "./image.ts";
import * as O from "../spec/opcodes.ts";
import { inline_client, NvmeTestClient, type TestQueue } from "./client.ts";
import { start_device } from "./device-thread.ts";
import { boot_host, machine_parts } from "./machine.ts";

const DEPTH = 64;

function measure(name: string, blocks: number, iommu: "strict" | "passthrough", seconds: number): void {
  const client = inline_client(machine_parts({ iommu, ram: 32 << 20, media: 32 << 20 }));
  client.enable();
  const queue: TestQueue = client.create_pair(1, DEPTH + 1);
  const bytes = Math.max(4096, blocks * 512);
  const buffers = Array.from({ length: DEPTH }, () => client.alloc(bytes));
  const slots = Math.floor((32 << 20) / 512 / blocks);
  let seed = 12345;
  let commands = 0;
  let spent = 0;
  while (spent < seconds * 1000) {
    for (const prp1 of buffers) {
      seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
      const cdw10 = ((seed >>> 8) % slots) * blocks;
      client.place(queue, { opcode: O.nvme_cmd_read, nsid: 1, prp1, cdw10, cdw12: blocks - 1 });
    }
    client.ring(queue);
    const begin = performance.now();
    client.pump();
    spent += performance.now() - begin;
    commands += client.reap(queue).length;
  }
  const rate = commands / spent / 1000;
  console.log(
    `${name.padEnd(28)} ${rate.toFixed(2)} M commands/s, ${((1000 * spent) / commands).toFixed(3)} us each`,
  );
}

/** Host and device on threads of their own; the host refills as it reaps. */
async function measure_threads(name: string, blocks: number, depth: number, seconds: number): Promise<void> {
  const parts = machine_parts({ ram: 32 << 20, media: 32 << 20 });
  const client = new NvmeTestClient(boot_host(parts));
  const device = start_device(parts);
  client.enable();
  const queue = client.create_pair(1, 2 * depth);
  const buffer = client.alloc(Math.max(4096, blocks * 512));
  const command = { opcode: O.nvme_cmd_read, nsid: 1, prp1: buffer, cdw12: blocks - 1 };
  const slots = Math.floor((32 << 20) / 512 / blocks);
  let placed = 0;
  let commands = 0;
  const begin = performance.now();
  while (performance.now() - begin < seconds * 1000) {
    for (let round = 0; round < 100; round++) {
      const before = placed;
      for (; placed - commands < depth; placed++) {
        client.place(queue, { ...command, cdw10: (placed % slots) * blocks });
      }
      if (placed !== before) client.ring(queue);
      commands += client.reap(queue).length;
    }
  }
  const spent = performance.now() - begin;
  await device.stop(client.cpu);
  const rate = commands / spent / 1000;
  console.log(`${name.padEnd(28)} ${rate.toFixed(2)} M commands/s at depth ${depth}, two threads`);
}

const seconds = Number(process.argv[2] ?? 1);
for (let round = 0; round < 2; round++) {
  measure("512 B random read", 1, "passthrough", seconds);
  measure("4 KiB random read", 8, "passthrough", seconds);
}
await measure_threads("512 B read", 1, 64, seconds);
await measure_threads("512 B read", 1, 1, seconds);
await measure_threads("4 KiB read", 8, 64, seconds);
