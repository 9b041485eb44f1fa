/** The gated back-end: real worker threads that take turns. Node only. */
export { loadProgram, type ModuleRef } from "./load.ts";
export { GatedMemory } from "./memory.ts";
export { type GatedOptions, GatedThreads } from "./threads.ts";
