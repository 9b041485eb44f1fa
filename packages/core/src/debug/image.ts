/**
 * The kernel image: what a linker would lay out. Functions called through pointers, static data, constant
 * tables and per-CPU data get their numbers while modules load, in module order, so every thread that loads
 * the same sources computes the same numbers; `image_hash` lets boot verify it.
 *
 * Interface: register at module level only. Call function pointers through `symbol_call`; 0 is NULL.
 */
import type { Cpu } from "../sched/cpu.ts";

// oxlint-disable-next-line typescript/no-explicit-any -- the one place where signatures are erased
export type KernelFunction = (cpu: Cpu, ...args: any[]) => any;
/** A function pointer: index into the symbol table, equal in every thread; 0 is NULL. */
export type SymbolId = number;

interface Rodata {
  readonly address: number;
  readonly words: readonly number[];
}

/** Static data starts above the null page and ends where the per-CPU areas begin. */
export const STATIC_BASE = 8192;
export const STATIC_LIMIT = 131072;
/** Bytes of one CPU's area; its first part is the task struct (sched/task.ts), its end the kernel stack. */
export const PERCPU_AREA = 65536;
/** Offset of the kernel stack inside the per-CPU area. */
export const PERCPU_STACK = 32768;

const LINE = 128;
const PERCPU_PREFIX = "percpu:";

const functions: KernelFunction[] = [null_call];
const names: string[] = ["NULL"];
const statics: { name: string; address: number; bytes: number }[] = [];
const rodata: Rodata[] = [];
const initcalls: KernelFunction[] = [];
const exitcalls: KernelFunction[] = [];
let staticEnd = STATIC_BASE; // link time: the same in every thread
let percpuEnd = 0; // link time: the same in every thread

function null_call(): never {
  throw new Error("BUG: kernel NULL pointer dereference: call through symbol 0");
}

/** Gives `fn` an address. Module level only. */
export function kernel_symbol(fn: KernelFunction): SymbolId {
  functions.push(fn);
  names.push(fn.name);
  return functions.length - 1;
}

/** Calls through a function pointer. */
export function symbol_call(cpu: Cpu, id: SymbolId, a: number = 0, b: number = 0, c: number = 0): number {
  return (functions[id] as KernelFunction)(cpu, a, b, c) as number;
}

/** The name behind a function pointer, as %ps prints it. */
export function symbol_name(id: SymbolId): string {
  return names[id] ?? `0x${id.toString(16)}`;
}

/** Reserves zeroed static memory on lines of its own; returns its address. */
export function kernel_static(name: string, bytes: number): number {
  const address = staticEnd;
  staticEnd += Math.ceil(bytes / LINE) * LINE;
  if (staticEnd > STATIC_LIMIT)
    throw new Error(`kernel image: static data exceeds ${STATIC_LIMIT} at ${name}`);
  statics.push({ name, address, bytes });
  return address;
}

/** A constant table of words (usually symbols), written once at boot; returns its address. */
export function kernel_rodata(name: string, words: readonly number[]): number {
  const address = kernel_static(name, words.length * 4);
  rodata.push({ address, words });
  return address;
}

/** Reserves per-CPU memory on lines of its own; returns the offset for this_cpu_ptr and per_cpu_ptr. */
export function percpu_static(name: string, bytes: number): number {
  const offset = percpuEnd;
  percpuEnd += Math.ceil(bytes / LINE) * LINE;
  if (percpuEnd > PERCPU_STACK)
    throw new Error(`kernel image: per-CPU data exceeds ${PERCPU_STACK} at ${name}`);
  statics.push({ name: PERCPU_PREFIX + name, address: offset, bytes });
  return offset;
}

/** The name of the static object at `address`, as %pS prints it; "" when there is none. */
export function static_name(address: number): string {
  return address < STATIC_BASE ? "" : object_name(address, "");
}

/** The name of the per-CPU object at `offset` of a CPU's area; "" when there is none. */
export function percpu_name(offset: number): string {
  return object_name(offset, PERCPU_PREFIX);
}

function object_name(address: number, prefix: string): string {
  for (const object of statics) {
    if (object.name.startsWith(PERCPU_PREFIX) !== (prefix !== "")) continue;
    const at = address - object.address;
    if (at < 0 || at >= object.bytes) continue;
    const name = object.name.slice(prefix.length);
    return at === 0 ? name : `${name}+0x${at.toString(16)}`;
  }
  return "";
}

/** Runs `fn(cpu)` on the boot CPU, in module load order; a negative return stops the boot. */
export function kernel_initcall(fn: KernelFunction): void {
  initcalls.push(fn);
}

/** Runs `fn(cpu)` on the boot CPU at shutdown, in reverse module load order. */
export function kernel_exitcall(fn: KernelFunction): void {
  exitcalls.push(fn);
}

/** Writes the constant tables and runs the initcalls. Returns 0 or the first negative errno. */
export function start_kernel(cpu: Cpu): number {
  for (const table of rodata) {
    for (let i = 0; i < table.words.length; i++)
      cpu.mem.write(table.address + 4 * i, table.words[i] as number);
  }
  for (const init of initcalls) {
    const error = init(cpu) as number | undefined;
    if (error !== undefined && error < 0) return error;
  }
  return 0;
}

export function stop_kernel(cpu: Cpu): void {
  for (let i = exitcalls.length - 1; i >= 0; i--) (exitcalls[i] as KernelFunction)(cpu);
}

/** FNV-1a over every name and address: equal in two threads exactly when their images are. */
export function image_hash(): number {
  let hash = 0x811c9dc5;
  const text = `${names.join()}|${statics.map((s) => `${s.name}@${s.address}+${s.bytes}`).join()}`;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}
