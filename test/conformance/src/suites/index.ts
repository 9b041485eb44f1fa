/** Every suite. Add yours: one import and one entry, in alphabetical order. */
import type { Suite } from "../suite.ts";
import { suite as blk_mq } from "./blk-mq.ts";
import { suite as dma_resv } from "./dma-resv.ts";
import { suite as litmus } from "./litmus.ts";
import { suite as lkdtm_refcount } from "./lkdtm-refcount.ts";
import { suite as locking_selftest } from "./locking-selftest.ts";
import { suite as percpu_ref } from "./percpu-ref.ts";
import { suite as rcutorture } from "./rcutorture.ts";
import { suite as st_dma_fence } from "./st-dma-fence.ts";
import { suite as st_dma_fence_chain } from "./st-dma-fence-chain.ts";
import { suite as st_dma_fence_unwrap } from "./st-dma-fence-unwrap.ts";
import { suite as st_dma_resv } from "./st-dma-resv.ts";
import { suite as sync } from "./sync.ts";
import { suite as test_ww_mutex } from "./test-ww-mutex.ts";
import { suite as workqueue } from "./workqueue.ts";
import { suite as workqueue_stress } from "./workqueue-stress.ts";
import { suite as workqueue_rst } from "./workqueue-rst.ts";

export const suites: readonly Suite[] = [
  blk_mq,
  dma_resv,
  litmus,
  lkdtm_refcount,
  locking_selftest,
  percpu_ref,
  rcutorture,
  st_dma_fence,
  st_dma_fence_chain,
  st_dma_fence_unwrap,
  st_dma_resv,
  sync,
  test_ww_mutex,
  workqueue,
  workqueue_stress,
  workqueue_rst,
];
