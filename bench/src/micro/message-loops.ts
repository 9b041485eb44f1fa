/**
 * What people use between threads of Node: messages over a port, and comlink's calls over one. The caller's
 * figure is messages (or calls) a second that the other side has had, so that queueing does not count.
 */
import type { MessagePort } from "node:worker_threads";
import * as Comlink from "comlink";
import nodeEndpoint from "comlink/dist/esm/node-adapter.mjs";

export interface PortData {
  readonly port: MessagePort;
  /** Messages a postMessage: 1 posts an object, more an array of objects. */
  readonly batch: number;
  /** Messages, or calls, on their way at most. */
  readonly inFlight: number;
}

interface Message {
  readonly op: number;
  readonly id: number;
  readonly address: number;
  readonly length: number;
}

/** `op` of what is no message, but a question how many have come. */
const HOW_MANY = 0;

function message(id: number, op = 1): Message {
  return { op, id, address: id + 1, length: id + 2 };
}

/** Posts messages one way; the receiver says now and then how many it has had. */
export async function post({ port, batch, inFlight }: PortData, ms: number): Promise<number> {
  const start = performance.now();
  let posted = 0;
  let had = 0;
  let asked = false;
  const acknowledged = Promise.withResolvers<void>();
  const fill = (): void => {
    if (performance.now() >= start + ms) {
      if (!asked) port.postMessage(message(0, HOW_MANY));
      asked = true;
      if (had === posted) acknowledged.resolve();
      return;
    }
    for (; posted - had < inFlight; posted += batch) {
      if (batch === 1) port.postMessage(message(posted));
      else port.postMessage(Array.from({ length: batch }, (_, i) => message(posted + i)));
    }
  };
  const hear = (count: number): void => {
    had += count;
    fill();
  };
  port.on("message", hear);
  fill();
  await acknowledged.promise;
  port.off("message", hear);
  return had / ((performance.now() - start) / 1000);
}

/** Receivers that have been told to listen, by port: each stays from run to run. */
const listening = new WeakSet<MessagePort>();

/** The other side: takes what comes, and answers each half of what may be on its way. */
export function listen({ port, inFlight }: PortData, _ms: number): number {
  if (listening.has(port)) return 1;
  listening.add(port);
  let expected = 0;
  let since = 0;
  const take = ({ id, address, length }: Message): void => {
    if (id === 0) expected = 0;
    if (id !== expected || address !== id + 1 || length !== id + 2) throw new Error("a message out of order");
    expected++;
    since++;
  };
  port.on("message", (came: Message | readonly Message[]) => {
    const asks = !isBatch(came) && came.op === HOW_MANY;
    if (isBatch(came)) came.forEach(take);
    else if (!asks) take(came);
    if (since < inFlight / 2 && !asks) return;
    port.postMessage(since);
    since = 0;
  });
  return 1;
}

function isBatch(came: Message | readonly Message[]): came is readonly Message[] {
  return Array.isArray(came);
}

interface Api {
  take(op: number, id: number, address: number, length: number): number;
}

const wrapped = new WeakMap<MessagePort, Comlink.Remote<Api>>();

/** Makes the calls of `inFlight` loops that each await theirs. */
export async function call({ port, inFlight }: PortData, ms: number): Promise<number> {
  // Each wrap listens to the port: one is enough.
  const api = wrapped.get(port) ?? Comlink.wrap<Api>(nodeEndpoint(port));
  wrapped.set(port, api);
  const start = performance.now();
  let calls = 0;
  const loop = async (): Promise<void> => {
    while (performance.now() < start + ms) {
      await api.take(1, calls, calls + 1, calls + 2);
      calls++;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, loop));
  return calls / ((performance.now() - start) / 1000);
}

/** The other side of `call`. */
export function expose({ port }: PortData, _ms: number): number {
  if (listening.has(port)) return 1;
  listening.add(port);
  const api: Api = { take: (op, id, address, length) => (op + id + address + length) | 0 };
  Comlink.expose(api, nodeEndpoint(port));
  return 1;
}
