/** Every check scenario, by name. */
import { barrier } from "./barrier.ts";
import { event } from "./event.ts";
import { fence_callback } from "./fence-callback.ts";
import { mutex } from "./mutex.ts";
import { nvme_timeout } from "./nvme-timeout.ts";
import { percpu_ref } from "./percpu-ref.ts";
import { rcu } from "./rcu.ts";
import { resv_iter } from "./resv-iter.ts";
import type { CheckScenario } from "./scenario.ts";
import { semaphore } from "./semaphore.ts";
import { seqlock } from "./seqlock.ts";
import { slab_double_free } from "./slab-double-free.ts";
import { spsc } from "./spsc.ts";
import { token_audit } from "./token-audit.ts";
import { token_lifetime_3, token_lifetime_4 } from "./token-lifetime.ts";
import { token_recheck } from "./token-recheck.ts";
import { uring_buffer_update } from "./uring-buffer-update.ts";
import { workqueue_requeue } from "./workqueue-requeue.ts";

export const check_scenarios: readonly CheckScenario[] = [
  token_recheck,
  token_audit,
  percpu_ref,
  rcu,
  mutex,
  semaphore,
  seqlock,
  spsc,
  event,
  barrier,
  fence_callback,
  resv_iter,
  workqueue_requeue,
  slab_double_free,
  token_lifetime_3,
  token_lifetime_4,
  uring_buffer_update,
  nvme_timeout,
];
