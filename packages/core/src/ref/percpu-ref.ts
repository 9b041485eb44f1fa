/**
 * percpu_ref (include/linux/percpu-refcount.h, lib/percpu-refcount.c): a reference count with one shard per
 * CPU that becomes a single atomic counter when it is killed.
 *
 * In percpu mode a get or put touches only this CPU's shard; the sum is meaningless until the switch. kill
 * sets DEAD, then switches to atomic mode through call_rcu: after the grace period no CPU is still inside a
 * percpu get or put, so the shards may be summed. That grace period is also what lets users free the object
 * in release() though lookups ran under RCU only.
 *
 * Word 0 holds the shard pointer with two flags in its low bits; the shards are one 128-byte line per CPU.
 * Here a long has 32 bits, so the bias is 1 << 31.
 *
 * Interface: init, then get/tryget/put; kill once; release(cpu, ref) runs when the last reference goes, and
 * must not sleep; exit frees. The counter is in percpu-ref-count.ts, the modes are in percpu-ref-switch.ts.
 */
export {
  percpu_ref_exit,
  percpu_ref_get,
  percpu_ref_get_many,
  percpu_ref_init,
  percpu_ref_is_dying,
  percpu_ref_is_zero,
  PERCPU_REF_ALLOW_REINIT,
  PERCPU_REF_INIT_ATOMIC,
  PERCPU_REF_INIT_DEAD,
  percpu_ref_put,
  percpu_ref_put_many,
  PERCPU_REF_SIZE,
  percpu_ref_tryget,
  percpu_ref_tryget_live,
  percpu_ref_tryget_live_rcu,
  percpu_ref_tryget_many,
  type PercpuRefPtr,
} from "./percpu-ref-count.ts";
export {
  percpu_ref_kill,
  percpu_ref_kill_and_confirm,
  percpu_ref_reinit,
  percpu_ref_resurrect,
  percpu_ref_switch_to_atomic,
  percpu_ref_switch_to_atomic_sync,
  percpu_ref_switch_to_percpu,
} from "./percpu-ref-switch.ts";
