export { createSharedMemory, Memory, type Ptr, type WaitResult } from "./memory.ts";
export type { WasmMemory } from "./wasm.ts";
