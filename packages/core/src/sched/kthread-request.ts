/**
 * Requests to the host for another kworker thread. The host is kthreadd: it watches WANTED, starts a thread for each
 * request or, at config.kthreads, does without, and then counts the request as served.
 */
import { type Memory } from "atomics-sync";
import { kernel_static } from "../debug/image.ts";
import type { Cpu } from "./cpu.ts";

/** Written by any thread: number of kworkers asked for so far. Read by the host. */
const WANTED = kernel_static("kthread_wanted", 8);
/** Next to it, written by the host: how many of them it has dealt with; their threads have joined. */
const SERVED = 4;

/** Asks the host for one more kworker; returns at once. */
export function kthread_request(cpu: Cpu): void {
  cpu.mem.fetchAdd(WANTED, 1);
  cpu.mem.notify(WANTED, 1);
}

/** The word the host watches: kworkers asked for since boot. */
export function kthread_wanted_word(): number {
  return WANTED;
}

/** The host has dealt with one request. `wanted`: the word it watches. */
export function kthread_served(mem: Memory, wanted: number): void {
  mem.fetchAdd(wanted + SERVED, 1);
}

/** Threads were asked for that have neither come nor been refused. */
export function kthread_requests_open(cpu: Cpu): boolean {
  return cpu.mem.loadAcquire(WANTED) !== cpu.mem.loadAcquire(WANTED + SERVED);
}
