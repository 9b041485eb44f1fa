export { AUTO_EVENT_BYTES, AutoEvent, autoEventReset, autoEventSet, autoEventWait } from "./auto-event.ts";
export { BACKOFF_SLEEP_ROUND, Backoff, backoff } from "./backoff.ts";
export { BARRIER_BYTES, Barrier, type BarrierResult, barrierArrive, barrierInit } from "./barrier.ts";
export {
  type BadAccess,
  CheckedMemory,
  KASAN_FREE_PAGE,
  KASAN_NULL_PAGE,
  KASAN_OUTSIDE,
  KASAN_PAGE_REDZONE,
  KASAN_SLAB_FREE,
  KASAN_SLAB_REDZONE,
  type Shadow,
} from "./checked-memory.ts";
export { EVENT_BYTES, eventReset, eventSet, eventWait, ManualEvent } from "./event.ts";
export { createSharedMemory, Memory, type Ptr, type WaitResult } from "./memory.ts";
export {
  MUTEX_BYTES,
  Mutex,
  mutexLock,
  mutexLockTimeout,
  mutexTryLock,
  mutexUnlock,
} from "./mutex.ts";
export {
  SEMAPHORE_BYTES,
  Semaphore,
  semaphoreAcquire,
  semaphoreAvailable,
  semaphoreInit,
  semaphoreRelease,
  semaphoreTryAcquire,
} from "./semaphore.ts";
export {
  SEQLOCK_BYTES,
  Seqlock,
  seqlockReadBegin,
  seqlockReadRetry,
  seqlockReadRetryFence,
  seqlockWriteBegin,
  seqlockWriteEnd,
} from "./seqlock.ts";
export {
  spscAdvance,
  spscAwaitRecord,
  spscAwaitRoom,
  spscBytes,
  spscCommit,
  spscFront,
  spscInit,
  spscPublish,
  spscRelease,
  spscReserve,
} from "./spsc.ts";
export {
  SpscRing,
  spscDequeue,
  spscEnqueue,
  spscStage,
  spscTake,
  spscTryDequeue,
  spscTryEnqueue,
} from "./spsc-words.ts";
export { threadMemory } from "./thread-memory.ts";
export type { WasmMemory } from "./wasm.ts";
