/**
 * Constant strings of the kernel image: what a `const char *` points to. A string lies in static memory, as
 * the length word and the bytes that debug/site.ts reads, so any thread and any debugger can print it.
 *
 * Interface: `const NAME = kernel_string("text")` at module level; string_text reads it back. 0 is NULL.
 */
import type { Ptr } from "atomics-sync";
import type { Cpu } from "../sched/cpu.ts";
import { kernel_rodata } from "./image.ts";
import { read_text } from "./site.ts";

/** Address of a constant string. */
export type KernelString = Ptr<"string">;

// link time: equal texts share one address, in every thread the same
const interned = new Map<string, KernelString>();

/** Gives `text` (Latin-1) an address. Module level only. */
export function kernel_string(text: string): KernelString {
  const known = interned.get(text);
  if (known !== undefined) return known;
  const words = [text.length];
  for (let i = 0; i < text.length; i++) {
    const word = 1 + (i >> 2);
    words[word] = (words[word] ?? 0) | ((text.charCodeAt(i) & 0xff) << ((i & 3) * 8));
  }
  const address = kernel_rodata(`string:${text}`, words) as KernelString;
  interned.set(text, address);
  return address;
}

/** The text at `string`, as %s prints it. Cold path only. */
export function string_text(cpu: Cpu, string: KernelString | 0): string {
  return string === 0 ? "(null)" : read_text(cpu, string);
}
