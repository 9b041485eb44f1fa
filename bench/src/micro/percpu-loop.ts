/** The measured loop of our percpu_ref: a module of its own, so that nothing else shapes its code. */
import { percpu_ref_get, percpu_ref_put, type PercpuRefPtr } from "@ringside/core/ref/percpu-ref";
import type { Cpu } from "@ringside/core/sched/cpu";

export function getAndPut(cpu: Cpu, ref: PercpuRefPtr, pairs: number): void {
  for (let i = 0; i < pairs; i++) {
    percpu_ref_get(cpu, ref);
    percpu_ref_put(cpu, ref);
  }
}
